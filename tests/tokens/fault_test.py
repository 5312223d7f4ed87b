#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever call of a command goes wrong, and however: no crash, no hang, a sentence that names the token, nothing half done.

fault_test.py [--every N] JOB...: a clean run tells which Cryptoki calls the command makes; then each of them is disturbed in each way, or
every N-th of these disturbances happens.
"""
from concurrent.futures import ThreadPoolExecutor
import queue
import re
import sys

import jobs
import stand

DEADLINE, LONG = 0.2, 1.0  # seconds; an honest key generation may come before the one that hangs
WORKERS = 4

# Calls that tell a length, a count, or a list: what can be lied about.
TELLS = {"C_GetSlotList", "C_GetMechanismList", "C_GetAttributeValue", "C_FindObjects", "C_Sign", "C_Decrypt"}
LIES = {"length -1": TELLS, "length 1000000": TELLS, "grow 64": TELLS, "answer BUFFER_TOO_SMALL": TELLS,
        "over 1": {"C_FindObjects"}, "garbage": {"C_Sign"}}

SLOW = {"C_GenerateKeyPair", "C_InitToken", "C_InitPIN", "C_SetPIN"}  # these have the long deadline
MAKES = {"C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_SetAttributeValue", "C_SetPIN", "C_InitPIN",
         "C_InitToken"}


def faults(call):
    """Rows of a schedule that disturb this call: (name, row)."""
    yield "device removed", f"* {call.n}+ answer DEVICE_REMOVED"
    yield "session invalid", f"{call.name} {call.nth} answer SESSION_HANDLE_INVALID"
    yield "PIN locked", f"{call.name} {call.nth} answer PIN_LOCKED"
    for lie, functions in LIES.items():
        if call.name in functions:
            yield "lies", f"{call.name} {call.nth} {lie}"
    if call.name == "C_FindObjects":
        yield "endless search", f"{call.name} {call.nth}+ endless"
    if call.name in MAKES:
        yield "done but denied", f"{call.name} {call.nth} after DEVICE_ERROR"
    if call.name == "C_GenerateKeyPair":
        yield "half a pair", f"{call.name} {call.nth} half public"
        yield "half a pair", f"{call.name} {call.nth} half private"
    if call.nth == 1:
        yield "function missing", f"{call.name} * null"
    if call.name == "C_Finalize":
        yield "crash at the end", f"{call.name} {call.nth} crash"
    yield "hang", f"{call.name} {call.nth} hang"


def honest(row):
    """A length of -1 is how a token says that an object has no such attribute, so showing less is a right answer to it; and so it is when
    the sizes of keys are not told."""
    return row.endswith("length -1") or row.startswith("C_GetMechanismInfo ")


def plain(text):
    """Output without what differs from run to run: digests, ids, dates, measures, the stand's folder."""
    odd = r"keystow-test-\w+| *[\d.]+ m?s\b| *\d+ a second|\(\d+ in|[0-9a-f]{8,}|[0-9a-f]{2}(:[0-9a-f]{2}){3,}|\d{4}-\d\d-\d\d\S*"
    return re.sub(odd, "#", text.lower())


def labels(seen):
    return sorted((kind, label) for kind, label, _ in seen)


def told_in(job, got, clean):
    """Does the answer itself tell of trouble that there is not without a disturbance?"""
    lines = set(plain(got.out).splitlines()) - set(plain(clean.out).splitlines())
    return bool(job.told and any(re.search(job.told, line) for line in lines))


class Series:
    """All disturbances of one job, on a few stands at once."""

    def __init__(self, job, base):
        self.job, self.stands, self.wrong, self.slowest, self.runs, self.codes = job, queue.Queue(), {}, 0.0, 0, {}
        first = jobs.furnish(base.copy())
        self.before = jobs.state(first, job)
        self.clean = job.run(first)
        jobs.check(self.clean, job.name, job.good)
        self.after = jobs.state(first, job)
        first.back()
        for at in [first] + [jobs.furnish(base.copy()) for _ in range(WORKERS - 1)]:
            self.stands.put(at)

    def blame(self, call, row, sentence, got):
        self.wrong.setdefault((call.name, row.split(None, 2)[2], sentence), []).append((call.nth, got))

    def told(self):
        """What went wrong, alike things together with the first of them in full."""
        for (name, fault, sentence), cases in self.wrong.items():
            yield f"{name} {[nth for nth, _ in cases]}: `{fault}`: {sentence}\n{cases[0][1]}"

    def look(self, at, call, kind, row, got):
        """Judges one disturbed run."""
        told = re.search(rf"(?m)^keystow: .*({self.job.names})", got.err) or told_in(self.job, got, self.clean)
        good = got.rc == self.job.good
        if got.hung:
            self.blame(call, row, "it hangs", got)
        elif got.rc >= 128 or got.rc == 70:
            self.blame(call, row, f"it ends by exit {got.rc}", got)
        elif kind == "crash at the end" and not good:
            self.blame(call, row, f"the work was done, but it ends by exit {got.rc}", got)
        elif good and plain(got.out) != plain(self.clean.out) and not honest(row) and not told:
            self.blame(call, row, "success with another answer, and no word about it", got)
        elif not good and not told:
            self.blame(call, row, "no sentence names the token", got)
        if got.logins("acorn"):
            self.blame(call, row, "a PIN was sent to a token that nobody named", got)
        if kind == "hang":
            self.slowest = max(self.slowest, got.silent - (LONG if call.name in SLOW else DEADLINE))
        # On a busy machine the deadline may end an honest call; what SoftHSM leaves of that one is its own affair.
        other = re.search(r"did not answer (\w+)", got.err)
        if self.job.writes and not (other and other[1] != call.name):
            self.look_at_token(at, call, row, got, told or honest(row))

    def look_at_token(self, at, call, row, got, told):
        now = jobs.state(at, self.job)
        if now is None:
            self.blame(call, row, "the token cannot be read any more", got)
            return
        if got.rc == 0 and not told and labels(now) != labels(self.after):
            self.blame(call, row, f"success, but the token holds {labels(now)}", got)
        for sentence in jobs.judge(at, self.job, self.before, now, got.err):
            self.blame(call, row, sentence, got)

    def disturb(self, call, kind, row):
        at = self.stands.get()
        try:
            deadline = {"long_deadline_ms": LONG} if call.name in SLOW else {"call_deadline_ms": DEADLINE}
            at.configure(**({name: int(seconds * 1000) for name, seconds in deadline.items()} if kind == "hang" else {}))
            got = self.job.run(at, row)
            self.runs += 1
            self.codes[got.rc] = self.codes.get(got.rc, 0) + 1
            self.look(at, call, kind, row, got)
        finally:
            at.back()
            self.stands.put(at)

    def all(self, every):
        rows = [(call, kind, row) for call in jobs.points(self.clean.calls) for kind, row in faults(call)]
        with ThreadPoolExecutor(WORKERS) as pool:
            work = [pool.submit(self.disturb, *row) for row in rows[::every]]
        for one in work:
            one.result()
        while not self.stands.empty():
            self.stands.get().__exit__()


def main():
    tap = stand.Tap()
    every, chosen = jobs.asked(sys.argv[1:])
    with jobs.prepare() as base:
        for job in chosen:
            series = Series(job, base)
            series.all(every)
            tap.ok(not series.wrong, f"{job.name}: {series.runs} disturbances of {len(series.clean.calls)} calls",
                   "\n".join(series.told()))
            tap.ok(series.slowest <= 1, f"{job.name}: a hanging call is answered in time")
            tap.say(f"{job.name}: slowest end {series.slowest:.3f} s after a deadline; exits {dict(sorted(series.codes.items()))}")
    tap.done()


if __name__ == "__main__":
    main()
