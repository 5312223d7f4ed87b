# SPDX-License-Identifier: Apache-2.0
"""A SmartCard-HSM: the stock stack of OpenSC and pcscd over a reader and a card of our own (test-tokens/vhsm).

pcscd's socket has a fixed path. So pcscd gets a mount namespace with a /run of its own, and whoever talks to the card enters that.
Two readers have a card each; the second one is empty until again().
"""
import os
import shutil

from devices.device import ROOTLESS, Device, absent, library, namespaces, program, until

MODULE = ("opensc-pkcs11.so", "pkcs11/opensc-pkcs11.so")
READERS = ("first", "second")


class Vhsm(Device):
    name = "vhsm"
    can = {"init": True, "rsa": True, "p256": True, "p384": True, "ed25519": False, "import_ec": False, "data_public": True,
           "merge": True, "serial": True, "peer": True}
    pin, so_pin = "648219", "3537363231383830"
    known = ["right only when it is opened anew", "vanishes together", "no private keys that were made elsewhere", "removing it first",
             "called as its certificate", "the name of the PIN"]
    reader = 0

    @staticmethod
    def missing():
        if not os.path.exists(os.environ.get("KEYSTOW_VHSM", "")):
            return "vhsm is not built: libpcsclite-dev is not installed"
        return absent(["pcscd", "pkcs11-tool", "sc-hsm-tool"], [MODULE]) or namespaces()

    def start(self):
        readers = [f'FRIENDLYNAME "{name} reader"\nDEVICENAME {self.folder_of(name)}\nLIBPATH {os.environ["KEYSTOW_VHSM"]}\n'
                   f"CHANNELID {n}\n" for n, name in enumerate(READERS)]
        self.folder_of("readers")
        self.write("readers/reader.conf", "\n".join(readers))
        self.env["OPENSC_CONF"] = self.write("opensc.conf", "app default {\n}\n")
        self.module = library(*MODULE)
        if ROOTLESS:  # in its namespace the files of root seem to be of nobody, and keystow loads no module of nobody
            self.module = shutil.copy(self.module, self.folder)
        self.serve()
        self.init(self.label)

    def serve(self):
        """pcscd is the child itself: unshare and sh become it."""
        command = 'mount -t tmpfs none /run && mkdir /run/pcscd && exec "$0" --foreground --config "$1"'
        pcscd = self.child("unshare", "-rm" if ROOTLESS else "-m", "sh", "-c", command, program("pcscd"), self.path("readers"))
        until(lambda: os.path.exists(f"/proc/{pcscd.pid}/root/run/pcscd/pcscd.comm") or pcscd.poll() is not None, "pcscd's socket")
        if pcscd.poll() is not None:
            raise RuntimeError("pcscd did not start: " + self.log())
        self.enter(pcscd, "-m", "-U --preserve-credentials" if ROOTLESS else "")

    def init(self, label, *options):
        """A fresh card: no objects, all tries."""
        self.call("sc-hsm-tool", "--reader", str(self.reader), "--initialize", "--so-pin", self.so_pin, "--pin", self.pin,
                  "--label", label, *options)

    @property
    def uri(self):
        """OpenSC decorates labels with the name of the PIN; keystow takes them without."""
        return f"pkcs11:token={self.label}"

    def again(self):
        """The card in the second reader, behind the same pcscd."""
        other = Vhsm(self.folder)
        other.module, other.env, other.prefix = self.module, self.env, self.prefix
        other.reader, other.label = self.reader + 1, self.label + "-2"
        other.init(other.label)
        return other

    # ---- what only a person does ----

    def pull(self):
        """Takes the card out of the reader, and waits until pcscd noticed: a client in between would find it swallowed."""
        self.write(READERS[self.reader] + "/absent", "")
        until(lambda: not self.inside(), "the card's removal")

    def push(self):
        os.unlink(self.path(READERS[self.reader], "absent"))
        until(self.inside, "the card's insertion")

    def inside(self):
        """Is a card in the reader, as pcscd sees it?"""
        said = self.call("opensc-tool", "--list-readers").stdout.decode()
        return any(line.split()[:2] == [str(self.reader), "Yes"] for line in said.splitlines())

    def type(self, *pins):
        """What the person will type at the reader's keypad; without arguments the person presses cancel."""
        self.write(READERS[self.reader] + "/pin-pad", "".join(pin + "\n" for pin in pins))


class VhsmPinPad(Vhsm):
    """The same card in a reader with a keypad: CKF_PROTECTED_AUTHENTICATION_PATH."""
    name = "vhsm-pin-pad"

    def start(self):
        self.folder_of(READERS[0])
        self.type(self.pin)
        super().start()
