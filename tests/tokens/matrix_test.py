#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end-to-end job, the same for every device: matrix_test.py ROW. A device's `can` only says which kinds of keys it makes;
nothing else about the job changes. The judge is openssl, and pkcs11-tool where it can read the token."""
import os
import re
import sys

import rig
import stand

TYPES = {"p256": "EC P-256", "p384": "EC P-384", "rsa:2048": "RSA 2048", "ed25519": "Ed25519"}
CAN = {"p256": "p256", "p384": "p384", "rsa:2048": "rsa", "ed25519": "ed25519"}
PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.S)
tap = stand.Tap()


def say(claim, got, rc=0, word="", where="out"):
    """The command ended with `rc`, and said `word` there."""
    return tap.ok(got.rc == rc and word in getattr(got, where), claim, got)


def logins(got):
    return len(re.findall(r"(?m)^trace: .*\bC_Login\(", got.err))


def entries(at):
    """The entries that keystow lists: label -> kind, key and whether a certificate is with it."""
    told = at.json("list", at.device.uri)
    return {e.get("label"): e for store in told.get("stores", []) for e in store.get("entries", [])}


def public_of(at, kind, path):
    return at.openssl(kind, "-in", path, "-noout", "-pubkey").out


def prepare(at):
    at.ks("ca", "init", at.path("ca"), "--subject", "CN=Matrix CA", pin=None)
    if at.device.can["init"] and at.device.uri not in at.ks("token", "list", pin=None).out:
        slot = next(t["slot"] for t in at.json("token", "list", pin=None)["tokens"] if not t["initialized"])
        say("token init prepares the token", at.ks("token", "init", f"pkcs11:slot-id={slot}", "--label", at.device.label,
                                                   "--so-pin-source", "file:" + at.path("so-pin")))
    say("token info tells about it", at.ks("token", "info", at.device.uri), word=at.device.label)


def enroll(at, label, spec, *more):
    return at.ks("enroll", at.entry(label), "--type", spec, "--ca", at.path("ca"), "--subject", f"CN={label},O=Matrix", "--profile", "client",
                 *at.device.options, *more)


def certificate_of(at, label, name):
    """Copies the entry's certificate out; the path of the one that is no CA's."""
    if os.path.exists(at.path(name)):
        os.unlink(at.path(name))
    got = at.ks("copy", at.entry(label), "pem:" + at.path(name))
    own = [pem for pem in PEM.findall(at.read(name)) if pem not in at.read("ca/ca.pem")] if os.path.exists(at.path(name)) else []
    say(f"copy gives the certificate of {label} out", got, word="is not copied", where="err")
    return at.write(name, own[0]) if tap.ok(len(own) == 1, f"exactly one certificate of {label} comes out", got) else None


def signed_by_ca(at, path):
    got = at.openssl("verify", "-CAfile", at.path("ca/ca.pem"), path)
    return tap.ok(got.rc == 0, "openssl verifies the certificate against the CA", got)


def enrolled(at, spec, label):
    got = enroll(at, label, spec)
    if not say(f"{spec}: enroll makes key, request and certificate in one command", got, word="issued"):
        return False
    entry = entries(at).get(label, {})
    tap.ok(entry.get("kind") == "private-key" and entry.get("issuer") == "CN=Matrix CA", f"{spec}: list shows key and certificate together",
           entry)
    say(f"{spec}: show tells the kind of key", at.ks("show", at.entry(label)), word=TYPES[spec])
    say(f"{spec}: verify signs with the one and verifies with the other", at.ks("verify", at.entry(label)), word="holds together")
    say(f"{spec}: lint finds nothing to repair", at.ks("lint", at.device.uri))
    say(f"{spec}: a second enroll has nothing to do", enroll(at, label, spec), word="nothing to do")
    return True


def renewed(at, spec, label):
    before = certificate_of(at, label, "before.pem")
    say(f"{spec}: enroll --replace gives a new certificate", enroll(at, label, spec, "--replace"), word="issued")
    after = certificate_of(at, label, "after.pem")
    if before and after:
        signed_by_ca(at, after)
        tap.ok(at.read("before.pem") != at.read("after.pem"), f"{spec}: it is another one")


def requested(at, spec, label):
    """The long way: request, ca sign, install; the judge of the request's signature is openssl."""
    csr, pem = at.path(label + ".csr"), at.path(label + ".pem")
    say(f"{spec}: request writes a request", at.ks("request", at.entry(label), "--subject", f"CN={label},O=Long way", "-o", csr))
    tap.ok("verify OK" in str(at.openssl("req", "-in", csr, "-verify", "-noout")), f"{spec}: openssl verifies the request's signature")
    say(f"{spec}: ca sign signs it", at.ks("ca", "sign", csr, "--ca", at.path("ca"), "--profile", "client", "-o", pem, pin=None))
    say(f"{spec}: install refuses to put a second certificate in silence", at.ks("install", pem, at.device.uri, option="--to-pin-source"), rc=9, word="--replace", where="err")
    say(f"{spec}: install --replace puts it beside its key", at.ks("install", pem, at.device.uri, "--replace", option="--to-pin-source"))
    tap.ok(public_of(at, "req", csr) == public_of(at, "x509", pem) != "", f"{spec}: request and certificate name one public key")
    signed_by_ca(at, pem)
    out = certificate_of(at, label, "installed.pem")
    tap.ok(out and at.openssl("x509", "-in", out, "-outform", "DER").out == at.openssl("x509", "-in", pem, "-outform", "DER").out,
           f"{spec}: the token gives back what was installed")


SIGNATURES = {  # how pkcs11-tool signs, and how openssl looks at it
    "p256": (["-m", "ECDSA", "--signature-format", "openssl"], []),
    "p384": (["-m", "ECDSA", "--signature-format", "openssl"], []),
    "rsa:2048": (["-m", "RSA-PKCS"], []),
}


def seen_by_peer(at, spec, label):
    """pkcs11-tool finds the key by the id that keystow gave it, and its signature fits keystow's certificate."""
    if not at.device.can["peer"] or spec not in SIGNATURES:
        return
    ident, how = entries(at)[label]["id"], SIGNATURES[spec][0]
    with open(at.path("digest"), "wb") as file:
        file.write(os.urandom(32))
    got = at.peer("--sign", "--id", ident, *how, "-i", at.path("digest"), "-o", at.path("signature"))
    at.write("key.pem", public_of(at, "x509", at.path(label + ".pem")))
    judged = at.openssl("pkeyutl", "-verify", "-pubin", "-inkey", at.path("key.pem"), "-in", at.path("digest"), "-sigfile", at.path("signature"))
    tap.ok("Verified Successfully" in judged.out, f"{spec}: what pkcs11-tool signs with the key fits keystow's certificate", f"{got}\n{judged}")


def renamed_and_removed(at, spec, label):
    moved = label + " moved"
    say(f"{spec}: rename", at.ks("rename", at.entry(label), moved))
    there = entries(at)
    tap.ok(moved in there and label not in there and "issuer" in there[moved], f"{spec}: key and certificate moved together", there)
    say(f"{spec}: remove", at.ks("remove", at.entry(moved.replace(" ", "%20"))))
    there = entries(at)
    tap.ok(moved not in there, f"{spec}: nothing of the entry is left", there)


def merged(at):
    for name in ("one", "two"):
        at.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                   "-keyout", "/dev/null", "-out", at.path(f"bundle-{name}.pem"))
    at.write("bundle.pem", at.read("bundle-one.pem") + at.read("bundle-two.pem"))
    merge = ("merge", at.path("bundle.pem"), at.device.uri)
    say("merge puts a small bundle on the token", at.ks(*merge, option="--to-pin-source"), word="2 added")
    say("a second merge has nothing to do", at.ks(*merge, option="--to-pin-source"), word="nothing to do", where="err")
    at.write("bundle.pem", at.read("bundle-one.pem"))
    say("merge takes away what left the bundle", at.ks(*merge, "--allow-shrink", option="--to-pin-source"), word="1 removed")


def pin_state(at):
    return (at.json("token", "info", at.device.uri, pin=None).get("tokens") or [{}])[0].get("pin")


def guarded(at):
    """A wrong PIN is one try in all its runs, and a script stops before the token could lock, also where no flag warns."""
    state = []
    for wrong in ("975310", "975311", "975312", "975313"):
        at.write("wrong", wrong + "\n")
        first = at.ks("list", at.device.uri, "--trace", pin="wrong")
        again = at.ks("list", at.device.uri, "--trace", pin="wrong")
        state.append(pin_state(at))
        if first.rc == 5:
            tap.ok(logins(first) == 0, "few tries are not for a script: nothing was sent", first)
            break
        tap.ok(first.rc == 4 and logins(first) == 1, f"the wrong PIN {wrong} is one try", first)
        tap.ok(again.rc in (4, 5) and logins(again) == 0, f"and {wrong} is not sent again", again)
    tap.ok(first.rc == 5 and not {"locked", "last-try"} & set(state), "the token is neither locked nor at its last try", state)
    said, rc = at.terminal("list", at.device.uri, "--pin-source", "prompt", answers=[at.device.pin])
    tap.ok(rc == 0, "the right PIN of a person at a terminal still opens it", said)
    say("and then scripts may go on", at.ks("list", at.device.uri))


def ed25519_in_one_command(at):
    """Bar: pkcs11-tool has no requests at all, and libp11 0.4.12 finds no private key on a token with an Ed25519 key."""
    got = enroll(at, "edward", "ed25519")
    say("an Ed25519 key made in the token and its certificate come from one command", got, word="issued")
    helped = at.run("pkcs11-tool", "--help")
    tap.ok(not re.search(r"csr|pkcs.?10|certificate request", helped.out + helped.err, re.I), "pkcs11-tool has no word for a request", helped)
    if "[ available ]" not in at.openssl("engine", "-t", "pkcs11").out:
        tap.say("libp11's engine is not installed: not compared")
        return
    at.device.env["PKCS11_MODULE_PATH"] = at.device.module
    got = at.openssl("req", "-new", "-engine", "pkcs11", "-keyform", "engine", "-key", f"{at.entry('edward')};pin-value={at.device.pin}",
                     "-subj", "/CN=edward", "-out", at.path("libp11.csr"))
    tap.ok(got.rc != 0 and not os.path.exists(at.path("libp11.csr")), "libp11 makes no request with that key", got)
    tap.say("openssl -engine pkcs11: " + next((line for line in got.err.splitlines() if "enumerate" in line or "not found" in line), "failed"))


def hindered(at):
    got = enroll(at, "edward", "ed25519")
    tap.ok(got.rc == 6 and "Ed25519" in got.err and at.device.label in got.err, "a kind of key that the token cannot make is told, exit 6", got)
    tap.ok("edward" not in entries(at), "and nothing of it stays")


def imported(at):
    """A key from a file: it works in the token afterwards, or the device is known not to take it."""
    at.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=guest",
               "-keyout", at.path("guest.pem"), "-out", at.path("guest.crt"))
    at.write("guest.pem", at.read("guest.pem") + at.read("guest.crt"))
    got = at.ks("copy", at.path("guest.pem"), at.device.uri, option="--to-pin-source")
    if not at.device.can["import_ec"]:
        tap.ok(got.rc == 6 and at.device.label in got.err, "that the device takes no key from outside is told, exit 6", got)
        tap.ok(not any(entry.get("subject") == "CN=guest" for entry in entries(at).values()), "and nothing of it stays")
        return
    label = next((label for label, entry in entries(at).items() if entry.get("subject") == "CN=guest" and entry["kind"] == "private-key"), None)
    if tap.ok(got.rc == 0 and label, "a key from a file is put into the token, with a warning", got):
        tap.ok("other copies of it may exist" in got.err, "that warning tells why a key made inside is better", got)
        say("it signs there", at.ks("verify", at.entry(label.replace(" ", "%20"))), word="holds together")


def known(at):
    """token info tells the quirks that the table has for this device, which the device's row expects."""
    told = (at.json("token", "info", at.device.uri).get("tokens") or [{}])[0].get("known", [])
    for words in at.device.known:
        tap.ok(any(words in sentence for sentence in told), f"token info knows: {words}", told)
    tap.ok(bool(told) == bool(at.device.known), "and nothing is said of a device without quirks", told)


with rig.Rig(sys.argv[1]) as at:
    prepare(at)
    for spec in [spec for spec in TYPES if at.device.can[CAN[spec]]]:
        label = "key-" + spec.partition(":")[0]
        if enrolled(at, spec, label):
            renewed(at, spec, label)
            requested(at, spec, label)
            seen_by_peer(at, spec, label)
            renamed_and_removed(at, spec, label)
    merged(at)
    imported(at)
    known(at)
    if at.device.can["ed25519"]:
        ed25519_in_one_command(at)
    else:
        hindered(at)
    guarded(at)
tap.done()
