#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each class of call has a deadline of its own: set alone, it ends a call of that class and no other."""
import jobs
import stand

stand.need("openssl", "pkcs11-tool")
tap = stand.Tap()
SHORT, FOR_EVER = 400, 86400000

# class, call that hangs, further rows of the schedule, command
JOBS = {job.name: job for job in jobs.JOBS}
ROWS = [
    ("look", "C_FindObjects", "", "list"),
    ("login", "C_Login", "", "list"),
    ("use", "C_Sign", "", "request"),
    ("write", "C_SetAttributeValue", "", "rename"),
    ("write", "C_DestroyObject", "", "remove"),
    ("end", "C_FindObjectsFinal", "", "list"),
    ("make", "C_GenerateKeyPair", "", "generate"),
    ("init", "C_InitToken", "", "token init"),
    ("init", "C_SetPIN", "", "token pin"),
    ("pad", "C_Login", f"\nC_GetTokenInfo * pin-pad {stand.PIN}", "list"),
]
CLASSES = ["look", "login", "use", "write", "end", "make", "init", "pad"]


def configured(at, **short):
    at.configure(call_deadline_ms=FOR_EVER, long_deadline_ms=FOR_EVER, **short)


at = jobs.prepare()
with at:
    jobs.furnish(at)
    for name, call, more, verb in ROWS:
        at.back()
        configured(at, **{name + "_deadline_ms": SHORT})
        got = JOBS[verb].run(at, f"{call} * hang{more}")
        tap.ok(got.rc == 8 and not got.hung and f"did not answer {call} within {SHORT} ms" in got.err
               and "another process has it, or the device hangs" in got.err and "KS-0803" in got.err,
               f"{name}: a {call} that hangs ends {verb} with exit 8 and a sentence", got)
        at.back()
        others = {other + "_deadline_ms": SHORT for other in CLASSES if other != name}
        configured(at, **others)
        got = JOBS[verb].run(at, f"{call} 1 sleep {3 * SHORT}{more}")
        tap.ok(got.rc == JOBS[verb].good and any(c.name == call and c.microseconds and c.microseconds >= 3000 * SHORT for c in got.calls),
               f"{name}: {call} may take longer when only the other classes are short", got)
    at.back()
    at.configure(sign_deadline_ms=1)
    got = JOBS["list"].run(at)
    tap.ok(got.rc == 2 and "sign-deadline-ms" in got.err, "a class that does not exist is refused", got)
    at.configure(use_deadline_ms=0)
    got = JOBS["list"].run(at)
    tap.ok(got.rc == 2 and "use-deadline-ms" in got.err, "a deadline of 0 is refused", got)

tap.done()
