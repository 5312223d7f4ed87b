#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that keystow prints for a SmartCard-HSM, all of them as a person pastes them, with shares of the key that wraps keys as
sc-hsm-tool makes them: in a file under a password, for which it counts to ten million. So each step takes a processor for twenty seconds,
and this is a test of its own; vhsm_test.py gives the shares to the cards directly."""
import dkek
import rig
import stand

tap = stand.Tap()
with rig.Rig("vhsm") as at:
    dkek.travel(at, tap, shares_in_files=True)
tap.done()
