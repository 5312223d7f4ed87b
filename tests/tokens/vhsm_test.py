#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a SmartCard-HSM shows that other tokens of the tests do not: decorated labels, a PIN that locks and is unblocked, a key that
wants a login for each signature, a keypad, a card that is pulled again. The ordinary job on it is a row of the matrix."""
import re

import dkek
import rig
import stand

tap = stand.Tap()
WRONG = ("000000", "111111", "222222")


def say(claim, got, rc=0, word="", where="out"):
    """The command ended with `rc`, and said `word` there."""
    return tap.ok(got.rc == rc and word in getattr(got, where), claim, got)


def logins(got, user="CKU_USER"):
    return len(re.findall(rf"C_Login\(.*{user}", got.err))


def pin_state(at):
    return (at.json("token", "info", at.device.uri, pin=None).get("tokens") or [{}])[0].get("pin")


def labels(at):
    said = at.ks("token", "list", pin=None)
    tap.ok("walnut (UserPIN)" in said.out and "SmartCard-HSM (UserPIN)" in said.out, "two readers, two cards", said)
    for name in ("walnut", "walnut%20%28UserPIN%29"):
        say(f"the card is found as {name}", at.ks("list", f"pkcs11:token={name}"))
    said = at.ks("list", at.device.uri)
    tap.ok(said.rc == 0 and said.out == "", "the profile that OpenSC adds to a card is no entry of it", said)
    say("part of a label is none", at.ks("list", "pkcs11:token=wal"), 3, "walnut", "err")


def careful_key(at):
    """A key with CKA_ALWAYS_AUTHENTICATE, which the card uses once for each verification of the PIN."""
    at.peer("--keypairgen", "--key-type", "EC:secp256r1", "--id", "0a", "--label", "careful", "--always-auth")
    got = at.ks("request", at.entry("careful"), "--subject", "CN=careful", "-o", at.path("careful.csr"), "--trace")
    say("request signs with a key that wants a login for each signature", got)
    tap.ok(logins(got) == 1 and logins(got, "CKU_CONTEXT_SPECIFIC") == 1, "it logged in once, and once more for the signature", got)
    tap.ok("verify OK" in str(at.openssl("req", "-in", at.path("careful.csr"), "-verify", "-noout")), "openssl verifies the request")
    say("a CA signs it with such a key of its own", at.ks("ca", "init", "careful-ca", "--subject", "CN=Careful", "--key", at.entry("careful"),
                                                          option="--ca-pin-source"))
    at.openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", at.path("soft.key"), "-subj", "/CN=soft", "-out", at.path("soft.csr"))
    got = at.ks("ca", "sign", at.path("soft.csr"), "--ca", "careful-ca", "--profile", "client", "-o", at.path("soft.pem"), "--trace",
                option="--ca-pin-source")
    say("ca sign signs with it", got)
    tap.ok(logins(got, "CKU_CONTEXT_SPECIFIC") == got.err.count("C_Sign(") >= 1, "a login for each signature", got)
    tap.ok(at.openssl("verify", "-CAfile", at.path("careful-ca/ca.pem"), at.path("soft.pem")).rc == 0, "openssl verifies what it signed")


def vanishing(at):
    """OpenSC 0.23: a certificate goes with its private key."""
    say("enroll for the next claim", at.ks("enroll", at.entry("gone"), "--type", "p256", "--ca", "ca", "--subject", "CN=gone", "--profile",
                                           "client"), word="issued")
    say("removing a key with its certificate ends well", at.ks("remove", at.entry("gone")))
    tap.ok("gone" not in at.ks("list", at.device.uri).out, "and nothing of it is listed")


def locked(at):
    at.write("wrong", WRONG[0] + "\n")
    say("a wrong PIN ends with 4", at.ks("list", at.device.uri, pin="wrong"), 4, "wrong", "err")
    state = [pin_state(at)]
    for pin in WRONG[1:]:
        at.peer_pin(pin)
        got = at.ks("list", at.device.uri, "--trace")
        tap.ok(got.rc == 5 and logins(got) == 0, f"with the PIN {state[-1]} nothing is sent without a person", got)
        state.append(pin_state(at))
    tap.ok(state == ["low", "last-try", "locked"], "token info tells how the tries go down", state)
    say("a PIN that is locked is told, with the way out", at.ks("list", at.device.uri), 5, "--unblock", "err")
    at.write("new", "975310\n")
    at.write("wrong-so", "0000000000000000\n")
    unblock = ("token", "pin", at.device.uri, "--unblock", "--new-pin-source", "file:" + at.path("new"))
    say("a wrong SO PIN ends with 4", at.ks(*unblock, option="--so-pin-source", pin="wrong-so"), 4, "officer's PIN", "err")
    say("and is not sent again", at.ks(*unblock, option="--so-pin-source", pin="wrong-so"), 4, "was not sent again", "err")
    say("the SO PIN unblocks", at.ks(*unblock, option="--so-pin-source", pin="so-pin"))
    say("with the new PIN the card is open", at.ks("list", at.device.uri, pin="new"))
    say("its user changes it back", at.ks("token", "pin", at.device.uri, "--new-pin-source", "file:" + at.path("pin"), pin="new"))
    say("and it is as before", at.ks("list", at.device.uri))


def pulled(at):
    at.device.pull()
    say("a card that was pulled is not found", at.ks("list", at.device.uri), 3, "walnut", "err")
    at.device.push()
    say("and found when it is back", at.ks("list", at.device.uri))


def keypad(at):
    say("token info says that the PIN is typed on the device", at.ks("token", "info", at.device.uri, pin=None), 0, "typed on the device")
    got = at.ks("generate", at.entry("typed"), "--type", "p256", pin=None)
    say("a key is made with the PIN that a person types", got, 0, "typed")
    got = at.ks("request", at.entry("typed"), "--subject", "CN=typed", "-o", at.path("typed.csr"), pin=None)
    say("and a request signed", got)
    at.device.type("000000")
    say("a wrong PIN at the keypad ends with 4", at.ks("request", at.entry("typed"), "--subject", "CN=t", "-o", at.path("t.csr"), pin=None),
        4, "PIN", "err")
    at.device.type()
    got = at.ks("request", at.entry("typed"), "--subject", "CN=t", "-o", at.path("t.csr"), pin=None)
    say("the cancel key ends with 4", got, 4, "its user stopped it", "err")
    at.device.type(at.device.pin)
    got = at.ks("request", at.entry("typed"), "--subject", "CN=t", "-o", at.path("t.csr"), pin=None)
    say("after that the right one is taken", got)
    at.device.type(at.device.pin, "975310")
    say("a PIN is changed at the keypad", at.ks("token", "pin", at.device.uri, pin=None))
    at.device.type("975310")
    say("the new one is the right one now", at.ks("request", at.entry("typed"), "--subject", "CN=t", "-o", at.path("t.csr"), "--replace", pin=None))


with rig.Rig("vhsm") as at:
    at.peer_pin = lambda pin: at.run("pkcs11-tool", "--module", at.device.module, "--token-label", at.device.label, "--login", "--pin", pin, "-O")
    at.ks("ca", "init", "ca", "--subject", "CN=Card CA", pin=None)
    for part in (labels, careful_key, vanishing, locked, pulled):
        part(at)
with rig.Rig("vhsm-pin-pad") as at:
    keypad(at)
with rig.Rig("vhsm") as at:
    dkek.travel(at, tap, shares_in_files=False)
tap.done()
