#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ML-DSA (FIPS 204): mldsa_test.py ROW. Keys in files where OpenSSL has them (3.5), and in the device where it makes them; where not,
the sentence that says what is missing. The judge is openssl."""
import os
import sys

import rig
import stand

SETS = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
tap = stand.Tap()


def say(claim, got, rc=0, word="", where="out"):
    return tap.ok(got.rc == rc and word in getattr(got, where), claim, got)


def known(at):
    """Has openssl itself ML-DSA?"""
    return at.openssl("genpkey", "-algorithm", "ML-DSA-44", "-out", at.path("probe.key")).rc == 0


def judged(at, kind, path, word):
    """What openssl tells about the file."""
    return tap.ok(word.upper() in at.openssl(kind, "-in", path, "-noout", "-text").out.upper(), f"openssl reads {word} in the {kind} file")


def certified(at, store, label, spec, ca):
    """From key to certificate by the long way, for a key wherever it lives."""
    csr, pem = at.path(label + ".csr"), at.path(label + ".pem")
    say(f"{label}: request", at.ks("request", store + label, "--subject", f"CN={label}", "--san", "dns:www.example.org", "-o", csr))
    tap.ok("verify OK" in str(at.openssl("req", "-in", csr, "-verify", "-noout")), f"{label}: openssl verifies the request's signature")
    judged(at, "req", csr, spec)
    say(f"{label}: ca sign", at.ks("ca", "sign", csr, "--ca", ca, "--profile", "server", "-o", pem, pin=None))
    tap.ok("Key Encipherment" not in at.openssl("x509", "-in", pem, "-noout", "-text").out, f"{label}: the certificate enciphers no keys (RFC 9881 5)")
    got = at.openssl("verify", "-CAfile", os.path.join(ca, "ca.pem"), pem)
    tap.ok(got.rc == 0, f"{label}: openssl verifies the certificate", got)
    say(f"{label}: install", at.ks("install", pem, store.removesuffix("#").removesuffix(";object="), option="--to-pin-source"))
    say(f"{label}: show names the kind", at.ks("show", store + label), word=spec.upper())
    say(f"{label}: verify", at.ks("verify", store + label, "--anchors", os.path.join(ca, "ca.pem")), word="holds together")


def kinds(at):
    """label -> kind of key, as list tells it."""
    return {e.get("label"): e.get("key") for store in at.json("list", at.device.uri).get("stores", []) for e in store.get("entries", [])}


def in_files(at):
    for spec in SETS:
        say(f"generate makes {spec} in a file", at.ks("generate", f"p12:{at.path('keys.p12')}#{spec}", "--type", spec))
    text = at.openssl("pkcs12", "-in", at.path("keys.p12"), "-passin", "file:" + at.path("pin"), "-nodes", "-nocerts").out
    tap.ok(text.count("BEGIN PRIVATE KEY") == 3, "openssl reads the three keys", text)
    ca = at.path("ca")
    say("ca init makes a CA with such a key", at.ks("ca", "init", ca, "--subject", "CN=Lattice CA", "--type", "ml-dsa-87", pin=None))
    judged(at, "x509", ca + "/ca.pem", "ml-dsa-87")
    certified(at, f"p12:{at.path('keys.p12')}#", "ml-dsa-65", "ml-dsa-65", ca)


def in_the_token(at):
    for spec in SETS:
        got = at.ks("generate", at.entry("t-" + spec), "--type", spec)
        say(f"generate makes {spec} in the token", got)
    keys = kinds(at)
    tap.ok(all(keys.get("t-" + spec) == spec for spec in SETS), "list names each set", keys)
    say("generate says that such a key does not decrypt", at.ks("generate", at.entry("no"), "--type", "ml-dsa-65", "--usage", "decrypt"), rc=6,
        word="cannot decrypt", where="err")
    certified(at, at.device.uri + ";object=", "t-ml-dsa-65", "ml-dsa-65", at.path("ca"))
    got = at.ks("enroll", at.entry("whole"), "--type", "ml-dsa-44", "--ca", at.path("ca"), "--subject", "CN=whole", "--profile", "client",
                *at.device.options)
    say("enroll does all of it in one command", got, word="issued")
    ca = at.path("token-ca")
    say("a CA's key is made in the token", at.ks("ca", "init", ca, "--key", at.entry("authority"), "--subject", "CN=Token CA", "--type", "ml-dsa-65"))
    csr, pem = at.path("leaf.csr"), at.path("leaf.pem")
    at.openssl("req", "-new", "-newkey", "ML-DSA-44", "-nodes", "-keyout", at.path("leaf.key"), "-subj", "/CN=leaf", "-out", csr)
    say("it signs a request that openssl made", at.ks("ca", "sign", csr, "--ca", ca, "--profile", "client", "-o", pem, option="--ca-pin-source"))
    tap.ok(at.openssl("verify", "-CAfile", ca + "/ca.pem", pem).rc == 0, "openssl verifies what the token's CA signed")
    through_openssl(at)


def through_openssl(at):
    """The loadable provider: openssl signs and requests with the token's key."""
    module = os.environ["KEYSTOW_PROVIDER"]
    at.device.env["OPENSSL_CONF"] = at.write("openssl.cnf", f"""openssl_conf = init
[init]
providers = providers
[providers]
default = default_provider
keystow = keystow_provider
[default_provider]
activate = 1
[keystow_provider]
module = {module}
activate = 1
config = {at.path('config/keystow/config')}
pin-source = file:{at.path('pin')}
[req]
distinguished_name = name
[name]
""")
    csr = at.path("openssl.csr")
    got = at.openssl("req", "-new", "-key", at.entry("t-ml-dsa-87"), "-subj", "/CN=provider", "-out", csr)
    tap.ok(got.rc == 0 and "verify OK" in str(at.openssl("req", "-in", csr, "-verify", "-noout")), "openssl req signs with the token's key", got)
    at.write("text", "what is signed")
    got = at.openssl("pkeyutl", "-sign", "-rawin", "-inkey", at.entry("t-ml-dsa-44"), "-in", at.path("text"), "-out", at.path("text.sig"))
    pub = at.openssl("pkey", "-in", at.entry("t-ml-dsa-44"), "-pubout", "-out", at.path("text.pub"))
    seen = at.openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", at.path("text.pub"), "-in", at.path("text"), "-sigfile", at.path("text.sig"))
    tap.ok("Verified Successfully" in seen.out, "openssl pkeyutl signs, and verifies by the public half", f"{got}\n{pub}\n{seen}")
    del at.device.env["OPENSSL_CONF"]


def refused(at, where, *words):
    got = at.ks("generate", where, "--type", "ml-dsa-65")
    tap.ok(got.rc == 6 and all(word in got.err for word in words) and "next:" in got.err, f"that it cannot be is told: {' '.join(words)}", got)


with rig.Rig(sys.argv[1]) as at:
    if known(at):
        in_files(at)
        if "ML-DSA-65" in at.ks("token", "doctor", at.device.uri).out:
            in_the_token(at)
        else:
            refused(at, at.entry("no"), at.device.label, "makes no ML-DSA-65 keys")
            print(f"ok {tap.count + 1} # SKIP {sys.argv[1]} makes no ML-DSA keys")
            tap.count += 1
    else:
        refused(at, f"p12:{at.path('keys.p12')}#no", "OpenSSL", "has no ML-DSA-65", "3.5")
        tap.ok(not os.path.exists(at.path("keys.p12")), "and no file is left")
        refused(at, at.entry("no"), "OpenSSL", "has no ML-DSA-65", "3.5")
        print(f"ok {tap.count + 1} # SKIP this OpenSSL has no ML-DSA")
        tap.count += 1
    tap.ok("no" not in kinds(at), "nothing of what was refused stays", kinds(at))
tap.done()
