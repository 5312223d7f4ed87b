# SPDX-License-Identifier: Apache-2.0
"""What every device of the token tests has: a folder of its own, children that it ends by their ids, and packages to look in.

Packages that would spoil a machine are unpacked in a folder (tests/devices-packages.sh); what is installed is found too.
"""
import glob
import os
import select
import shutil
import subprocess
import time

LABEL, PIN, SO_PIN = "walnut", "246810", "13579135"
ROOT = os.environ.get("KEYSTOW_DEVICES", "")
LIBRARIES = ["/usr/lib/*-linux-gnu", "/usr/lib64", "/usr/lib"]
PATIENCE = 60  # seconds that a service may take to answer; a safety stop, no measure


def library(*names):
    """The first file of these names below the unpacked packages' or the system's library folders, or None."""
    for top in dict.fromkeys((ROOT, "")):
        for folder in LIBRARIES:
            for name in names:
                found = glob.glob(top + folder + "/" + name)
                if found:
                    return found[0]
    return None


def program(name):
    for folder in ("/usr/bin", "/usr/sbin"):
        if ROOT and os.path.exists(ROOT + folder + "/" + name):
            return ROOT + folder + "/" + name
    return shutil.which(name)


def library_path():
    """LD_LIBRARY_PATH in which the unpacked packages find each other."""
    folders = [f for f in glob.glob(ROOT + "/usr/lib/*-linux-gnu") if ROOT]
    return ":".join(folders + [folder + "/swtpm" for folder in folders] + os.environ.get("LD_LIBRARY_PATH", "").split(":")).strip(":")


def absent(programs=(), libraries=()):
    """A sentence about what is missing, or None."""
    lost = [name for name in programs if not program(name)] + [names[0] for names in libraries if not library(*names)]
    return f"{', '.join(lost)} not found; tests/devices-packages.sh fetches it" if lost else None


ROOTLESS = os.geteuid() != 0


def namespaces():
    """A sentence about why there is no namespace to be had, or None."""
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        return "unshare or nsenter is not installed"
    tried = subprocess.run(["unshare", "-rm" if ROOTLESS else "-m", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True)
    return None if tried.returncode == 0 else "no mount namespace may be made here"


def until(true, what):
    """Waits until true() holds; raises when it does not within PATIENCE."""
    stop = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > stop:
            raise TimeoutError(f"{what} did not come")
        select.select([], [], [], 0.02)


class Device:
    """One device; `can` says what the stack is able to do, and what of it the tests look for."""

    name = None
    can = {}
    module = init_args = None
    label, pin, so_pin = LABEL, PIN, SO_PIN
    prefix = []
    known = []  # beginnings of sentences that token info must tell of it
    options = []  # what making a key needs on this device

    def __init__(self, folder):
        self.folder, self.env, self.children = folder, {}, []

    @staticmethod
    def missing():
        return None

    @property
    def uri(self):
        return f"pkcs11:token={self.label}"

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return self.path(name)

    def folder_of(self, name):
        os.makedirs(self.path(name), exist_ok=True)
        return self.path(name)

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": self.folder_of("home"), "LC_ALL": "C.UTF-8", "TZ": "UTC", **self.env}

    def call(self, *argv, **more):
        return subprocess.run([*self.prefix, *argv], env=self.environment(), check=True, capture_output=True, timeout=PATIENCE, **more)

    def child(self, *argv, **more):
        """A service of this device; stop() ends it."""
        with open(self.path("services.log"), "ab") as log:
            one = subprocess.Popen(argv, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, **more)
        self.children.append(one)
        return one

    def enter(self, service, *which):
        """From now on commands run in the namespaces of that service, beginning in the folder where they are started."""
        inside = f'exec nsenter -t {service.pid} {" ".join(which)} -- sh -c \'cd "$0" && exec "$@"\' "$(pwd)" "$@"'
        self.prefix = ["sh", "-c", inside, "sh"]

    def log(self):
        with open(self.path("services.log"), errors="replace") as log:
            return log.read()

    def start(self):
        raise NotImplementedError

    def stop(self):
        for one in reversed(self.children):
            one.terminate()
            try:
                one.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()
        self.children = []
