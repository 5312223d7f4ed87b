#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What --trace tells: every call by name, with its arguments and its answer, and nothing that is a secret."""
import os
import re
import stat

import jobs
import stand

stand.need("openssl", "pkcs11-tool")
tap = stand.Tap()
LINE = re.compile(r"^\d\d:\d\d:\d\d\.\d{6} \d+ (C_\w+)(\(.*\)(?: token .*)?| = (?:CKR_\w+), \d+ us(?:: .*)?)$")


def lines(text):
    return [line[len("trace: "):] for line in text.splitlines() if line.startswith("trace: ")]


def secret(text):
    return [pin for pin in (stand.PIN, stand.SO_PIN, jobs.NEW_PIN) if pin in text or pin.encode().hex() in text.lower()]


at = jobs.prepare()
with at:
    jobs.furnish(at)
    for job in jobs.JOBS:
        at.back()
        argv = [*job.argv(at), "--trace"]
        got = at.ks(*argv, pin="pin" if job.option else None, option=job.option)
        told = lines(got.err)
        odd = [line for line in told if not LINE.match(line)]
        began = [m[1] for m in map(LINE.match, told) if m and m[2].startswith("(")]
        # p11-kit asks modules too, and looks at the list of functions before we do: those calls are not ours to tell.
        made = [call.name for call in got.calls if call.name in began]
        tap.ok(got.rc == job.good and told and not odd and began.count("C_Login") == len(got.logins())
               and began.count("C_Sign") == made.count("C_Sign") and len(told) % 2 == 0 and not secret(got.err + got.out),
               f"{job.name}: {len(told)} lines, each call by name, no PIN", (odd, secret(got.err + got.out), got))

    at.back()
    walnut = jobs.WALNUT
    got = at.ks("request", walnut + ";object=key", "--subject", "CN=x", "-o", at.path("x.csr"), "--trace")
    text = "\n".join(lines(got.err))
    tap.ok("CKU_USER, PIN)" in text and "CKM_ECDSA" in text and re.search(r"C_Sign\(session \d+, 32 bytes sha256:[0-9a-f]{8},", text)
           and "CKA_LABEL=\"key\"" in text and "CKA_CLASS=CKO_PRIVATE_KEY" in text and not re.search(r"\b0x[0-9a-f]+", text),
           "constants are told by name, what is signed by its digest", text)
    got = at.ks("list", walnut, "--trace", schedule="C_Login * answer PIN_LOCKED")
    tap.ok("C_Login = CKR_PIN_LOCKED" in got.err, "a failure is told by its name", got)
    got = at.ks("list", walnut, "--trace", schedule="C_Login * answer 0x80001234")
    tap.ok("C_Login = code 0x80001234" in got.err, "a code without a name is told as a number", got)
    got = at.ks("list", walnut, "--trace", schedule="C_GetAttributeValue 1 length 0xfffffff0")
    tap.ok("claims 4294967280 bytes in a room of" in got.err, "a length that cannot be true is told and not followed", got)

    trace = at.path("trace")
    old_umask = os.umask(0)
    got = at.ks("list", walnut, "--trace=" + trace)
    os.umask(old_umask)
    first = at.read("trace")
    tap.ok(got.rc == 0 and "trace: " not in got.err and all(LINE.match(line) for line in first.splitlines())
           and stat.S_IMODE(os.stat(trace).st_mode) == 0o600, "--trace=FILE writes a file of mode 0600, and not on standard error", got)
    got = at.ks("list", walnut, "--trace=" + trace)
    tap.ok(got.rc == 0 and at.read("trace").startswith(first) and len(at.read("trace")) > len(first), "a second trace goes behind the first", got)
    os.mkfifo(at.path("fifo"))
    os.symlink(trace, at.path("link"))
    for name, code in (("fifo", 6), ("link", 6), ("none/trace", 3)):
        got = at.ks("list", walnut, "--trace=" + at.path(name))
        tap.ok(got.rc == code and not got.calls, f"--trace={name} is refused before anything is called", got)
    got = at.ks("list", walnut, "--trace=")
    tap.ok(got.rc == 2, "--trace= without a name is refused", got)
    got = at.ks("list", walnut)
    tap.ok(got.rc == 0 and "C_" not in got.err, "without --trace nothing is told", got)

    # The same code means another thing in another call; what to do next can be pasted.
    at.back()
    for call, code, words, advice in (
            ("C_GenerateKeyPair", "MECHANISM_INVALID", "does not make this kind of key", "keystow token info '?pkcs11:token=walnut"),
            ("C_OpenSession", "SESSION_COUNT", "has no session left", "end the other programs"),
            ("C_Login", "TOKEN_NOT_PRESENT", "is not there any more", "plug it in"),
            ("C_Initialize", "GENERAL_ERROR", "its configuration or its daemon may be missing", "SOFTHSM2_CONF")):
        job = "generate" if call == "C_GenerateKeyPair" else "request"
        got = {j.name: j for j in jobs.JOBS}[job].run(at, f"{call} * answer {code}")
        tap.ok(0 < got.rc < 70 and words in got.err and re.search("next: .*" + advice, got.err) and "TOKEN" not in got.err.split("next: ")[1],
               f"{code} of {call} has its own words and a next step", got)

tap.done()
