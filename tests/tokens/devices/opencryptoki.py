# SPDX-License-Identifier: Apache-2.0
"""opencryptoki's token in software, behind its daemon pkcsslotd. Its folders in /etc, /var and /run are fixed, it looks for a group pkcs11
and makes keys of shared memory from /usr/sbin/pkcsslotd. So the daemon gets mount and IPC namespaces of its own, where all of that is ours,
and whoever talks to the token enters them."""
import os
import shutil

from devices.device import ROOTLESS, Device, absent, library, library_path, namespaces, program, until

MODULE = ("opencryptoki/libopencryptoki.so.0",)
SOFT = ("opencryptoki/stdll/libpkcs11_sw.so",)

CONFIGURATION = """version opencryptoki-3.8
slot 3
{
stdll = libpkcs11_sw.so
tokname = ks
}
"""
# $0 is the device's folder; /etc keeps what programs need to resolve names and to load libraries.
WORLD = """set -e
mount -t tmpfs none /run && mkdir -p /run/lock/opencryptoki/ks
mount -t tmpfs none /var/lib && mkdir -p /var/lib/opencryptoki/ks/TOK_OBJ
mount -t tmpfs none /var/log && mkdir -p /var/log/opencryptoki
mount -t tmpfs none /dev/shm
mount --bind "$0/sbin" /usr/sbin
mount --bind "$0/etc" /etc
exec /usr/sbin/pkcsslotd -f
"""


class Opencryptoki(Device):
    name = "opencryptoki"
    can = {"init": True, "rsa": True, "p256": False, "p384": False, "ed25519": False, "import_ec": False, "data_public": True,
           "merge": True, "serial": False, "peer": True}
    so_pin = "87654321"  # what a fresh token has
    known = ["its serial number says nothing"]

    @staticmethod
    def missing():
        if ROOTLESS:
            return "only root may start pkcsslotd"
        return absent(["pkcsslotd"], [MODULE, SOFT]) or namespaces()

    def start(self):
        self.furnish()
        self.module = library(*MODULE)
        self.env["LD_LIBRARY_PATH"] = os.path.dirname(library(*SOFT)) + ":" + library_path()
        daemon = self.child("unshare", "-m", "-i", "sh", "-c", WORLD, self.folder)
        until(lambda: os.path.exists(f"/proc/{daemon.pid}/root/run/pkcsslotd.socket") or daemon.poll() is not None, "pkcsslotd's socket")
        if daemon.poll() is not None:
            raise RuntimeError("pkcsslotd did not start: " + self.log())
        self.enter(daemon, "-m", "-i")

    def furnish(self):
        shutil.copy(program("pkcsslotd"), self.folder_of("sbin"))
        etc = self.folder_of("etc")
        for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache"):
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, etc)
        for name in ("ssl", "alternatives"):
            if os.path.exists("/etc/" + name):
                shutil.copytree("/etc/" + name, etc + "/" + name, symlinks=True)
        with open(etc + "/group", "a") as groups:
            groups.write("pkcs11:x:64999:root\n")
        self.folder_of("etc/opencryptoki")
        self.write("etc/opencryptoki/opencryptoki.conf", CONFIGURATION)
