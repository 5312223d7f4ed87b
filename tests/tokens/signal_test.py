#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A signal while a token is in use: the call that is under way is waited for, what was begun is taken back, the token is logged out, sessions
are closed and the module is finalised; exit 4, or the command's own when it was done already. A module that crashes or hangs in C_Finalize
changes no exit code.
"""
from collections import Counter
import os
import signal
import subprocess
import time

import jobs
import stand

stand.need("openssl", "pkcs11-tool")
tap = stand.Tap()
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def begun(at, number):
    return any(line.split()[:1] == [">"] and line.split()[2] == str(number) for line in at.read("log").splitlines() if len(line.split()) > 2)


def signalled(at, job, number, which, times=1, action="sleep 400"):
    """Runs the job, which is slow in its call of that number, and sends the signal while it is in there."""
    at.write("log", "")
    env = {**at.env, "BALKY_LOG": at.path("log"), "BALKY_SCHEDULE": at.write("schedule", job.rows(f"* {number} {action}") + "\n")}
    source = [job.option, "file:" + at.path("pin")] if job.option else []
    with subprocess.Popen([at.keystow, *job.argv(at), *source], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd=at.dir, start_new_session=True) as program:
        limit = time.monotonic() + stand.SAFETY
        while not begun(at, number) and program.poll() is None and time.monotonic() < limit:
            time.sleep(0.005)
        for n in range(times):
            program.send_signal(which)
            time.sleep(0.05 if n + 1 < times else 0)  # two of one kind that come together are one
        try:
            out, err = program.communicate(timeout=stand.SAFETY)
        except subprocess.TimeoutExpired:
            program.kill()
            out, err = program.communicate()
        return stand.Result(program.returncode if program.returncode >= 0 else 128 - program.returncode, out.decode(), err.decode(), 0,
                            stand.calls_of(at.read("log")), False)


def put_away(calls):
    """What was opened is closed, in order: logout, sessions, finalize."""
    names = [call.name for call in calls]
    open_sessions = sum(c.name == "C_OpenSession" and c.rv == 0 for c in calls) - sum(c.name == "C_CloseSession" for c in calls)
    logged_in = any(c.name == "C_Login" and c.rv == 0 for c in calls)
    return (names[-1:] == ["C_Finalize"] or "C_Initialize" not in names) and open_sessions == 0 and \
        (not logged_in or "C_Logout" in names)


def labels(objects):
    return Counter(label for _, label, _ in objects or [])


def pairs_whole(objects):
    """No private key without its public key, nor the other way round."""
    ids = {kind: {ident for k, _, ident in objects or [] if k == kind} for kind in ("private key", "public key")}
    return ids["private key"] == ids["public key"]


at = jobs.prepare()
with at:
    jobs.furnish(at)
    before = at.objects("walnut")
    for turn, job in enumerate(jobs.JOBS):
        at.back()
        honest = job.run(at)
        names = [call.name for call in honest.calls]
        points = {2, len(names) // 2, len(names) - 3, *(names.index(n) + 1 for n in ("C_Login", "C_GenerateKeyPair", "C_Sign") if n in names)}
        bad, count = [], 0
        for number in sorted(p for p in points if 0 < p <= len(names)):
            at.back()
            got = signalled(at, job, number, SIGNALS[(turn + count) % 3])
            count += 1
            left = at.objects("walnut", stand.PIN) or at.objects("walnut", jobs.NEW_PIN)
            odd = [label for label in (labels(before) - labels(left)) + (labels(left) - labels(before))
                   if not any(label.startswith(name) for name in (*job.gone, *job.come))]
            if got.rc not in (4, job.good) or not put_away(got.calls) or odd or not pairs_whole(left):
                bad.append((number, names[number - 1], odd, [(c.name, c.rv) for c in got.calls][-8:], str(got)))
        tap.ok(not bad, f"{job.name}: a signal in {count} of its {len(names)} calls: all put away, no key half made, exit 4 or done", bad)

    at.back()
    got = signalled(at, jobs.JOBS[0], 8, signal.SIGINT, times=2, action="hang")
    tap.ok(got.rc == 4 and "at once" in got.err, "a second signal ends a call that hangs", got)

    at.back()
    at.configure(call_deadline_ms=1000)
    at.keep("short")
    for action in ("crash", "hang"):
        bad = []
        for job in jobs.JOBS:
            at.back("short")
            honest = job.run(at, f"C_Finalize * {action}")
            if honest.rc != job.good or honest.hung:
                bad.append((job.name, str(honest)))
        tap.ok(not bad, f"C_Finalize: {action} in each of {len(jobs.JOBS)} commands leaves the exit code of finished work", bad)

    at.back()
    reader, writer = os.pipe()
    os.close(reader)
    env = {**at.env, "BALKY_LOG": at.path("log")}
    at.write("log", "")
    with subprocess.Popen([at.keystow, "list", jobs.WALNUT, "--pin-source", "file:" + at.path("pin")], env=env, stdin=subprocess.DEVNULL,
                          stdout=writer, stderr=subprocess.PIPE, cwd=at.dir, start_new_session=True) as program:
        os.close(writer)
        err = program.communicate(timeout=stand.SAFETY)[1]
    calls = stand.calls_of(at.read("log"))
    tap.ok(0 <= program.returncode < 128 and put_away(calls), "a reader that went away is no signal, and the token is put away",
           (program.returncode, err))

tap.done()
