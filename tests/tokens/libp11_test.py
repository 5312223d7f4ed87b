#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""libp11 as the second engine: over the same keys it and our own give requests and certificates that verify and name the same key.

Also what makes it the second: it is refused where it would not see the keys, and never gets a PIN of its own.
"""
import os
import subprocess

import stand

stand.need("softhsm2-util", "openssl", "pkcs11-tool")
tap = stand.Tap()
TYPES = ["rsa:2048", "p256", "p384"]
URI = "pkcs11:token=oracle"


def openssl(at, *args):
    return subprocess.run(["openssl", *args], cwd=at.dir, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False)


ENGINES = ("pkcs11", "libp11")


def both(at, *args, **more):
    """The same command by our own engine and by libp11."""
    return [at.ks(*[word.replace("ENGINE", engine) for word in args], "--engine", engine, **more) for engine in ENGINES]


def name(kind):
    return kind.replace(":", "-")


def requests(at, kind):
    ours, theirs = both(at, "request", f"{URI}#{name(kind)}", "--subject", "CN=both", "-o", at.path(f"ENGINE-{name(kind)}.csr"))
    if not tap.ok(ours.rc == theirs.rc == 0, f"{kind}: both engines make a request", f"{ours}\n{theirs}"):
        return
    verdicts = [openssl(at, "req", "-in", f"{engine}-{name(kind)}.csr", "-noout", "-verify", "-pubkey") for engine in ENGINES]
    tap.ok(all("verify OK" in v.stderr for v in verdicts), f"{kind}: openssl verifies both", [v.stderr for v in verdicts])
    tap.ok(verdicts[0].stdout == verdicts[1].stdout != "", f"{kind}: both name the same public key", [v.stdout for v in verdicts])


def certificates(at, kind):
    """A CA whose key is on the token signs the same request through each engine."""
    folder = "ca-" + name(kind)
    made = at.ks("ca", "init", at.path(folder), "--subject", "CN=token CA", "--key", f"{URI}#{name(kind)}")
    if not tap.ok(made.rc == 0, f"{kind}: a CA uses the key", made):
        return
    ours, theirs = both(at, "ca", "sign", at.path("leaf.csr"), "--ca", at.path(folder), "--profile", "client",
                        "-o", at.path(folder, "ENGINE.pem"), option="--ca-pin-source")
    tap.ok(ours.rc == theirs.rc == 0, f"{kind}: it signs through both engines", f"{ours}\n{theirs}")
    for engine in ENGINES:
        seen = openssl(at, "verify", "-CAfile", f"{folder}/ca.pem", f"{folder}/{engine}.pem")
        tap.ok(seen.returncode == 0, f"{kind}: openssl verifies the certificate made through {engine}", seen.stderr)


def changes(at):
    """A certificate goes to its key and away again through libp11, judged by pkcs11-tool."""
    at.run([at.keystow, "ca", "init", at.path("ca"), "--subject", "CN=file CA"])
    at.run([at.keystow, "ca", "sign", at.path("libp11-p384.csr"), "--ca", at.path("ca"), "--profile", "client", "-o", at.path("p384.pem")])
    before = at.objects("oracle")
    got = at.ks("install", at.path("p384.pem"), URI, "--engine", "libp11")
    after = at.objects("oracle")
    new = [thing for thing in after if thing not in before]
    key = next(ident for kind, label, ident in before if kind == "private key" and label == "p384")
    tap.ok(got.rc == 0 and [(kind, ident) for kind, _, ident in new] == [("certificate", key)],
           "a certificate is installed through libp11 under its key's id", f"{got}\n{new}")
    got = at.ks("verify", URI + "#p384", "--anchors", at.path("ca", "ca.pem"), "--engine", "libp11")
    tap.ok(got.rc == 0 and "belong together" in got.out, "libp11 signs with the key, and the certificate fits", got)
    got = at.ks("remove", URI + "#p384", "--engine", "libp11")
    left = [thing for thing in after if thing not in at.objects("oracle")]
    tap.ok(got.rc == 0 and {label for _, label, _ in left} == {"p384"} and len(left) == 3,
           "the entry is removed through libp11, and nothing else", f"{got}\n{left}")


def lines(result):
    return sorted(line.split("\t")[:4] for line in result.out.splitlines())


with stand.Stand("oracle", "spare") as at:
    os.makedirs(at.path("home/config/keystow"), exist_ok=True)  # no configuration: the module comes from p11-kit's
    probe = at.ks("list", URI, "--engine", "libp11")
    if "no engine libp11" in probe.err:
        stand.skip("this build is without libp11")
    if "p11-kit does not know" in probe.err or "no PKCS#11 module is configured" in probe.err or probe.rc == 3:
        stand.skip("SoftHSM is not among p11-kit's modules here")
    at.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "leaf.key", "-subj", "/CN=leaf", "-out", "leaf.csr"])
    for kind in TYPES:
        at.ks("generate", f"{URI}#{name(kind)}", "--type", kind)
    for kind in TYPES:
        requests(at, kind)
        certificates(at, kind)

    ours, theirs = both(at, "list", "--all", URI)
    tap.ok(ours.rc == theirs.rc == 0 and lines(ours) == lines(theirs) != [], "both list the same entries", f"{ours}\n{theirs}")
    changes(at)
    before = at.objects("oracle")
    for kind, words in (("rsa:2048", "no RSA 2048 key is made through libp11: it would let the key decrypt"), ("p256", "no EC P-256 key is made"),
                        ("ed25519", "no Ed25519 key is made through libp11: it makes RSA keys, whatever it is asked for")):
        for got in (at.ks("generate", URI + "#new", "--type", kind, "--engine", "libp11"),
                    at.ks("enroll", URI + "#new", "--type", kind, "--engine", "libp11", "--ca", at.path("ca"), "--subject", "CN=new",
                          "--profile", "client")):
            tap.ok(got.rc == 6 and words in got.err and "leave --engine libp11 out" in got.err and at.objects("oracle") == before,
                   f"a key {kind} is not made through libp11, which says why and names the way", got)
    got = at.ks("token", "twin", URI, "pkcs11:token=spare", "--to-pin-source", "file:" + at.path("pin"), "--engine", "libp11")
    tap.ok(got.rc == 6 and "cannot tell what a key is for" in got.err, "and nothing is compared through it", got)
    got = at.ks("list", URI, "--engine", "libp12")
    tap.ok(got.rc == 2 and "libp11" in got.err, "an engine that does not exist is a usage error with the names", got)
    at.ks("generate", URI + "#modern", "--type", "ed25519")
    got = at.ks("list", URI, "--engine", "libp11")
    tap.ok(got.rc == 6 and "Ed25519" in got.err, "a key that would hide all others is named, and the engine refused", got)
    got = at.ks("list", URI)
    tap.ok(got.rc == 0 and "modern" in got.out and "p256" in got.out, "our own engine shows all of them", got)
    wrong = at.write("wrong", "999999\n") and at.ks("list", URI, "--engine", "libp11", pin="wrong")
    tap.ok(wrong.rc == 4, "a wrong PIN ends with 4, as everywhere", wrong)
tap.done()
