# SPDX-License-Identifier: Apache-2.0
"""A stand for token tests: fresh SoftHSM tokens behind balky, commands run against them, and what the modules were called.

Every test owns its folder and its tokens, so tests run in any order and together.
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SOFTHSM = next((p for p in ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
                            "/usr/lib64/pkcs11/libsofthsm2.so") if os.path.exists(p)), None)
PIN, SO_PIN = "246810", "13579135"
SAFETY = 30  # seconds after which a command counts as hanging, whatever its deadline


class Tap:
    """Claims in the Test Anything Protocol; the exit status tells whether all held."""

    def __init__(self):
        self.count = self.failed = 0

    def ok(self, held, claim, detail=""):
        self.count += 1
        self.failed += not held
        print(f"{'ok' if held else 'not ok'} {self.count} - {claim}", flush=True)
        if not held and detail:
            print("\n".join("# " + line for line in str(detail).splitlines()[:400]), flush=True)
        return held

    def say(self, text):
        print("# " + text, flush=True)

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def skip(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            skip(f"{program} is not installed")


class Call:
    """One call as balky saw it; `rv` is None while it did not come back. `pin` is the digest of the PIN that it carried."""

    def __init__(self, n, name, nth, token):
        self.n, self.name, self.nth, self.token, self.rv, self.microseconds, self.pin = n, name, nth, token, None, None, None


class Result:
    """
    `silent`: seconds from the last thing balky logged, the begin of a call that hangs, to the end of the program.
    `memory`: the most that it had of it at once, in KiB.
    """

    def __init__(self, rc, out, err, seconds, calls, hung, silent=0.0, memory=0):
        self.rc, self.out, self.err, self.seconds, self.silent, self.calls, self.hung = rc, out, err, seconds, silent, calls, hung
        self.memory = memory

    def logins(self, token=None):
        return [c for c in self.calls if c.name == "C_Login" and token in (None, c.token)]

    def __str__(self):
        return f"exit {self.rc} after {self.seconds:.2f} s\nstdout: {self.out}\nstderr: {self.err}"


def waited(program, timeout):
    """Waits for the end of a program, or makes it: was it too slow, and how much memory did it use?"""
    late = threading.Event()

    def end():
        late.set()
        os.killpg(program.pid, signal.SIGKILL)

    timer = threading.Timer(timeout, end)
    timer.start()
    _, status, usage = os.wait4(program.pid, 0)
    timer.cancel()
    program.returncode = os.waitstatus_to_exitcode(status)
    return late.is_set(), usage.ru_maxrss


def digest(pin):
    """What balky's log says instead of the PIN."""
    told = 0xcbf29ce484222325
    for byte in pin.encode():
        told = (told ^ byte) * 0x100000001b3 % 2**64
    return f"{told:016x}"


def calls_of(text):
    calls = {}
    for line in text.splitlines():
        word = line.split()
        key = (word[1], word[2])
        if word[0] == ">":
            calls[key] = Call(int(word[2]), word[3], int(word[4]), word[5] if len(word) > 5 else "-")
        elif word[0] == "=":
            calls[key].pin = word[3]
        else:
            calls[key].rv, calls[key].microseconds = int(word[4], 16), int(word[5])
    return list(calls.values())


class Stand:
    """A folder with tokens named by `labels`, PIN and SO PIN as above, and the environment in which programs see them."""

    def __init__(self, *labels):
        if not SOFTHSM:
            skip("SoftHSM is not installed")
        need("softhsm2-util")
        self.balky = os.environ["KEYSTOW_BALKY"]
        self.keystow = os.environ.get("KEYSTOW")
        self.keystow_command = [self.keystow]
        self.dir = tempfile.mkdtemp(prefix="keystow-test-")
        os.makedirs(self.path("tokens"))
        os.makedirs(self.path("home"))
        self.write("softhsm2.conf", f"directories.tokendir = {self.path('tokens')}\nobjectstore.backend = file\n"
                   "log.level = ERROR\nslots.removable = false\n")
        self.write("pin", PIN + "\n")
        self.write("so-pin", SO_PIN + "\n")
        self.env = {"PATH": os.environ["PATH"], "HOME": self.path("home"), "LC_ALL": "C.UTF-8", "TZ": "UTC",
                    "SOFTHSM2_CONF": self.path("softhsm2.conf"), "BALKY_MODULE": SOFTHSM,
                    "XDG_STATE_HOME": self.path("home/state"), "XDG_CONFIG_HOME": self.path("home/config")}
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        for label in labels:
            self.init(label)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text, mode=0o600):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def init(self, label):
        subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", SO_PIN, "--pin", PIN],
                       env=self.env, check=True, capture_output=True)

    def keep(self, name="kept"):
        """Remembers tokens, files and state as they are; back() returns to it."""
        for part in ("tokens", "home", "files"):
            shutil.rmtree(self.path(name, part), ignore_errors=True)
            if os.path.exists(self.path(part)):
                shutil.copytree(self.path(part), self.path(name, part), symlinks=True)

    def back(self, name="kept"):
        for part in ("tokens", "home", "files"):
            shutil.rmtree(self.path(part), ignore_errors=True)
            if os.path.exists(self.path(name, part)):
                shutil.copytree(self.path(name, part), self.path(part), symlinks=True)
        for left in ("log", "log.tries"):
            if os.path.exists(self.path(left)):
                os.unlink(self.path(left))

    def run(self, argv, schedule=None, timeout=SAFETY, stdin=subprocess.DEVNULL, env=None):
        """Runs a program against balky; the log of a run starts empty, the counter of PIN tries stays."""
        env = {**self.env, **(env or {}), "BALKY_LOG": self.path("log")}
        self.write("log", "")
        if schedule:
            env["BALKY_SCHEDULE"] = self.write("schedule", schedule + "\n")
        start = time.monotonic()
        with tempfile.TemporaryFile() as out_file, tempfile.TemporaryFile() as err_file:
            program = subprocess.Popen(argv, env=env, stdin=stdin, stdout=out_file, stderr=err_file, cwd=self.dir,
                                       start_new_session=True)
            hung, memory = waited(program, timeout)
            out, err = (file.seek(0) or file.read() for file in (out_file, err_file))
        seconds, silent = time.monotonic() - start, time.time() - os.stat(self.path("log")).st_mtime
        rc = program.returncode if program.returncode >= 0 else 128 - program.returncode
        return Result(rc, out.decode(errors="replace"), err.decode(errors="replace"), seconds,
                      calls_of(self.read("log")), hung, silent, memory)

    def copy(self):
        """Another stand of the same tokens and files, for a test that works in parallel."""
        twin = Stand()
        for part in ("tokens", "home", "files"):
            if os.path.exists(self.path(part)):
                shutil.copytree(self.path(part), twin.path(part), symlinks=True, dirs_exist_ok=True)
        twin.keep()
        return twin

    # ---- keystow ----

    def configure(self, **defaults):
        """keystow's configuration: the module is balky, deadlines and the like as given (call_deadline_ms=200)."""
        rows = {"module": self.balky, **{key.replace("_", "-"): value for key, value in defaults.items()}}
        os.makedirs(self.path("home/config/keystow"), exist_ok=True)
        self.write("home/config/keystow/config", "[defaults]\n" + "".join(f"{k} = {v}\n" for k, v in rows.items()))

    def ks(self, *args, schedule=None, pin="pin", option="--pin-source", **more):
        """keystow with the PIN from a file of the stand; pin=None gives no source."""
        source = [option, "file:" + self.path(pin)] if pin else []
        return self.run([*self.keystow_command, *args, *source], schedule, **more)

    def objects(self, label, pin=PIN):
        """What an independent reader sees on a token: sorted (kind, label, id), or None when it cannot be read."""
        got = subprocess.run(["pkcs11-tool", "--module", SOFTHSM, "--token-label", label, "--login", "--pin", pin, "-O"],
                             env=self.env, capture_output=True, timeout=SAFETY)
        if got.returncode:
            return None
        seen = []
        for block in re.split(r"(?m)^(?=\S)", got.stdout.decode(errors="replace")):
            kind = re.match(r"(Private Key|Public Key|Certificate|Data|Secret Key) Object", block)
            name = re.search(r"(?m)^\s+label:[ \t]*(.*)$", block)
            ident = re.search(r"(?m)^\s+ID:[ \t]*(.*)$", block)
            if kind:
                seen.append((kind[1].lower(), name[1] if name else "", ident[1] if ident else ""))
        return sorted(seen)
