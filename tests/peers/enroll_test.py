#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One command makes key, request, certificate and pairing on a token; then programs of other people use that key.

One token for each key type (libp11's engine crashes on a token that holds an Ed25519 key, so it is not asked about that one). The
peers see key and certificate as one entry, and each makes a signature with the key that openssl verifies against the certificate.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tokens"))
from stand import PIN, SOFTHSM, Stand, Tap, need  # noqa: E402

LABEL = "my_key3"
KEYS = {"rsa:2048": "all", "p256": "all", "p384": "all", "ed25519": "gnutls"}


def run(stand, *argv, **more):
    return subprocess.run(argv, env=stand.env, cwd=stand.dir, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=120, check=False, **more)


def said(result):
    return f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"


def config(stand):
    os.makedirs(stand.path("home/config/keystow"), exist_ok=True)
    stand.write("home/config/keystow/config",
                f"[store hsm]\nuri = pkcs11:token=hsm?module-path={SOFTHSM}\npin-source = file:{stand.path('pin')}\n")


def enroll(tap, stand, key):
    """The bar: one command, at most five options, no secret in argv; run again it has nothing to do."""
    made = run(stand, stand.keystow, "ca", "init", "ca", "--subject", "CN=Test CA,O=HW,C=GB")
    tap.ok(made.returncode == 0, f"{key}: a CA is made once", said(made))
    argv = [stand.keystow, "enroll", f"@hsm#{LABEL}", "--ca", "ca", "--subject", "CN=colinpaice,O=HW,C=GB", "--profile", "client",
            "--type", key]
    options = [word for word in argv if word.startswith("-")]
    done = run(stand, *argv)
    tap.ok(done.returncode == 0, f"{key}: enroll does the whole job in one command", said(done))
    tap.ok(len(options) <= 5 and PIN not in " ".join(argv), f"{key}: with {len(options)} options and no secret among them")
    again = run(stand, *argv)
    tap.ok(again.returncode == 0 and "nothing to do" in again.stdout + again.stderr, f"{key}: again, there is nothing to do",
           said(again))
    return done.returncode == 0


def certificate(stand):
    """The certificate as pkcs11-tool reads it from the token, in PEM, and its public key."""
    run(stand, "pkcs11-tool", "--module", SOFTHSM, "--token-label", "hsm", "--read-object", "--type", "cert", "--label", LABEL, "-o",
        "cert.der")
    run(stand, "openssl", "x509", "-inform", "DER", "-in", "cert.der", "-out", "cert.pem")
    return run(stand, "openssl", "x509", "-in", "cert.pem", "-noout", "-pubkey", "-out", "public.pem").returncode == 0


def signature_holds(stand, *more):
    checked = run(stand, "openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", *more, "message")
    return checked.returncode == 0 and "Verified OK" in checked.stdout


def request_is_of_our_key(stand, request):
    """A request that verifies, for the certificate's key. openssl 3.0 exits 0 on a bad one, so its words decide."""
    checked = run(stand, "openssl", "req", "-in", request, "-verify", "-noout", "-pubkey")
    return "verify OK" in checked.stderr + checked.stdout and stand.read("public.pem").strip() in checked.stdout


def java(tap, stand, key):
    stand.write("java.cfg", f"name = hsm\nlibrary = {SOFTHSM}\nslotListIndex = 0\n")
    common = ["-keystore", "NONE", "-storetype", "PKCS11", "-providerClass", "sun.security.pkcs11.SunPKCS11", "-providerArg",
              stand.path("java.cfg"), "-storepass:file", stand.path("pin")]
    seen = run(stand, "keytool", "-list", *common)
    tap.ok(f"{LABEL}, PrivateKeyEntry" in seen.stdout, f"{key}: Java sees key and certificate as one entry", said(seen))
    asked = run(stand, "keytool", "-certreq", "-alias", LABEL, "-file", "java.csr", *common)
    tap.ok(asked.returncode == 0 and request_is_of_our_key(stand, "java.csr"), f"{key}: Java signs with it", said(asked))


def nss(tap, stand, key):
    os.makedirs(stand.path("nss"))
    run(stand, "certutil", "-N", "-d", "sql:nss", "--empty-password")
    run(stand, "modutil", "-dbdir", "sql:nss", "-add", "hsm", "-libfile", SOFTHSM, "-force")
    run(stand, "certutil", "-A", "-d", "sql:nss", "-n", "ca", "-t", "CT,C,C", "-i", "ca/ca.pem")
    listed = run(stand, "certutil", "-L", "-d", "sql:nss", "-h", "hsm", "-f", stand.path("pin"))
    tap.ok(any(line.split("  ")[0] == f"hsm:{LABEL}" and ("u,u,u" in line) for line in listed.stdout.splitlines()),
           f"{key}: NSS sees the certificate and that its key is there", said(listed))
    keys = run(stand, "certutil", "-K", "-d", "sql:nss", "-h", "hsm", "-f", stand.path("pin"))
    ids = [line.split()[-2] for line in keys.stdout.splitlines() if line.endswith(LABEL)]
    signed = run(stand, "certutil", "-R", "-d", "sql:nss", "-h", "hsm", "-f", stand.path("pin"), "-k", ids[0] if ids else "none", "-s",
                 "CN=again", "-a", "-o", "nss.csr")
    tap.ok(signed.returncode == 0 and request_is_of_our_key(stand, "nss.csr"), f"{key}: NSS signs with it", said(keys) + said(signed))


def engine(tap, stand, key):
    """libp11 takes a PIN file as it is, so this one has no line end."""
    if run(stand, "openssl", "version").stdout.split()[1].split(".")[0] >= "4":
        tap.say(f"{key}: not signed through the pkcs11 engine, because OpenSSL 4 has no engines")
        return
    stand.write("message", "signed through the engine\n")
    stand.write("pin-alone", PIN)
    stand.write("engine.cnf", "openssl_conf = a\n[a]\nengines = b\n[b]\npkcs11 = c\n[c]\nengine_id = pkcs11\n"
                f"MODULE_PATH = {SOFTHSM}\ninit = 0\n")
    signed = run(stand, "env", f"OPENSSL_CONF={stand.path('engine.cnf')}", "openssl", "dgst", "-sha256", "-engine", "pkcs11",
                 "-keyform", "engine", "-sign", f"pkcs11:token=hsm;object={LABEL};type=private?pin-source=file:{stand.path('pin-alone')}",
                 "-out", "signature", "message")
    tap.ok(signature_holds(stand), f"{key}: OpenSSL's pkcs11 engine finds the key and signs with it", said(signed))


def gnutls(tap, stand, key):
    """GnuTLS knows Ed25519 on tokens; it lists the pair by one id and signs a request."""
    stand.env["GNUTLS_PIN"] = PIN
    listed = run(stand, "p11tool", "--provider", SOFTHSM, "--login", "--list-all", "pkcs11:token=hsm")
    ours = [part for part in listed.stdout.split("Object ") if f"Label: {LABEL}" in part]
    ids = {line.strip() for part in ours for line in part.splitlines() if line.strip().startswith("ID:")}
    tap.ok(len(ours) == 3 and len(ids) == 1, f"{key}: GnuTLS sees private key, public key and certificate under one id",
           said(listed))
    stand.write("request.cfg", "cn = again\n")
    asked = run(stand, "certtool", "--provider", SOFTHSM, "--generate-request", "--load-privkey",
                f"pkcs11:token=hsm;object={LABEL};type=private", "--load-pubkey", f"pkcs11:token=hsm;object={LABEL};type=public",
                "--template", "request.cfg", "--outfile", "gnutls.csr")
    tap.ok(request_is_of_our_key(stand, "gnutls.csr"), f"{key}: GnuTLS signs with it", said(asked))


def main():
    need("openssl", "keytool", "certutil", "modutil", "pkcs11-tool", "p11tool", "certtool")
    tap = Tap()
    for key, peers in KEYS.items():
        with Stand("hsm") as stand:
            config(stand)
            if not enroll(tap, stand, key):
                continue
            tap.ok(certificate(stand), f"{key}: pkcs11-tool reads the certificate back")
            if peers == "all":
                java(tap, stand, key)
                nss(tap, stand, key)
                engine(tap, stand, key)
            gnutls(tap, stand, key)
    tap.done()


if __name__ == "__main__":
    main()
