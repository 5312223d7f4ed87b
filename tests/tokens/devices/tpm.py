# SPDX-License-Identifier: Apache-2.0
"""tpm2-pkcs11 over a TPM in software (swtpm). The resource manager (tpm2-abrmd, on a bus of its own) swaps keys in and out:
without one the third key fails with "out of memory for object contexts". The third wrong PIN starts the TPM's lock-out, of which no
flag warns."""
import os

from devices.device import Device, absent, library, library_path, program, until

MODULE = ("libtpm2_pkcs11.so.1", "pkcs11/libtpm2_pkcs11.so")


class Tpm(Device):
    name = "tpm"
    can = {"init": True, "rsa": True, "p256": True, "p384": True, "ed25519": False, "import_ec": False, "data_public": False,
           "merge": True, "serial": False, "peer": True}

    known = ["its serial number says nothing", "what a new key is not for", "no private keys that were made elsewhere", "locks for a while"]

    @staticmethod
    def missing():
        return absent(["swtpm", "tpm2-abrmd", "dbus-daemon"], [MODULE, ("libtss2-tcti-tabrmd.so.0",), ("libtss2-tcti-swtpm.so.0",)])

    def start(self):
        socket, bus = self.path("tpm.sock"), "unix:path=" + self.path("bus")
        self.env = {"LD_LIBRARY_PATH": library_path(), "DBUS_SESSION_BUS_ADDRESS": bus, "TPM2_PKCS11_TCTI": "tabrmd:bus_type=session",
                    "TPM2_PKCS11_STORE": self.folder_of("store"), "TPM2_PKCS11_LOG_LEVEL": "0"}
        # The control socket must be the server's with .ctrl behind it.
        self.child(program("swtpm"), "socket", "--tpm2", "--tpmstate", "dir=" + self.folder_of("state"), "--ctrl",
                   f"type=unixio,path={socket}.ctrl", "--server", f"type=unixio,path={socket}", "--flags", "not-need-init,startup-clear")
        self.child(program("dbus-daemon"), "--session", "--nofork", "--nopidfile", "--address=" + bus)
        until(lambda: os.path.exists(socket) and os.path.exists(self.path("bus")), "the software TPM")
        self.child(program("tpm2-abrmd"), "--session", "--allow-root", "--tcti=swtpm:path=" + socket)
        self.module = library(*MODULE)
