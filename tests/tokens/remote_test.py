#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A token at the other end of p11-kit's remoting whose server ends in the middle of a call: a sentence, exit 8, and nothing half
done once the server is back."""
import os
import signal
import subprocess

import rig
import stand
from devices import DEVICES
from devices.device import PATIENCE, until

tap = stand.Tap()


def descendants(pid):
    """The server forks for each client; its processes by their own ids, the server last."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [one for child in file.read().split() for one in descendants(int(child))] + [pid]


def entered(at, function):
    """balky, inside of the server, has told that the call began."""
    log = at.device.path("balky.log")
    return os.path.exists(log) and any(line.startswith(">") and f" {function} " in line for line in open(log, errors="replace"))


class Hanging(DEVICES["remote"]):
    """The server serves balky, so that a call stays in the module until the server is ended."""
    name = "remote, hanging"

    def start(self):
        self.provider, self.behind = os.environ["KEYSTOW_BALKY"], stand.SOFTHSM
        self.schedule("")
        self.env.update({"BALKY_MODULE": "", "BALKY_LOG": self.path("balky.log"), "BALKY_SCHEDULE": self.path("schedule")})
        super().start()

    def serve(self):
        self.env["BALKY_MODULE"] = self.behind
        return super().serve()

    def again_with(self, text):
        """A new server with that schedule; one that was killed leaves its socket behind."""
        self.stop()
        if os.path.exists(self.path("server.sock")):
            os.unlink(self.path("server.sock"))
        self.schedule(text)
        return self.serve()

    def schedule(self, text):
        self.write("schedule", text + "\n")
        self.write("balky.log", "")


DEVICES[Hanging.name] = Hanging

for function, argv in {
    "C_GenerateKeyPair": ["generate", "{new}", "--type", "p256"],
    "C_Sign": ["request", "{key}", "--subject", "CN=key", "-o", "{csr}"],
    "C_FindObjects": ["list", "{token}"],
    "C_Login": ["generate", "{new}", "--type", "p256"],
    "C_DestroyObject": ["remove", "{key}"],
}.items():
    with rig.Rig(Hanging.name) as at:
        made = at.ks("generate", at.entry("key"), "--type", "p256")
        if not tap.ok(made.rc == 0, f"{function}: the token works through the server", made):
            continue
        server = at.device.again_with(f"{function} * hang")
        words = {"new": at.entry("new"), "key": at.entry("key"), "token": at.device.uri, "csr": at.path("key.csr")}
        with subprocess.Popen([at.keystow, *[word.format(**words) for word in argv], "--pin-source", "file:" + at.path("pin")],
                              env=at.env, cwd=at.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            until(lambda: entered(at, function) or program.poll() is not None, function)
            alive = program.poll() is None
            for pid in descendants(server.pid):
                os.kill(pid, signal.SIGKILL)
            out, err = (part.decode(errors="replace") for part in program.communicate(timeout=PATIENCE))
        said = f"exit {program.returncode}\nstdout: {out}\nstderr: {err}"
        tap.ok(alive and program.returncode == 8, f"{function}: the server ends in the middle of it, and keystow with 8", said)
        tap.ok(err.startswith("keystow: ") and "KS-08" in err and at.device.label in err, f"{function}: the sentence names the token", said)
        at.device.again_with("")
        listed = at.ks("list", at.device.uri)
        tap.ok(listed.rc == 0 and "key\t" in listed.out and "new\t" not in listed.out,
               f"{function}: when the server is back, the token is as it was", listed)
tap.done()
