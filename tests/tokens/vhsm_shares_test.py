#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shares of the key that wraps keys, as sc-hsm-tool makes them: in a file under a password, for which it counts to ten million. So each
step takes a processor for twenty seconds, and this is a test of its own; vhsm_card_test.py gives the shares to the cards directly."""
from concurrent.futures import ThreadPoolExecutor
import re
import shutil
import tempfile

from devices.vhsm import Vhsm
from stand import Tap, need, skip
from vhsm_card_test import Bench

PATIENCE = 1500  # seconds; a safety stop, no measure


def shared(bench, other):
    device, share = bench.device, bench.path("share")
    for one in (device, other):
        one.init(one.label, "--dkek-shares", "1")
    said = bench.card()[1]
    bench.tap.ok("1 share(s) still missing" in said, "a card waits for its share", said)
    bench.ok(bench.card("--create-dkek-share", share, "--password", "a word", patience=PATIENCE), "sc-hsm-tool makes a share")
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda one: bench.card("--import-dkek-share", share, "--password", "a word", device=one, patience=PATIENCE),
                             (device, other)))
    for got in done:
        bench.ok(got, "a card takes the share")
    check = {re.search(r"key check value : (\w+)", bench.card(device=one)[1])[1] for one in (device, other)}
    bench.tap.ok(len(check) == 1, "both show the same key check value", check)
    # sc-hsm-tool takes no key of the number 0, which is what OpenSC gives to the first one.
    for ident, label in (("01", "first"), ("02", "traveller")):
        bench.p11("--keypairgen", "--key-type", "rsa:2048", "--id", ident, "--label", label)
    bench.ok(bench.card("--wrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin), "an RSA key is wrapped")
    bench.ok(bench.card("--unwrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin, device=other),
             "and unwrapped on the other card")
    said = bench.p11("--list-objects", "--type", "privkey", device=other)[1]
    bench.tap.ok("traveller" in said and "first" not in said, "which has that one only", said)


def main():
    lost = Vhsm.missing()
    if lost:
        skip(lost)
    need("openssl")
    tap, folder = Tap(), tempfile.mkdtemp(prefix="keystow-vhsm-")
    device = Vhsm(folder)
    try:
        device.start()
        shared(Bench(tap, device), device.again())
    finally:
        device.stop()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
