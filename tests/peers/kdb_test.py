#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""IBM key databases that keystow wrote, judged by kdb_check.py and openssl, and held against one that IBM's own program wrote."""
import hashlib
import json
import os
import shutil
import sys
import tempfile

import kdb_check
from kdb_check import FLAGS, Wrong, look
from rows import end, must, ok, run, skip

KEYSTOW = os.environ["KEYSTOW"]
CORPUS = os.environ.get("KEYSTOW_CORPUS") or os.path.join(os.environ["KEYSTOW_SOURCE"], "..", "shared", "corpus")
NATIVE = os.path.join(CORPUS, "keystores", "kdb", "keystore-explorer__chained.kdb")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = b"sample1"


def write(name, content):
    with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def keystow(*arguments):
    return must(KEYSTOW, *arguments, "--no-input")


def judged(claim, file, password=PASSWORD):
    """The records of a database, when nothing is wrong with it."""
    try:
        kind, records, slots = look(file, password)
    except Wrong as wrong:
        ok(False, claim, wrong)
        return [], []
    ok(kind == b"X509KEY", claim, kind)
    return records, slots


def issue(name, kind, ca=None, extra=()):
    """NAME.key and NAME.crt by openssl, signed by itself or by `ca`."""
    must("openssl", "genpkey", *kind, "-out", name + ".key")
    must("openssl", "req", "-new", "-key", name + ".key", "-subj", f"/O=Peers/CN={name}", "-out", name + ".csr", *extra)
    signer = ["-CA", ca + ".crt", "-CAkey", ca + ".key"] if ca else ["-signkey", name + ".key"]
    must("openssl", "x509", "-req", "-in", name + ".csr", "-days", "365", "-out", name + ".crt", *signer)


def subject_of(pem):
    return must("openssl", "x509", "-in", pem, "-noout", "-subject", "-nameopt", "RFC2253").strip()


def made():
    """Keys of three kinds under a chain of two, from a PKCS#12 file that openssl made."""
    rsa, ec, ed = (("-algorithm", "RSA"), ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), ("-algorithm", "ED25519"))
    issue("root", rsa)
    issue("middle", ec, "root")
    with open("chain.pem", "w", encoding="ascii") as chain:
        for name in ("middle", "root"):
            with open(name + ".crt", encoding="ascii") as part:
                chain.write(part.read())
    for name, kind in (("ibmwebspheremqqm1", rsa), ("app", ec), ("edwards", ed)):
        issue(name, kind, "middle")
        must("openssl", "pkcs12", "-export", "-inkey", name + ".key", "-in", name + ".crt", "-certfile", "chain.pem", "-name", name,
             "-out", name + ".p12", "-passout", "file:pin")
        keystow("copy", f"p12:{name}.p12?pin-source=file:pin", "kdb:made.kdb?pin-source=file:pin", "-q")
    records, _ = judged("a database of three keys and a chain holds: HMACs, index, shape, keys by openssl", "made.kdb")
    ok(sorted(r["kind"] for r in records) == ["personal"] * 3 + ["signer"] * 2, "three personal records and two signers, each once",
       [(r["kind"], r["label"]) for r in records])
    ok({r["subject"] for r in records} == {subject_of(name + ".crt") for name in ("root", "middle", "ibmwebspheremqqm1", "app", "edwards")},
       "their subjects are what openssl says")
    ok({r["flags"] for r in records} == {FLAGS}, "their flags are those of IBM's program")
    shapes = [r["shape"] for r in records if "shape" in r]
    ok(all(":PBES2" in s and ":PBKDF2" in s and ":hmacWithSHA384" in s and ":aes-256-cbc" in s and "INTEGER           :05" in s
           for s in shapes), "keys are sealed as IBM's program seals them", shapes)
    ok(oct(os.stat("made.kdb").st_mode & 0o777) == "0o600", "the file is its owner's alone")


def changed():
    """Renamed, removed, merged, with another password: it holds each time, and the rest is not touched."""
    before = {s for s in judged("before it is changed", "made.kdb")[1]}
    keystow("rename", "kdb:made.kdb#app", "App 2", "--pin-source", "file:pin", "-q")
    records, slots = judged("a renamed record holds", "made.kdb")
    ok(len(before & set(slots)) == len(slots) - 1, "and all other slots are the same bytes")
    ok("App 2" in {r["label"] for r in records}, "its label is the new one")
    if os.path.exists(BUNDLE):
        before = set(slots)
        keystow("merge", BUNDLE, "kdb:made.kdb?pin-source=file:pin", "-q")
        records, slots = judged("a bundle of a distribution is merged into it", "made.kdb")
        ok(before <= set(slots) and len(records) > 100, f"{len(records)} records, and those before are the same bytes")
        ok(len({r["label"].lower() for r in records}) == len(records), "no two labels are alike, in any case")
    else:
        skip("a bundle of a distribution is merged into it", BUNDLE + " is not there")
    write("pin2", b"quite another one\n")
    keystow("passwd", "kdb:made.kdb", "--pin-source", "file:pin", "--new-pin-source", "file:pin2", "--stash", "-q")
    judged("under a new password it holds, keys included", "made.kdb", b"quite another one")
    ok(run(KEYSTOW, "list", "kdb:made.kdb", "--no-input").returncode == 0, "and its new stash opens it")


def stashed():
    """The stash that keystow wrote, read by the page's own words in Python."""
    with open("made.sth", "rb") as file:
        stash = file.read()
    front, hidden = stash[:64], stash[64:]
    ok(front[32:] == hashlib.sha256(b"\1" + front[:32]).digest(), "the check of a stash is right")
    ok(kdb_check.unstash(stash) == b"quite another one", "and the password in it is the database's")
    ok(b"quite" not in stash and len(hidden) == 129, "which cannot be seen in it")


def native():
    """What gskcapicmd wrote: the checker holds it, and keystow writes its records back as it wrote them."""
    if not os.path.exists(NATIVE):
        for claim in ("IBM's own file holds under the same checker", "signers are written as IBM's program wrote them, byte for byte",
                      "the key is the same"):
            skip(claim, "there is no corpus; KEYSTOW_CORPUS names its folder")
        return
    write("native.pin", b"password\n")
    shutil.copyfile(NATIVE, "native.kdb")
    os.chmod("native.kdb", 0o600)
    records, slots = judged("IBM's own file holds under the same checker", "native.kdb", b"password")
    keystow("copy", "kdb:native.kdb?pin-source=file:native.pin", "p12:native.p12?pin-source=file:pin", "-q")
    keystow("copy", "p12:native.p12?pin-source=file:pin", "kdb:back.kdb?pin-source=file:native.pin", "-q")
    back, again = judged("and so does the one that went through PKCS#12 and back", "back.kdb", b"password")
    signers = [n for n, record in enumerate(records) if record["kind"] == "signer"]
    ok(signers and all(slots[n] == again[n] for n in signers), "signers are written as IBM's program wrote them, byte for byte")
    ok([{k: r.get(k) for k in ("kind", "number", "label", "subject", "certificate", "flags")} for r in records] ==
       [{k: r.get(k) for k in ("kind", "number", "label", "subject", "certificate", "flags")} for r in back],
       "and so is the personal record, but for salt and IV")
    text = must("openssl", "pkcs12", "-in", "native.p12", "-passin", "file:pin", "-nodes")
    ok(text.count("BEGIN CERTIFICATE") == 3 and text.count("BEGIN PRIVATE KEY") == 1, "openssl finds everything in the PKCS#12 file")
    ok(all(f"friendlyName: {r['label']}" in text for r in records), "with its labels")
    document = json.loads(keystow("list", "p12:native.p12?pin-source=file:pin", "--json"))
    key = [e for e in document["stores"][0]["entries"] if e["kind"] == "private-key"]
    ok(len(key) == 1 and len(key[0]["chain"]) == 2, "and the key with its whole chain")


def main():
    with tempfile.TemporaryDirectory(prefix="keystow-kdb-") as folder:
        os.chdir(folder)
        os.environ.update(HOME=folder, XDG_CONFIG_HOME=folder, XDG_STATE_HOME=folder)
        write("pin", PASSWORD + b"\n")
        made()
        changed()
        stashed()
        native()
    end()


if __name__ == "__main__":
    sys.exit(main())
