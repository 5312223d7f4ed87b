# SPDX-License-Identifier: Apache-2.0
"""keystow set up for one device of tests/tokens/devices: the configuration, a folder for files, and programs run in its world."""
import json
import os
import shutil
import subprocess
import tempfile
import time

import pexpect

import stand
from devices import DEVICES

SAFETY = 300  # seconds after which a command counts as hanging


class Rig:
    """The device of that row, started, with keystow configured for it; the test is skipped, with the reason, where it cannot run."""

    def __init__(self, row):
        stand.need("openssl", "pkcs11-tool")
        kind = DEVICES[row]
        reason = kind.missing()
        if reason:
            stand.skip(f"{row}: {reason}")
        self.keystow = os.environ["KEYSTOW"]
        self.dir = tempfile.mkdtemp(prefix="keystow-test-")
        self.device = kind(self.path("device"))
        os.makedirs(self.path("device"))
        os.makedirs(self.path("config/keystow"))

    def __enter__(self):
        try:
            self.device.start()
            self.configure()
            self.write("pin", self.device.pin + "\n")
            self.write("so-pin", self.device.so_pin + "\n")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.device.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, text):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def configure(self):
        text = f"[module device]\npath = {self.device.module}\n"
        if self.device.init_args:
            text += f"init-args = {self.device.init_args}\n"
        self.write("config/keystow/config", text + "[defaults]\nmodule = device\n")

    @property
    def env(self):
        env = {**self.device.environment(), "XDG_CONFIG_HOME": self.path("config"), "XDG_STATE_HOME": self.path("state")}
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        return env

    def inside(self, argv):
        """The command in the device's world. nsenter begins in /, so the folder is entered behind it."""
        return [*self.device.prefix, "sh", "-c", 'cd "$0" && exec "$@"', self.dir, *argv] if self.device.prefix else list(argv)

    def run(self, *argv, stdin=None):
        begin = time.monotonic()
        got = subprocess.run(self.inside(argv), env=self.env, cwd=self.dir, input=stdin, capture_output=True, timeout=SAFETY)
        rc = got.returncode if got.returncode >= 0 else 128 - got.returncode
        return stand.Result(rc, got.stdout.decode(errors="replace"), got.stderr.decode(errors="replace"), time.monotonic() - begin, [], False)

    def ks(self, *args, pin="pin", option="--pin-source"):
        source = [option, "file:" + self.path(pin)] if pin else []
        return self.run(self.keystow, *args, *source)

    def terminal(self, *args, answers=()):
        """keystow with a person at its terminal who answers the prompts in turn: what was said, and the exit status."""
        argv = self.inside([self.keystow, *args])
        program = pexpect.spawn(argv[0], argv[1:], env={**self.env, "TERM": "dumb"}, cwd=self.dir, timeout=SAFETY, encoding="utf-8")
        said = ""
        for answer in answers:
            if program.expect([r"PIN[^\n]*: ?$", pexpect.EOF]) == 1:
                break
            said += program.before + str(program.after)
            program.sendline(answer)
        program.expect(pexpect.EOF)
        program.close()
        return said + program.before, program.exitstatus

    def json(self, *args, **more):
        got = self.ks(*args, "--json", **more)
        try:
            return json.loads(got.out)
        except ValueError:
            return {"unreadable": str(got)}

    def entry(self, label):
        return f"{self.device.uri};object={label}"

    def openssl(self, *args, **more):
        return self.run("openssl", *args, **more)

    def peer(self, *args):
        """pkcs11-tool on the same module; it knows no init string, so not every stack can be read by it."""
        return self.run("pkcs11-tool", "--module", self.device.module, "--token-label", self.device.label, "--login", "--pin", self.device.pin,
                        *args)
