#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The faulty module itself: an innocent program must see exactly what the schedule says, else the other tests prove nothing."""
import os

import stand

stand.need("pkcs11-tool")
tap = stand.Tap()

with stand.Stand("first", "second") as at:
    def tool(schedule, *args, pin=stand.PIN):
        return at.run(["pkcs11-tool", "--module", at.balky, "--token-label", "first", "--login", "--pin", pin, *args],
                      schedule, timeout=3)

    made = tool(None, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "key")
    tap.ok(made.rc == 0 and [c.token for c in made.logins()] == ["first"],
           "without a schedule everything is forwarded, and the log names the token that got a PIN", made)
    tap.ok(made.calls[-1].name == "C_Finalize" and [c.n for c in made.calls] == list(range(1, len(made.calls) + 1)),
           "the log counts every call", [c.name for c in made.calls])
    tap.ok(stand.PIN not in at.read("log"), "the log never has a PIN")

    got = tool("C_OpenSession * answer DEVICE_REMOVED", "-O")
    tap.ok("CKR_DEVICE_REMOVED" in got.err and not got.logins(), "answer: the CKR instead of the call", got)
    got = tool("C_Login * after SESSION_HANDLE_INVALID", "-O")
    tap.ok("CKR_SESSION_HANDLE_INVALID" in got.err, "after: the CKR although the call was made", got)
    got = tool("* 5 kill-before", "-O")
    tap.ok(got.rc == 137 and got.calls[-1].n == 5 and got.calls[-1].rv is None, "kill-before: the nth call never starts", got)
    got = tool("* 5 kill-after", "-O")
    tap.ok(got.rc == 137 and len(got.calls) == 5, "kill-after: the nth call is the last", got)
    got = tool("C_Finalize * crash", "-O")
    tap.ok(got.rc == 139, "crash: a memory fault in C_Finalize", got)
    got = tool("C_FindObjects * hang", "-O")
    tap.ok(got.hung, "hang: the call does not come back", got)
    got = tool("C_FindObjects 1 sleep 300", "-O")
    tap.ok(got.rc == 0 and max(c.microseconds for c in got.calls) >= 300000, "sleep: the call comes back late", got)
    got = tool("C_FindObjects * endless", "-O")
    tap.ok(got.hung and len([c for c in got.calls if c.name == "C_FindObjects"]) > 100, "endless: the search goes on", got.rc)
    got, honest = (tool(schedule, "--read-object", "--type", "pubkey", "--label", "none", "-o", os.devnull)
                   for schedule in ("C_FindObjectsInit * wide", None))
    tap.ok("object not found" in honest.err and "object not found" not in got.err,
           "wide: the search gives what was not asked for", (got, honest))
    got = tool("C_GenerateKeyPair * half public", "--keypairgen", "--key-type", "EC:prime256v1", "--label", "half")
    seen = tool(None, "-O")
    tap.ok(got.rc != 0 and seen.out.count("label:      half") == 1 and seen.out.count("label:      key") == 2,
           "half: the pair's public key stays alone", seen)
    got = tool("C_Login * null", "-O")
    tap.ok(got.rc == 139, "null: a trusting program falls over the missing function", got)
    got = tool("C_Login sometimes hang", "-O")
    tap.ok(got.rc == 134 and "cannot follow" in got.err, "a schedule with a slip is never ignored", got)

    flags = []
    for pin in ("9999", "9999", "9999", stand.PIN):
        flags.append(at.run(["pkcs11-tool", "--module", at.balky, "-L"], "C_Login * tries 3").out)
        last = tool("C_Login * tries 3", "-O", pin=pin)
    tap.ok("user PIN count low" not in flags[0] and "user PIN count low" in flags[1] and
           "final user PIN try" in flags[2] and "user PIN locked" in flags[3] and
           "CKR_PIN_LOCKED" in last.err, "tries: low, then final, then locked, even with the right PIN", "\n".join(flags))

tap.done()
