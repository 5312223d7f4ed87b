# SPDX-License-Identifier: Apache-2.0
"""The devices of the token tests: one row each, in the order in which they are told."""
from devices.nss import NssDbm, NssSql
from devices.opencryptoki import Opencryptoki
from devices.remote import Remote
from devices.softhsm import SoftHSM
from devices.tpm import Tpm
from devices.vhsm import Vhsm, VhsmPinPad

DEVICES = {device.name: device for device in (SoftHSM, NssSql, NssDbm, Tpm, Opencryptoki, Remote, Vhsm, VhsmPinPad)}
