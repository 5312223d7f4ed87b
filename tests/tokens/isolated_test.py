#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`load = isolated`: every command works through a module in a process of its own, and when that crashes or hangs, ours does not."""
import os
import shutil
import subprocess
import time

import jobs
import stand

stand.need("p11-kit", "openssl", "pkcs11-tool")
tap = stand.Tap()
PATHS = subprocess.run(["pkg-config", "--variable=p11_module_path", "p11-kit-1"], capture_output=True, text=True).stdout.strip()
if not os.path.exists(os.path.join(PATHS, "p11-kit-client.so")):
    stand.skip("p11-kit-client.so is not installed")


def isolate(at, **defaults):
    rows = "".join(f"{key.replace('_', '-')} = {value}\n" for key, value in defaults.items())
    at.write("home/config/keystow/config", f"[module soft]\npath = {at.balky}\nload = isolated\n[defaults]\nmodule = soft\n{rows}")


def children(at):
    """Processes that work on the tokens of this stand: only they have its folder in their environment."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                mine = at.dir.encode() in file.read()
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                mine = mine and b"remote" in file.read()
        except OSError:
            continue
        if mine:
            found.append(pid)
    return found


def gone(at):
    limit = time.monotonic() + stand.SAFETY
    while children(at) and time.monotonic() < limit:
        time.sleep(0.01)
    return not children(at)


at = jobs.prepare()
with at:
    jobs.furnish(at)
    isolate(at)
    at.keep()
    for job in jobs.JOBS:
        at.back()
        got = job.run(at)
        if job.name in ("token backup", "token restore"):
            tap.ok(got.rc == 6 and gone(at), f"{job.name}: p11-kit passes on no way to wrap keys, which is told", got)
        else:
            tap.ok(got.rc == job.good and gone(at), f"{job.name} works through an isolated module", got)

    by_name = {job.name: job for job in jobs.JOBS}
    isolate(at, call_deadline_ms=2000)
    at.keep()
    for call, name in (("C_GetSlotList", "list"), ("C_Login", "list"), ("C_FindObjects", "list"), ("C_Sign", "request"),
                       ("C_GenerateKeyPair", "generate"), ("C_CreateObject", "install")):
        at.back()
        got = by_name[name].run(at, f"{call} * crash")
        tap.ok(got.rc == 8 and "isolated" in got.err and "KS-7001" not in got.err and gone(at),
               f"{name}: a module that crashes in {call} is a sentence and exit 8", got)
    for call, name in (("C_FindObjects", "list"), ("C_Sign", "request")):
        at.back()
        got = by_name[name].run(at, f"{call} * hang")
        tap.ok(got.rc == 8 and not got.hung and "did not answer" in got.err and gone(at),
               f"{name}: a module that hangs in {call} ends at the deadline, and its process with it", got)
    at.back()
    got = by_name["list"].run(at, "C_Finalize * crash")
    tap.ok(got.rc == 0 and gone(at), "a crash in C_Finalize changes nothing of finished work", got)
    at.back()
    got = by_name["token info"].run(at)
    tap.ok(got.rc == 0 and "hides the mechanisms" in got.err, "token info says that mechanisms are hidden", got)
    os.makedirs(at.path("a folder"))
    shutil.copy(at.balky, at.path("a folder/balky.so"))
    at.write("home/config/keystow/config", f"[module soft]\npath = {at.path('a folder/balky.so')}\nload = isolated\n[defaults]\nmodule = soft\n")
    got = by_name["list"].run(at)
    tap.ok(got.rc == 8 and "character in its path" in got.err and not got.calls, "a path that p11-kit would take apart is refused", got)

tap.done()
