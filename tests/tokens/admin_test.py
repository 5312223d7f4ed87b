# SPDX-License-Identifier: Apache-2.0
"""What the owner of a token does with it, with pkcs11-tool and openssl as judges."""
import pexpect

import stand

stand.need("softhsm2-util", "pkcs11-tool", "openssl")
tap = stand.Tap()


def pkcs11_tool(at, *args, label="walnut", pin=None):
    login = ["--login", "--pin", pin] if pin else []
    return at.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", label, *login, *args])


def source(at, name, text):
    return "file:" + at.write(name, text + "\n")


def token_pin(at, *args, schedule=None):
    return at.ks("token", "pin", "pkcs11:token=walnut", *args, schedule=schedule, pin=None)


def officers_login(at, pin):
    return at.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", "walnut", "--login", "--login-type", "so",
                   "--so-pin", pin, "--init-pin", "--new-pin", stand.PIN]).rc == 0


def pins():
    with stand.Stand("walnut") as at:
        at.configure()
        old, so, new = "file:" + at.path("pin"), "file:" + at.path("so-pin"), source(at, "new", "97531864")
        got = token_pin(at, "--pin-source", old, "--new-pin-source", new)
        tap.ok(got.rc == 0 and at.objects("walnut", "97531864") == [], "a changed PIN is the one that pkcs11-tool logs in with", got)
        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", old)
        tap.ok(got.rc == 0 and at.objects("walnut") == [], "the security officer sets the user's PIN", got)
        got = token_pin(at, "--officer", "--so-pin-source", so, "--new-pin-source", source(at, "new-so", "86420975"))
        tap.ok(got.rc == 0 and not officers_login(at, stand.SO_PIN) and officers_login(at, "86420975"),
               "--officer changes the security officer's own PIN", got)
        at.write("so-pin", "86420975\n")

        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", so)
        tap.ok(got.rc == 2 and not got.logins() and "same source" in got.err, "user and officer never share a source: nothing is sent", got)
        got = at.ks("token", "init", "pkcs11:token=walnut", "--label", "x", "--so-pin-source", old)
        tap.ok(got.rc == 2 and not got.logins() and "same source" in got.err, "nor when a token is initialised", got)
        got = token_pin(at, "--unblock", "--officer", "--so-pin-source", so, "--new-pin-source", new)
        tap.ok(got.rc == 2 and not got.calls, "--unblock and --officer are two wishes", got)

        for kind, args in (("user", ["--pin-source", old]), ("officer", ["--officer", "--so-pin-source", so]),
                           ("unblock", ["--unblock", "--so-pin-source", so])):
            got = token_pin(at, *args, "--new-pin-source", source(at, "short", "12"))
            tap.ok(got.rc == 4 and "4 to 255" in got.err and not [c for c in got.calls if c.name in ("C_SetPIN", "C_InitPIN", "C_Login")],
                   f"a new PIN of a length that the token refuses is not sent ({kind})", got)
        for weak, why in (("1234", "row"), ("000000", "row"), ("987654", "row"), ("7193", "fewer than 6"), ("86420975", "the same one")):
            got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", source(at, "weak", weak))
            tap.ok(got.rc == 0 and "easy to guess" in got.err and why in got.err and weak not in got.err + got.out,
                   f"a PIN that is easy to guess is set and told: {why}", got)
        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", old)
        tap.ok(got.rc == 0 and not got.err, "of a good one nothing is said", got)

        got = token_pin(at, "--pin-source", old, "--new-pin-source", new, schedule="C_GetTokenInfo * flags LOCKED")
        tap.ok(got.rc == 5 and "--unblock" in got.err and not [c for c in got.calls if c.name == "C_SetPIN"],
               "a locked PIN is not tried, and the sentence names the way out", got)


def pins_at_a_terminal():
    with stand.Stand("walnut") as at:
        at.configure()
        program = pexpect.spawn(at.keystow, ["token", "pin", "pkcs11:token=walnut"], env={**at.env, "TERM": "dumb"}, cwd=at.dir,
                                timeout=stand.SAFETY, encoding="utf-8")
        for prompt, answer in ((r"\nPIN for token|^PIN for token", stand.PIN), ("new PIN for token", "55512345"), ("same again", "55512346"),
                               ("differ", None), ("new PIN for token", "75319468"), ("same again", "75319468")):
            program.expect(prompt)
            if answer:
                program.expect(": ")
                program.sendline(answer)
        program.expect(pexpect.EOF)
        said = program.before
        program.close()
        tap.ok(program.exitstatus == 0 and at.objects("walnut", "75319468") == [],
               "a new PIN is asked for twice, and again when the two differ", said)


def pins_on_a_pad():
    with stand.Stand("walnut") as at:
        at.configure()
        pad = f"C_GetTokenInfo * pin-pad {stand.PIN}"
        got = token_pin(at, schedule=pad)
        changed = [c for c in got.calls if c.name == "C_SetPIN"]
        tap.ok(len(changed) == 1 and "PIN source" not in got.err and "terminal" not in got.err,
               "a token with a pad of its own is given no PIN and asks for none here", got)


for job in (pins, pins_at_a_terminal, pins_on_a_pad):
    job()
tap.done()
