#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Java key store, a public bundle, and what everybody sees afterwards; then five years of a real bundle, step by step.

Key bags are found by a small reader of our own here, so that neither keystow nor a peer is asked whether they changed.
"""
import base64
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile

from rows import end, must, ok, run, skip

KEYSTOW = os.environ["KEYSTOW"]
SOURCE = os.environ["KEYSTOW_SOURCE"]
CORPUS = os.environ.get("KEYSTOW_CORPUS") or os.path.join(SOURCE, "..", "shared", "corpus")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "sample1"
KEY_BAGS = {"1.2.840.113549.1.12.10.1.1", "1.2.840.113549.1.12.10.1.2", "1.2.840.113549.1.12.10.1.5"}


# ---- a reader of key bags ----

def element(data, at):
    """The DER element at a place: tag, where its content starts, where it ends."""
    tag, size, at = data[at], data[at + 1], at + 2
    if size & 0x80:
        digits = size & 0x7F
        size, at = int.from_bytes(data[at:at + digits], "big"), at + digits
    return tag, at, at + size


def parts(data):
    """The elements of a content: (tag, whole element, content)."""
    at = 0
    while at < len(data):
        tag, start, end = element(data, at)
        yield tag, data[at:end], data[start:end]
        at = end


def oid(content):
    arcs, value = [content[0] // 40, content[0] % 40], 0
    for byte in content[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    return ".".join(map(str, arcs))


def key_bags(path):
    """Every key and secret bag that stands in a part which is not encrypted, as bytes, sorted."""
    with open(path, "rb") as file:
        pfx = list(parts(next(parts(file.read()))[2]))
    authenticated_safe = list(parts(list(parts(pfx[1][2]))[1][2]))[0][2]
    bags = []
    for _, _, info in parts(next(parts(authenticated_safe))[2]):
        kind, *rest = list(parts(info))
        if oid(kind[2]) != "1.2.840.113549.1.7.1":
            continue
        safe = next(parts(rest[0][2]))[2]
        for _, bag, content in parts(next(parts(safe))[2]):
            if oid(next(parts(content))[2]) in KEY_BAGS:
                bags.append(bag)
    return sorted(bags)


# ---- what is in a store ----

def certificates(text):
    """SHA-256 -> PEM block, of all certificates in a text."""
    found = {}
    for block in re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.S):
        der = base64.b64decode("".join(block.splitlines()[1:-1]))
        found[hashlib.sha256(der).hexdigest()] = block + "\n"
    return found


def keytool(*arguments):
    return run("keytool", "-J-Duser.language=en", *arguments)


def java_sees(store):
    """Counts of private and secret keys, digests of trusted certificates, aliases."""
    text = keytool("-list", "-keystore", store, "-storepass", PASSWORD).text
    trusted = re.findall(r"trustedCertEntry, *\n[^\n]*\(SHA-256\): ([0-9A-F:]+)", text)
    return (text.count("PrivateKeyEntry"), text.count("SecretKeyEntry"),
            {digest.replace(":", "").lower() for digest in trusted}, text)


def openssl_sees(store):
    text = must("openssl", "pkcs12", "-in", store, "-passin", "pass:" + PASSWORD, "-nodes")
    return text.count("BEGIN PRIVATE KEY"), set(certificates(text))


def keystow(*arguments):
    return run(KEYSTOW, *arguments, "--pin-source", "file:password")


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


# ---- a store made by Java, and Debian's bundle ----

def make_java_store(store, published):
    """Two private keys of different kinds, a secret key, two old anchors: one that is in the bundle, one that is not."""
    base = ("-keystore", store, "-storetype", "pkcs12", "-storepass", PASSWORD)
    must("keytool", "-genkeypair", *base, "-alias", "web", "-keyalg", "RSA", "-keysize", "2048", "-dname", "CN=web,O=Example")
    must("keytool", "-genkeypair", *base, "-alias", "mail", "-keyalg", "EC", "-groupname", "secp256r1", "-dname",
         "CN=mail,O=Example")
    must("keytool", "-genseckey", *base, "-alias", "session", "-keyalg", "AES", "-keysize", "256")
    must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "own.key", "-out", "own.pem", "-subj",
         "/CN=own CA", "-days", "100")
    write("known.pem", published[sorted(published)[0]])
    for alias in ("own", "known"):
        must("keytool", "-importcert", *base, "-noprompt", "-alias", alias, "-file", alias + ".pem")


def java_store():
    with open(BUNDLE, encoding="ascii") as file:
        published = certificates(file.read())
    make_java_store("java.p12", published)
    with open("own.pem", encoding="ascii") as file:
        own = set(certificates(file.read()))
    before = key_bags("java.p12")
    ok(len(before) == 3, "the store of Java has three key bags to begin with", len(before))
    merged = keystow("merge", BUNDLE, "p12:java.p12")
    ok(merged.returncode == 0, "Debian's bundle is merged into a store that Java made", merged.text)
    ok(key_bags("java.p12") == before, "every key bag is the same, byte for byte")
    private, secret, trusted, text = java_sees("java.p12")
    ok((private, secret) == (2, 1), "keytool lists both private keys and the secret key", text[:300])
    ok(trusted == set(published) | own, "keytool lists every bundle certificate and the user's own as trusted",
       "%d trusted, %d published" % (len(trusted), len(published)))
    ok(re.search(r"^known, ", text, re.M) and re.search(r"^own, ", text, re.M), "what was there keeps its alias", text[:300])
    opened = keytool("-importkeystore", "-srckeystore", "java.p12", "-srcstorepass", PASSWORD, "-destkeystore", "copy.p12",
                     "-deststorepass", PASSWORD, "-deststoretype", "pkcs12", "-noprompt")
    ok(opened.returncode == 0 and java_sees("copy.p12")[:2] == (2, 1), "Java opens each of the keys", opened.text[-400:])
    keys, seen = openssl_sees("java.p12")
    ok(keys == 2 and seen >= set(published) | own, "openssl reads both keys and every certificate", (keys, len(seen)))
    if shutil.which("pk12util"):
        listed = run("pk12util", "-l", "java.p12", "-W", PASSWORD)
        ok(listed.returncode == 0 and listed.text.count("Certificate") >= len(published), "pk12util reads it", listed.text[-300:])
    else:
        skip("pk12util reads it", "pk12util is not installed")
    if shutil.which("certtool"):
        info = run("certtool", "--p12-info", "--inder", "--infile", "java.p12", "--password", PASSWORD)
        ok(info.returncode == 0 and len(re.findall(r"BEGIN (?:\w+ )?PRIVATE KEY", info.text)) == 2, "certtool reads it",
           info.text[-300:])
    else:
        skip("certtool reads it", "certtool is not installed")
    with open("java.p12", "rb") as file:
        image = file.read()
    again = keystow("merge", BUNDLE, "p12:java.p12")
    with open("java.p12", "rb") as file:
        ok(again.returncode == 0 and file.read() == image, "merged again, not a byte changes", again.text)
    back = keystow("rollback", "p12:java.p12")
    ok(back.returncode == 0 and key_bags("java.p12") == before and len(java_sees("java.p12")[2]) == 2,
       "rollback brings the store back as it was", back.text)


# ---- the history of a real bundle ----

def history():
    folder = os.path.join(CORPUS, "bundles")
    if not os.path.exists(os.path.join(folder, "certifi-history.json")):
        return skip("a real bundle's history is replayed", "the corpus is not there")
    with open(os.path.join(folder, "certifi-history.json"), encoding="utf-8") as file:
        versions = json.load(file)["versions"]
    with open(os.path.join(folder, "certifi-history-pool.pem"), encoding="utf-8") as file:
        pool = certificates(file.read())
    must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "me.key", "-out", "me.pem", "-subj", "/CN=me")
    must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=my CA")
    must("openssl", "pkcs12", "-export", "-inkey", "me.key", "-in", "me.pem", "-certfile", "ca.pem", "-name", "me", "-passout",
         "pass:" + PASSWORD, "-out", "client.p12")
    kept = openssl_sees("client.p12")[1]
    bags = key_bags("client.p12")
    current, dropped, wrong = set(), None, []
    for number, version in enumerate(versions):
        current = (current | set(version["add"])) - set(version["remove"])
        if dropped not in current:
            dropped = None
        write("bundle.pem", "".join(pool[digest] for digest in sorted(current)))
        done = keystow("merge", "bundle.pem", "p12:client.p12")
        keys, seen = openssl_sees("client.p12")
        if done.returncode or keys != 1 or seen != (current | kept) - {dropped} or key_bags("client.p12") != bags:
            wrong.append("%s: exit %d, %d of %d, %s" % (version["date"], done.returncode, len(seen), len(current | kept), done.text))
        if number == 2:
            dropped = sorted(current & set(versions[-1]["add"]) or current)[0]
            removed = keystow("remove", "p12:client.p12#sha256:" + dropped)
            ok(removed.returncode == 0 and dropped not in openssl_sees("client.p12")[1],
               "the user deletes a certificate that was merged", removed.text)
    ok(not wrong and len(versions) > 10,
       "after each of %d versions: the bundle exactly, what the user has, less what he deleted, and the same key bag" % len(versions),
       "\n".join(wrong))
    write("bundle.pem", "".join(pool[digest] for digest in sorted(current)[:len(current) // 2]))
    before = openssl_sees("client.p12")[1]
    half = keystow("merge", "bundle.pem", "p12:client.p12")
    ok(half.returncode == 6 and "--allow-shrink" in half.text and openssl_sees("client.p12")[1] == before,
       "half a bundle is refused, and nothing changes", half.text)
    half = keystow("merge", "bundle.pem", "p12:client.p12", "--allow-shrink")
    ok(half.returncode == 0 and openssl_sees("client.p12")[1] == (set(sorted(current)[:len(current) // 2]) | kept) - {dropped} and
       key_bags("client.p12") == bags, "with --allow-shrink it is taken", half.text)


def main():
    for tool in ("openssl", "keytool"):
        if not shutil.which(tool):
            print("1..0 # SKIP %s is not installed" % tool)
            sys.exit(0)
    if not os.path.exists(BUNDLE):
        print("1..0 # SKIP the package ca-certificates is not installed")
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.close(os.open("password", os.O_CREAT, 0o600))
        write("password", PASSWORD + "\n")
        java_store()
        history()
        os.chdir("/")
    end()


main()
