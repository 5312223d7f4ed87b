#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PKCS#12 between keystow and the others: they read what we write, we read what they write."""
import os
import re
import shutil
import tempfile

from rows import end, must, ok, run, skip

HAND = os.environ["KEYSTOW_P12_HAND"]
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "sample1"
NEW = "ganz-neu-2"
GNUTLS_BAGS = 32  # GnuTLS 3.7 shows no more bags of one part, whoever wrote it, and says nothing


def show(store, password=PASSWORD):
    return run(HAND, "show", store, password).text.splitlines()


def kinds(lines):
    found = {}
    for line in lines:
        kind = line.split(" ")[0]
        found[kind] = found.get(kind, 0) + 1
    return found


def keytool(*arguments):
    return run("keytool", "-J-Duser.language=en", *arguments)


def java_counts(store, password):
    text = keytool("-list", "-keystore", store, "-storepass", password).text
    return [text.count(kind) for kind in ("PrivateKeyEntry", "SecretKeyEntry", "trustedCertEntry")]


def java_opens(store, password, folder):
    """Java copies every entry into another store, for which it has to open each key."""
    target = os.path.join(folder, "copy-of-" + os.path.basename(store))
    done = keytool("-importkeystore", "-srckeystore", store, "-srcstorepass", password, "-destkeystore", target,
                   "-deststorepass", "anders99", "-deststoretype", "pkcs12", "-noprompt")
    return java_counts(target, "anders99") if done.returncode == 0 else done.text


def openssl_counts(store, password):
    done = run("openssl", "pkcs12", "-in", store, "-passin", "pass:" + password, "-nodes")
    return [done.text.count("BEGIN PRIVATE KEY"), done.text.count("BEGIN CERTIFICATE")] if done.returncode == 0 else done.text


def certtool_counts(store, password):
    done = run("certtool", "--p12-info", "--inder", "--infile", store, "--password", password)
    return [len(re.findall(r"BEGIN (?:\w+ )?PRIVATE KEY|BEGIN UNENCRYPTED", done.text)), done.text.count("BEGIN CERTIFICATE")] \
        if done.returncode == 0 else done.text


def nss_counts(store, password):
    done = run("pk12util", "-l", store, "-W", password)
    return [done.text.count("Key(shrouded)"), len(re.findall(r"^Certificate", done.text, re.M))] if done.returncode == 0 else done.text


def two_keys_and_more(folder):
    """A Java store with an RSA and an EC key, a secret key and two trusted certificates."""
    store = os.path.join(folder, "java.p12")
    at = ["-keystore", store, "-storetype", "pkcs12", "-storepass", PASSWORD]
    keytool("-genkeypair", "-alias", "rsa", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=rsa", *at)
    keytool("-genkeypair", "-alias", "ec", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", "CN=ec", *at)
    keytool("-genseckey", "-alias", "secret", "-keyalg", "AES", "-keysize", "256", *at)
    for name in ("old one", "old two"):
        pem = os.path.join(folder, name + ".pem")
        must("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
             os.path.join(folder, name + ".key"), "-out", pem, "-subj", "/CN=" + name)
        keytool("-importcert", "-noprompt", "-alias", name, "-file", pem, *at)
    return store


def keys_of(lines):
    return [line for line in lines if line.split(" ")[0] in ("private-key", "secret-key")]


def judged(store, password, keys, certificates, claim):
    ok(openssl_counts(store, password) == [keys, certificates], "openssl reads " + claim, openssl_counts(store, password))
    ok(nss_counts(store, password) == [keys, certificates], "pk12util reads " + claim, nss_counts(store, password))
    seen = min(certificates, GNUTLS_BAGS)
    ok(certtool_counts(store, password) == [keys, seen], "certtool reads " + claim, certtool_counts(store, password))


def merged(folder):
    store, out = two_keys_and_more(folder), os.path.join(folder, "merged.p12")
    before = show(store)
    ok(kinds(before) == {"private-key": 2, "secret-key": 1, "certificate": 2, "anchor": 2}, "a store of keytool is read", before)
    ok(all("opens" in line for line in keys_of(before)), "its private keys and its secret key open", before)
    bundle = open(BUNDLE, encoding="ascii").read().count("BEGIN CERTIFICATE")
    must(HAND, "anchors", store, PASSWORD, out, BUNDLE)
    after = show(out)
    ok(keys_of(after) == keys_of(before), "a merged bundle leaves every key bag as it was, byte for byte", after[:4])
    ok(java_counts(out, PASSWORD) == [2, 1, 2 + bundle], "keytool lists all keys, and every merged certificate as trusted",
       java_counts(out, PASSWORD))
    ok(java_opens(out, PASSWORD, folder) == [2, 1, 2 + bundle], "Java opens every entry of it", java_opens(out, PASSWORD, folder))
    listed = run("openssl", "pkcs12", "-in", out, "-passin", "pass:" + PASSWORD, "-nokeys").stdout
    ok(b"friendlyName: Wurzel n\xba 1\n" in listed, "openssl shows a label that is not ASCII (in Latin-1, as it does)", listed[:300])
    judged(out, PASSWORD, 2, 4 + bundle, "the merged store")
    return store


def new_password(folder, store):
    out = os.path.join(folder, "passwd.p12")
    must(HAND, "passwd", store, PASSWORD, out, NEW)
    ok(java_opens(out, NEW, folder) == [2, 1, 2], "after a new password Java opens every entry", java_opens(out, NEW, folder))
    ok(run("openssl", "pkcs12", "-in", out, "-passin", "pass:" + PASSWORD, "-noout").returncode != 0, "and the old one opens nothing")
    judged(out, NEW, 2, 4, "the store under its new password")


def new_store(folder, store):
    out = os.path.join(folder, "fresh.p12")
    must(HAND, "fresh", store, PASSWORD, out, NEW)
    ok(java_opens(out, NEW, folder) == [2, 1, 2], "Java opens every entry of a new store", java_opens(out, NEW, folder))
    judged(out, NEW, 2, 4, "a new store")


WRITERS = [
    ("openssl, its own choice", ["-name", "leaf"]),
    ("openssl -legacy", ["-name", "leaf", "-legacy"]),
    ("openssl with RC4", ["-provider", "legacy", "-provider", "default", "-keypbe", "PBE-SHA1-RC4-128", "-certpbe", "PBE-SHA1-RC4-40"]),
    ("openssl with AES-128 and SHA-512", ["-keypbe", "AES-128-CBC", "-certpbe", "AES-128-CBC", "-macalg", "SHA512"]),
    ("openssl with Camellia", ["-keypbe", "CAMELLIA-256-CBC", "-certpbe", "CAMELLIA-256-CBC"]),
    ("openssl with SHA3-256", ["-macalg", "SHA3-256"]),
    ("openssl without MAC", ["-nomac"]),
    ("openssl with one iteration", ["-noiter", "-nomaciter"]),
    ("openssl in clear", ["-keypbe", "NONE", "-certpbe", "NONE"]),
]


def by_openssl(folder):
    key, pem = os.path.join(folder, "old one.key"), os.path.join(folder, "old one.pem")
    store = os.path.join(folder, "by-openssl.p12")
    for name, options in WRITERS:
        must("openssl", "pkcs12", "-export", "-inkey", key, "-in", pem, "-passout", "pass:" + PASSWORD, "-out", store, *options)
        lines = show(store)
        ok(kinds(lines) == {"private-key": 1, "certificate": 1} and "opens EC" in keys_of(lines)[0], name + ": read, key opened", lines)


def by_nss(folder):
    database = "sql:" + os.path.join(folder, "nss")
    os.mkdir(os.path.join(folder, "nss"))
    must("certutil", "-N", "-d", database, "--empty-password")
    source = os.path.join(folder, "by-openssl.p12")
    must("openssl", "pkcs12", "-export", "-inkey", os.path.join(folder, "old one.key"), "-in", os.path.join(folder, "old one.pem"),
         "-name", "leaf", "-passout", "pass:" + PASSWORD, "-out", source)
    must("pk12util", "-i", source, "-d", database, "-W", PASSWORD)
    for cipher in ("", "AES-128-CBC", "AES-256-CBC", "PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC",
                   "PKCS #12 V2 PBE With SHA-1 And 128 Bit RC4"):
        store = os.path.join(folder, "by-nss.p12")
        options = ["-c", cipher, "-C", cipher] if cipher else []
        done = run("pk12util", "-o", store, "-n", "leaf", "-d", database, "-W", PASSWORD, *options)
        if done.returncode:
            skip("pk12util with " + cipher, "this NSS does not write it")
            continue
        lines = show(store)
        ok(kinds(lines) == {"private-key": 1, "certificate": 1} and "opens EC" in keys_of(lines)[0],
           "pk12util with %s: read, key opened" % (cipher or "its own choice"), lines)


def by_certtool(folder):
    for cipher in ("aes-256", "aes-128", "3des-pkcs12", "rc2-40", "arcfour"):
        store = os.path.join(folder, "by-certtool.p12")
        done = run("certtool", "--to-p12", "--load-privkey", os.path.join(folder, "old one.key"), "--load-certificate",
                   os.path.join(folder, "old one.pem"), "--p12-name", "leaf", "--password", PASSWORD, "--outder", "--outfile", store,
                   "--pkcs-cipher", cipher)
        if done.returncode:
            skip("certtool with " + cipher, "this GnuTLS does not write it")
            continue
        lines = show(store)
        ok(kinds(lines) == {"private-key": 1, "certificate": 1} and "opens EC" in keys_of(lines)[0],
           "certtool with %s: read, key opened" % cipher, lines)


def by_old_java(folder):
    store = os.path.join(folder, "old-java.p12")
    keytool("-J-Dkeystore.pkcs12.legacy", "-genkeypair", "-alias", "old", "-keyalg", "EC", "-groupname", "secp256r1", "-dname",
            "CN=old", "-keystore", store, "-storetype", "pkcs12", "-storepass", PASSWORD)
    lines = show(store)
    ok(kinds(lines) == {"private-key": 1, "certificate": 1} and "opens EC" in keys_of(lines)[0],
       "keytool as it wrote before 2021 (3DES, RC2-40): read, key opened", lines)


def main():
    missing = [name for name in ("keytool", "openssl", "pk12util", "certutil", "certtool") if not shutil.which(name)]
    if missing or not os.path.exists(BUNDLE):
        print("1..0 # SKIP %s not here" % ", ".join(missing or [BUNDLE]))
        return
    with tempfile.TemporaryDirectory() as folder:
        store = merged(folder)
        new_password(folder, store)
        new_store(folder, store)
        by_openssl(folder)
        by_nss(folder)
        by_certtool(folder)
        by_old_java(folder)
    end()


main()
