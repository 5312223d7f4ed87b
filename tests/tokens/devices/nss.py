# SPDX-License-Identifier: Apache-2.0
"""NSS softoken: a certificate database as a token. Which one it is stands in the module's init string."""
from devices.device import Device, absent, library

MODULE = ("libsoftokn3.so", "nss/libsoftokn3.so")


class Nss(Device):
    kind = None
    can = {"init": False, "rsa": True, "p256": True, "p384": True, "ed25519": False, "import_ec": True, "data_public": False,
           "merge": True, "serial": False, "peer": False}

    known = ["its serial number says nothing", "one label on certificates", "one certificate for each issuer", "an id of its own",
             "whether a key was made"]

    @staticmethod
    def missing():
        return absent(["certutil"], [MODULE])

    def start(self):
        folder = self.folder_of(self.kind)
        self.write("database-pin", self.pin + "\n")
        self.call("certutil", "-N", "-d", f"{self.kind}:{folder}", "-f", self.path("database-pin"))
        self.module = library(*MODULE)
        self.init_args = (f"configdir='{self.kind}:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags= updatedir='' "
                          f"dbTokenDescription='{self.label}' dbSlotDescription='{self.label}'")

    def again(self):
        """A second empty database, behind a module of its own name."""
        other = type(self)(self.folder_of("again"))
        other.start()
        return other


class NssSql(Nss):
    name, kind = "nss-sql", "sql"


class NssDbm(Nss):
    """The old format (cert8.db, key3.db)."""
    name, kind = "nss-dbm", "dbm"
    can = {**Nss.can, "import_ec": False}  # a public key without its private half is refused
    options = ["--allow-extractable"]  # every key in a key3.db says CKA_EXTRACTABLE true, whatever it was asked for

    @staticmethod
    def missing():
        return absent(["certutil"], [MODULE, ("libnssdbm3.so", "nss/libnssdbm3.so")])
