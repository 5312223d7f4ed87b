#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No PIN try is wasted: one wrong PIN is one try, an unclear address is none, and the last try is a person's to spend."""
import os
import subprocess

import pexpect

import stand

stand.need("softhsm2-util")
tap = stand.Tap()
WRONG = "864209753"


def terminal(at, schedule, *args, answers=()):
    """keystow with a person at its terminal who gives `answers` to the prompts in turn."""
    at.write("log", "")
    env = {**at.env, "BALKY_LOG": at.path("log"), "BALKY_SCHEDULE": at.write("schedule", schedule + "\n"), "TERM": "dumb"}
    program = pexpect.spawn(at.keystow, list(args), env=env, cwd=at.dir, timeout=stand.SAFETY, encoding="utf-8")
    said = ""
    for answer in answers:
        if program.expect([r"PIN[^\n]*: ?$", pexpect.EOF]) == 1:
            break
        said += program.before + str(program.after)
        program.sendline(answer)
    program.expect(pexpect.EOF)
    program.close()
    return stand.Result(program.exitstatus if program.exitstatus is not None else 128 + program.signalstatus,
                        said + program.before, "", 0, stand.calls_of(at.read("log")), False)


with stand.Stand("walnut") as at:
    at.configure()
    at.write("wrong", WRONG + "\n")
    walnut = "pkcs11:token=walnut"
    made = at.ks("generate", walnut + ";object=key", "--type", "p256")
    tap.ok(made.rc == 0 and len(made.logins()) == 1, "the right PIN is sent once", made)
    at.keep()

    got = at.ks("list", walnut, pin="wrong")
    tap.ok(got.rc == 4 and len(got.logins()) == 1 and "walnut" in got.err, "a wrong PIN is one try and exit 4", got)
    got = at.ks("list", walnut, pin="wrong")
    tap.ok(got.rc == 4 and not got.logins(), "a PIN that is known to be wrong is not sent again", got)
    got = at.ks("list", walnut)
    tap.ok(got.rc == 5 and not got.logins(), "a token that says that few tries are left gets nothing from a script", got)
    got = terminal(at, "", "list", walnut, "--pin-source", "prompt", answers=[stand.PIN])
    tap.ok(got.rc == 0 and len(got.logins()) == 1, "a person at a terminal may go on", got)
    got = at.ks("list", walnut)
    tap.ok(got.rc == 0 and len(got.logins()) == 1, "after that the script goes on, too", got)

    at.back()
    tries = "C_Login * tries 3"
    got = at.ks("list", walnut, schedule=tries, pin="wrong")
    tap.ok(got.rc == 4 and len(got.logins()) == 1 and ("few tries" in got.err or "tries" in got.err),
           "when the token tells that few tries are left, the sentence tells it too", got)
    got = terminal(at, tries, "list", walnut, "--pin-source", "prompt", answers=[WRONG + "1"])
    tap.ok(got.rc == 4 and len(got.logins()) == 1 and "one" in got.out.lower(), "the second wrong PIN leaves one try, and says so", got)
    got = at.ks("list", walnut, schedule=tries)
    tap.ok(got.rc == 5 and not got.logins() and "walnut" in got.err, "the last try is not spent by a script, even with the right PIN", got)
    got = at.ks("list", walnut, "--allow-last-try", schedule=tries)
    tap.ok(got.rc == 5 and not got.logins(), "--allow-last-try without a terminal sends nothing", got)
    got = terminal(at, tries, "list", walnut, "--pin-source", "prompt", answers=[stand.PIN])
    tap.ok(got.rc == 5 and not got.logins(), "a terminal without --allow-last-try sends nothing", got)
    got = terminal(at, tries, "list", walnut, "--pin-source", "prompt", "--allow-last-try", answers=[stand.PIN])
    tap.ok(got.rc == 0 and len(got.logins()) == 1, "a person at a terminal with --allow-last-try may spend it", got)

    at.back()
    got = at.ks("list", walnut, schedule="C_GetTokenInfo * flags LOCKED")
    tap.ok(got.rc == 5 and not got.logins() and "walnut" in got.err, "a token that says it is locked gets nothing: exit 5", got)
    got = at.ks("list", walnut, schedule="C_Login * answer PIN_LOCKED")
    tap.ok(got.rc == 5 and len(got.logins()) == 1 and "walnut" in got.err, "a token that answers locked: one try, exit 5", got)

    at.back()
    got = terminal(at, "C_Login * tries 3", "list", walnut, "--pin-source", "prompt", answers=[WRONG, WRONG + "2"])
    tap.ok(got.rc == 4 and len(got.logins()) == 1, "a wrong PIN at a terminal is not asked for twice in one command", got)

    at.back()
    wrongs = [at.write(f"wrong{i}", f"{WRONG}{i}\n") and f"wrong{i}" for i in range(4)]
    silent = "C_Login * tries 3\nC_GetTokenInfo * silent"
    sent = [len(at.ks("list", walnut, schedule=silent, pin=name).logins()) for name in (wrongs[0], wrongs[0], wrongs[1], wrongs[0], wrongs[1])]
    tap.ok(sent == [1, 0, 1, 0, 0], "on a token that tells nothing, each of two wrong PINs is sent once, in whatever order they come", sent)
    got = at.ks("list", walnut, schedule=silent, pin=wrongs[2])
    tap.ok(got.rc == 5 and not got.logins(), "and the third is a person's, although the token tells nothing", got)
    got = terminal(at, silent, "list", walnut, "--pin-source", "prompt", answers=[stand.PIN])
    tap.ok(got.rc == 0, "whose right PIN makes the memory empty", got)
    got = at.ks("list", walnut, schedule=silent)
    tap.ok(got.rc == 0 and len(got.logins()) == 1, "so that the script goes on", got)

    at.back()
    jobs = [subprocess.Popen([at.keystow, "list", walnut, "--pin-source", "file:" + at.path("wrong0")], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=at.dir, start_new_session=True,
                             env={**at.env, "BALKY_LOG": at.path("log"),
                                  "BALKY_SCHEDULE": at.write("schedule", "C_Login 1 sleep 200\nC_GetTokenInfo * silent\n")})
            for _ in range(8)]
    said = [job.communicate(timeout=stand.SAFETY)[1].decode() for job in jobs]
    sent = [call for call in stand.calls_of(at.read("log")) if call.name == "C_Login"]
    tap.ok(len(sent) == 1 and [job.returncode for job in jobs] == [4] * 8,
           "eight jobs that start together with one wrong PIN spend one try", (len(sent), said))

    at.back()
    at.write("so-pin", stand.SO_PIN + "\n")
    os.link(at.path("so-pin"), at.path("the-same"))
    for source in ("so-pin", "the-same"):
        got = at.ks("token", "pin", walnut, "--unblock", "--so-pin-source", "file:" + at.path("so-pin"), "--new-pin-source",
                    "file:" + at.path(source), pin=None)
        tap.ok(got.rc == 2 and not got.calls, f"the security officer's PIN and the user's from one file ({source}): refused", got)

    at.back()
    got = at.ks("show", walnut + ";object=key", schedule=f"C_GetTokenInfo * pin-pad {stand.PIN}", pin=None)
    tap.ok(got.rc == 0, "a token with a PIN pad of its own is never asked for through the keyboard", got)

    got = at.ks("request", walnut + ";object=key", "--subject", "CN=x", "-o", at.path("x.csr"),
                schedule=f"C_SignInit * always-authenticate {stand.PIN}")
    tap.ok(got.rc == 0 and len(got.logins()) == 2, "a key that wants a PIN for each signature gets it once more, for that", got)

with stand.Stand("walnut", "walnut", "acorn") as at:
    at.configure()
    got = at.ks("list", "pkcs11:token=walnut")
    tap.ok(got.rc == 3 and not got.logins() and got.err.count(", serial ") == 2,
           "two tokens of one label: exit 3, both candidates, no login anywhere", got)
    got = at.ks("generate", "pkcs11:token=walnut;object=key", "--type", "p256")
    tap.ok(got.rc == 3 and not got.logins(), "nothing is made on either of them", got)
    got = at.ks("list", "pkcs11:")
    tap.ok(got.rc == 3 and not got.logins(), "an address that names no token never logs in", got)
    got = at.ks("list", "pkcs11:token=acorns")
    tap.ok(got.rc == 3 and not got.logins() and "acorn" in got.err, "a token that is not there: exit 3, no login anywhere", got)

with stand.Stand("walnut", "acorn") as at:
    at.configure()
    at.write("wrong", WRONG + "\n")
    fields = {"manufacturer": "IBM Corp.".ljust(32), "model": "IBM SoftTok".ljust(16), "serial": "123".ljust(16)}
    alike = "\n".join(f"C_GetTokenInfo * field {name}={text.encode().hex()}" for name, text in fields.items())
    first, second = (at.ks("list", f"pkcs11:token={label}", pin="wrong", schedule=alike) for label in ("walnut", "acorn"))
    tap.ok(first.rc == second.rc == 4 and len(first.logins()) == len(second.logins()) == 1,
           "two tokens with the one serial number of their make: what was wrong for one may be right for the other", f"{first}\n{second}")

with stand.Stand("walnut", "acorn") as at:
    at.configure()
    walnut = "pkcs11:token=walnut"
    for ident in ("01", "02"):
        at.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", "walnut", "--pin", stand.PIN,
                "--keypairgen", "--key-type", "EC:prime256v1", "--label", "twin", "--id", ident])
    before = at.objects("walnut")
    got = at.ks("request", walnut + ";object=twin", "--subject", "CN=x", "-o", at.path("x.csr"))
    tap.ok(got.rc == 3 and not got.logins("acorn") and not any(c.name == "C_Sign" for c in got.calls),
           "two keys of one label: exit 3, no signature, and no login to any other token", got)
    got = at.ks("remove", walnut + ";object=twin")
    tap.ok(got.rc == 3 and at.objects("walnut") == before, "two keys of one label: nothing is removed", got)

tap.done()
