# SPDX-License-Identifier: Apache-2.0
"""SoftHSM 2.6: tokens in files, no lock-out, does nearly everything."""
from devices.device import Device, absent, library

MODULE = ("softhsm/libsofthsm2.so", "pkcs11/libsofthsm2.so")


class SoftHSM(Device):
    name = "softhsm"
    can = {"init": True, "rsa": True, "p256": True, "p384": True, "ed25519": True, "import_ec": True, "data_public": True,
           "merge": True, "serial": True, "peer": True}

    @staticmethod
    def missing():
        return absent(["softhsm2-util"], [MODULE])

    def start(self):
        tokens = self.folder_of("tokens")
        conf = self.write("softhsm2.conf", f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.module = library(*MODULE)
        self.env["SOFTHSM2_CONF"] = conf
        self.init(self.label)

    def init(self, label):
        self.call("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", self.so_pin, "--pin", self.pin)

    def again(self):
        """A second empty token behind the same module."""
        other = SoftHSM(self.folder)
        other.module, other.env, other.label = self.module, self.env, self.label + "-2"
        other.init(other.label)
        return other
