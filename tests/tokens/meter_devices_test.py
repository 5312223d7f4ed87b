#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The PIN meter on each device: meter_devices_test.py ROW.

balky stands between keystow and the device's own module, and its log tells each PIN that was sent, and to which token; where the device
counts tries and tells of them, as a SmartCard-HSM does, the device is the judge. Where it tells nothing (a TPM locks at the third wrong PIN)
the count is all there is. The matrix of devices does its job with the right PIN.
"""
import os
import re
import shutil
import subprocess
import sys

import jobs
import rig
import stand

stand.need("openssl", "pkcs11-tool", "softhsm2-util")
tap = stand.Tap()
ROW = sys.argv[1]
METERED = [job for job in jobs.JOBS if job.option and job.name != "token init" and job.tokens == ("walnut",)]
NAMELESS = [job for job in jobs.JOBS if not job.option and job.name in ("list of all", "token list")]
WRONG = ["975310", "975311", "975312"]
PINS = ("C_Login", "C_SetPIN", "C_InitPIN")
PAD = "0" * 16  # balky's word for no PIN, which asks for the one at the pad
RUNS = 100


class Meter(rig.Rig):
    """The device behind balky, with what the commands need beside it; their own objects they never come to see."""

    def configure(self):
        self.real = self.device.module
        self.device.module = shutil.copy(os.environ["KEYSTOW_BALKY"], self.path("balky.so"))
        super().configure()

    @property
    def env(self):
        return {**super().env, "BALKY_MODULE": self.real, "BALKY_LOG": self.path("log")}

    def ks(self, *args, schedule=None, pin="pin", option="--pin-source"):
        self.write("log", "")
        self.write("schedule", (schedule or "") + "\n")
        got = super().ks(*args, pin=pin, option=option)
        got.calls = stand.calls_of(self.read("log"))
        return got

    def furnish(self):
        """Files as the jobs know them; the CA whose key is in a token names this one."""
        with jobs.prepare() as soft:
            shutil.copytree(soft.path("files"), self.path("files"))
        self.write("new-pin", "135792\n")
        self.write("list", "fresh\tCN=fresh\n")
        conf = self.read("files/hsm-ca/ca.conf")
        self.write("files/hsm-ca/ca.conf", re.sub(r"pkcs11:\S+", f"{self.device.uri};object=root", conf))

    def forget(self):
        shutil.rmtree(self.path("state"), ignore_errors=True)

    def login(self, pin):
        """Another program tries a PIN: the right one makes the count full, a wrong one spends a try."""
        label = self.json("token", "info", self.device.uri, pin=None)["tokens"][0]["label"]  # with its decoration
        return self.run("pkcs11-tool", "--module", self.real, "--token-label", label, "--login", "--pin", pin, "-O")

    def state(self):
        return (self.json("token", "info", self.device.uri, pin=None).get("tokens") or [{}])[0].get("pin")


def sent(got):
    return [call for call in got.calls if call.name in PINS]


def strayed(at, calls, pins):
    """PINs that went to another token than the named one, or that nobody gave."""
    known = {stand.digest(pin) for pin in pins} | {PAD}
    return [(call.name, call.token, call.pin) for call in calls
            if not (call.token == at.device.label or call.token.startswith(at.device.label + "_(")) or call.pin not in known]


def in_a_hundred_runs(at):
    """One wrong PIN, over all commands in turn, as a script that is started again and again would send it; then others."""
    at.write("pin", WRONG[0] + "\n")
    calls, odd = [], []
    for n in range(RUNS):
        got = METERED[n % len(METERED)].run(at)
        calls += sent(got)
        if got.rc not in (4, 5):
            odd.append(f"{METERED[n % len(METERED)].name}: {got}")
    tap.ok(not odd, f"each of {RUNS} runs of {len(METERED)} commands ends with 4 or 5", "\n".join(odd))
    tap.ok(len(calls) == 1, f"one wrong PIN in {RUNS} runs is sent {len(calls)} time")
    for pin in WRONG[1:]:
        at.write("pin", pin + "\n")
        for job in METERED:
            calls += sent(job.run(at))
    state = at.state()
    tap.ok(len(calls) <= 2 and state not in ("locked", "last-try"), f"three wrong PINs in {RUNS + 2 * len(METERED)} runs are {len(calls)} tries: "
           f"the PIN is {state}", calls)
    tap.ok(not strayed(at, calls, WRONG), "they went to the named token and to no other", strayed(at, calls, WRONG))


def opens(at):
    """The last try was not burnt: the right PIN of a person opens it, and then scripts go on."""
    said, rc = at.terminal("list", at.device.uri, "--pin-source", "prompt", answers=[at.device.pin])
    tap.ok(rc == 0, "the right PIN of a person at a terminal still opens it", said)
    at.write("pin", at.device.pin + "\n")
    got = at.ks("list", at.device.uri)
    tap.ok(got.rc == 0 and not strayed(at, sent(got), [at.device.pin]) and {c.pin for c in sent(got)} == {stand.digest(at.device.pin)},
           "then a script sends the right PIN to the named token", got)


def with_few_tries(at):
    """Each command with 3, 2 and 1 tries left on a device that counts them; another program spent the others."""
    runs = burnt = 0
    for job in METERED:
        bad = []
        for left in (3, 2, 1):
            at.forget()
            at.login(at.device.pin)
            for pin in WRONG[1:1 + 3 - left]:
                at.login(pin)
            at.write("pin", WRONG[0] + "\n")
            got = job.run(at)
            runs += 1
            burnt += at.state() == "locked"
            if got.rc != (4 if left == 3 else 5) or len(sent(got)) != (left == 3) or strayed(at, sent(got), WRONG[:1]):
                bad.append((left, strayed(at, sent(got), WRONG[:1]), str(got)))
        tap.ok(not bad, f"{job.name}: a wrong PIN with 3, 2, 1 tries left on the card's own counter: no last try", bad)
    tap.ok(burnt == 0, f"{runs} runs, {burnt} last tries burnt")
    at.login(at.device.pin)


def at_the_pad(at):
    """Who types at the pad is a person, whose PIN nobody else sees: the flags are all there is to go by."""
    at.device.type(*WRONG * RUNS)
    logins = 0
    for n in range(RUNS // 4):
        got = METERED[n % len(METERED)].run(at)
        logins += len(sent(got))
        if strayed(at, sent(got), ()):
            tap.ok(False, "a PIN went astray", got)
    tap.ok(logins == 2 and at.state() == "last-try", f"{RUNS // 4} runs with a wrong PIN at the pad are {logins} tries: the PIN is {at.state()}")
    at.device.type(at.device.pin)
    at.login(at.device.pin)
    tap.ok(at.state() == "ok", "the right PIN at the pad still opens it", at.state())


def prepared(at):
    at.furnish()
    lost = jobs.forgotten(at)
    tap.ok(not lost, "every command of the table that may reach a token has a row", lost)
    if at.device.can["init"] and at.device.uri not in at.ks("token", "list", pin=None).out:
        slot = next(t["slot"] for t in at.json("token", "list", pin=None)["tokens"] if not t["initialized"])
        at.ks("token", "init", f"pkcs11:slot-id={slot}", "--label", at.device.label, "--so-pin-source", "file:" + at.path("so-pin"))
    if ROW in ("softhsm", "vhsm"):
        at.device.again()  # a second token, which nobody names


with Meter(ROW) as at:
    prepared(at)
    for job in NAMELESS:
        got = job.run(at)
        tap.ok(got.rc == 0 and not sent(got), f"{job.name}: names no token, so no PIN is sent", got)
    if ROW == "vhsm-pin-pad":
        at_the_pad(at)
    else:
        in_a_hundred_runs(at)
        opens(at)
    if ROW == "vhsm":
        with_few_tries(at)
tap.done()
