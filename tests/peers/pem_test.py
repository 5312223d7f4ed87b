#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PEM files between keystow and others: they read what we write, and we read what they write."""
import os
import shutil
import ssl
import subprocess
import sys
import tempfile

KEYSTOW = os.environ["KEYSTOW"]
DATA = os.path.join(os.environ["KEYSTOW_SOURCE"], "tests", "data")
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
count = 0
failed = 0


class Absent(Exception):
    pass


def run(*command):
    if not shutil.which(command[0]) and not os.path.exists(command[0]):
        raise Absent(command[0] + " is not installed")
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    done.text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    return done


def must(*command):
    done = run(*command)
    assert done.returncode == 0, (command, done.returncode, done.text)
    return done.stdout.decode(errors="replace")


def keystow(*arguments):
    return must(KEYSTOW, *arguments)


def counted(text, word):
    return sum(word in line for line in text.splitlines())


# ---- what we write ----

def openssl_finds_key_and_chain_of_what_we_sealed():
    keystow("copy", f"p12:{DATA}/p12-openssl-aes.p12", "pem:sealed.pem", "--pin-source", "file:pw", "--to-pin-source", "file:pw", "-q")
    listed = must("openssl", "storeutl", "-noout", "-passin", "file:pw", "sealed.pem")
    assert counted(listed, "Pkey") == 1 and counted(listed, "Certificate") == 2, listed
    assert "-----BEGIN PRIVATE KEY" not in open("sealed.pem", encoding="ascii").read()


def openssl_finds_the_same_key_in_what_we_wrote_clear():
    keystow("copy", f"p12:{DATA}/p12-openssl-aes.p12", "pem:clear.pem", "--pin-source", "file:pw", "--no-password", "-q")
    ours = must("openssl", "pkey", "-in", "clear.pem", "-pubout")
    theirs = must("openssl", "x509", "-in", "clear.pem", "-noout", "-pubkey")
    assert ours == theirs
    assert os.stat("clear.pem").st_mode & 0o777 == 0o600


def gnutls_reads_our_certificates():
    keystow("copy", f"p12:{DATA}/p12-openssl-aes.p12", "pem:gnutls.pem", "--pin-source", "file:pw", "--no-password", "-q")
    assert counted(must("certtool", "--certificate-info", "--infile", "gnutls.pem"), "Subject:") == 2
    must("certtool", "--key-info", "--infile", "gnutls.pem")


def gnutls_opens_our_sealed_key():
    keystow("copy", f"p12:{DATA}/p12-gnutls.p12", "pem:mail.pem", "--pin-source", "file:pw", "--to-pin-source", "file:pw", "-q")
    assert "RSA" in must("certtool", "--key-info", "--infile", "mail.pem", "--password", "sample")


def java_reads_a_labelled_certificate():
    keystow("copy", f"p12:{DATA}/p12-java-trust-without-password.p12", "pem:anchor.pem", "-q")
    assert "friendlyName: sample ca" in open("anchor.pem", encoding="ascii").read()
    assert counted(must("keytool", "-J-Duser.language=en", "-printcert", "-file", "anchor.pem"), "Owner:") == 1


def a_tls_library_loads_our_file_as_chain():
    keystow("copy", f"p12:{DATA}/p12-openssl-aes.p12", "pem:tls.pem", "--pin-source", "file:pw", "--no-password", "-q")
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain("tls.pem")


def a_merged_bundle_is_the_same_for_everybody():
    if not os.path.exists(BUNDLE):
        raise Absent("ca-certificates is not installed")
    keystow("new", "pem:merged.pem", "-q")
    keystow("merge", BUNDLE, "pem:merged.pem", "-q")
    wanted = open(BUNDLE, encoding="ascii").read().count("-----BEGIN CERTIFICATE-----")
    assert counted(must("openssl", "storeutl", "-noout", "-certs", "merged.pem"), ": Certificate") == wanted
    assert counted(must("certtool", "--certificate-info", "--infile", "merged.pem"), "Subject:") == wanted
    assert counted(must("keytool", "-J-Duser.language=en", "-printcert", "-file", "merged.pem"), "Owner:") == wanted


def openssl_still_trusts_as_before_after_a_rename():
    shutil.copy(f"{DATA}/pem-trusted-certificate.pem", "trusted.pem")
    keystow("rename", "pem:trusted.pem#Sample CA", "other", "-q")
    text = must("openssl", "x509", "-in", "trusted.pem", "-noout", "-text")
    assert "TLS Web Server Authentication" in text and "Rejected Uses" in text, text


# ---- what others write ----

def opens(file, clear):
    """A PKCS#12 store made of it has the same key in it as the clear file."""
    keystow("copy", f"pem:{file}", f"p12:{file}.p12", "--key-pin-source", "file:pw", "--pin-source", "file:pw", "--to-pin-source", "file:pw", "-q")
    must("openssl", "pkcs12", "-in", f"{file}.p12", "-passin", "file:pw", "-nocerts", "-noenc", "-out", f"{file}.back")
    assert must("openssl", "pkey", "-in", f"{file}.back", "-pubout") == must("openssl", "pkey", "-in", clear, "-pubout")


def keys_sealed_by_openssl_open():
    must("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "rsa.pem")
    must("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.pem")
    opens("ec.pem", "ec.pem")
    for number, arguments in enumerate((["rsa", "-traditional", "-aes256"], ["rsa", "-traditional", "-des3"], ["rsa", "-traditional", "-camellia128"],
                                        ["pkcs8", "-topk8", "-v2", "aes-128-cbc"], ["pkcs8", "-topk8", "-scrypt"],
                                        ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"], ["pkcs8", "-topk8", "-v2prf", "hmacWithSHA512"])):
        file = f"sealed-{number}.pem"
        must("openssl", *arguments, "-in", "rsa.pem", "-out", file, "-passout", "file:pw")
        opens(file, "rsa.pem")


def keys_sealed_by_gnutls_open():
    must("certtool", "--generate-privkey", "--key-type", "ecdsa", "--curve", "secp256r1", "--outfile", "gnutls.key", "--no-text")
    opens("gnutls.key", "gnutls.key")
    must("certtool", "--to-p8", "--load-privkey", "gnutls.key", "--password", "sample", "--pkcs-cipher", "aes-256", "--outfile", "gnutls.p8")
    opens("gnutls.p8", "gnutls.key")


def certificates_of_java_are_read():
    must("keytool", "-exportcert", "-rfc", "-alias", "two", "-keystore", f"{DATA}/p12-java-two-keys-a-secret-and-trust.p12", "-storepass", "sample",
         "-file", "java.pem")
    assert "CN=Two" in keystow("show", "pem:java.pem")


def main():
    global count, failed
    with tempfile.TemporaryDirectory(prefix="keystow-peers-") as folder:
        os.chdir(folder)
        os.umask(0o077)
        with open("pw", "w", encoding="ascii") as file:
            file.write("sample\n")
        for name, claim in list(globals().items()):
            if not callable(claim) or getattr(claim, "__module__", "") != "__main__" or isinstance(claim, type) or name in (
                    "run", "must", "keystow", "counted", "opens", "main"):
                continue
            count += 1
            try:
                claim()
                print(f"ok {count} - {name}", flush=True)
            except Absent as absent:
                print(f"ok {count} - {name} # SKIP {absent}", flush=True)
            except AssertionError as wrong:
                failed += 1
                print(f"not ok {count} - {name}", flush=True)
                for line in str(wrong).splitlines()[:20]:
                    print("#", line[:400])
    print(f"1..{count}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
