#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made the odd PKCS#12 samples of this folder once: by hand where no peer writes such a thing.

Run as: make-odd-p12.py OUTPUT_FOLDER. Keys are new each time, names and counts stay."""
import hashlib
import hmac
import os
import subprocess
import sys
import tempfile

PASSWORD = "sample"


# ---- DER, by hand ----

def tlv(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + body


def indefinite(tag, *parts):
    return bytes([tag, 0x80]) + b"".join(parts) + b"\0\0"


def oid(text):
    numbers = [int(part) for part in text.split(".")]
    body = bytes([numbers[0] * 40 + numbers[1]])
    for number in numbers[2:]:
        seven = [number & 0x7f]
        while number > 0x7f:
            number >>= 7
            seven.insert(0, number & 0x7f | 0x80)
        body += bytes(seven)
    return tlv(6, body)


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


DATA = "1.2.840.113549.1.7.1"
BAG = "1.2.840.113549.1.12.10.1."


def attribute(name, *values):
    return tlv(0x30, oid(name), tlv(0x31, *values))


def label(text):
    return attribute("1.2.840.113549.1.9.20", tlv(0x1e, text.encode("utf-16-be")))


def bag(kind, value, *attributes):
    return tlv(0x30, oid(kind), tlv(0xa0, value), tlv(0x31, *attributes) if attributes else b"")


def typed(kind, der):
    return tlv(0x30, oid(kind), tlv(0xa0, tlv(4, der)))


def kdf(password, salt, rounds, purpose, size):
    """RFC 7292 B.2 with SHA-256."""
    block = 64
    text = password.encode("utf-16-be") + b"\0\0" if password is not None else b""
    fill = lambda bytes_: (bytes_ * (block // len(bytes_) + 1))[:block * ((len(bytes_) + block - 1) // block)] if bytes_ else b""
    state = fill(salt) + fill(text)
    out = b""
    while len(out) < size:
        digest = hashlib.sha256(bytes([purpose]) * block + state).digest()
        for _ in range(rounds - 1):
            digest = hashlib.sha256(digest).digest()
        out += digest
        add = int.from_bytes((digest * 2)[:block], "big") + 1
        state = b"".join(((int.from_bytes(state[i:i + block], "big") + add) % (1 << 8 * block)).to_bytes(block, "big")
                         for i in range(0, len(state), block))
    return out[:size]


def mac_data(content, password, claimed=2048):
    salt = os.urandom(8)
    value = hmac.new(kdf(password, salt, 2048, 3, 32), content, hashlib.sha256).digest()
    return tlv(0x30, tlv(0x30, tlv(0x30, oid("2.16.840.1.101.3.4.2.1"), tlv(5)), tlv(4, value)), tlv(4, salt), integer(claimed))


def pbkdf2(salt, rounds, size):
    return tlv(0x30, oid("1.2.840.113549.1.5.12"), tlv(0x30, tlv(4, salt), integer(rounds), integer(size) if size else b"",
                                                       tlv(0x30, oid("1.2.840.113549.2.9"), tlv(5))))


def pbmac1_data(content, size=32, said=True):
    """RFC 9579, HMAC-SHA-256 both times."""
    salt = os.urandom(8)
    key = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 2048, size)
    value = hmac.new(key, content, hashlib.sha256).digest()
    algorithm = tlv(0x30, oid("1.2.840.113549.1.5.14"), tlv(0x30, pbkdf2(salt, 2048, size if said else 0),
                                                           tlv(0x30, oid("1.2.840.113549.2.9"), tlv(5))))
    return tlv(0x30, tlv(0x30, algorithm, tlv(4, value)), tlv(4, b"NOT USED"), integer(1))


def pfx_with(content, mac):
    return tlv(0x30, integer(3), tlv(0x30, oid(DATA), tlv(0xa0, tlv(4, content))), mac)


def pbes2(clear, password, claimed=2048):
    """An algorithm and what it makes of `clear`: AES-256-CBC under PBKDF2-HMAC-SHA256."""
    salt, iv = os.urandom(8), os.urandom(16)
    key = hashlib.pbkdf2_hmac("sha256", password, salt, 2048, 32)
    sealed = run("openssl", "enc", "-aes-256-cbc", "-K", key.hex(), "-iv", iv.hex(), text=clear)
    cipher = tlv(0x30, oid("2.16.840.1.101.3.4.1.42"), tlv(4, iv))
    return tlv(0x30, oid("1.2.840.113549.1.5.13"), tlv(0x30, pbkdf2(salt, claimed, 32), cipher)), sealed


def sealed_part(password, *bags, claimed=2048):
    algorithm, sealed = pbes2(tlv(0x30, *bags), password, claimed)
    return tlv(0x30, oid("1.2.840.113549.1.7.6"), tlv(0xa0, tlv(0x30, integer(0), tlv(
        0x30, oid(DATA), algorithm, tlv(0x80, sealed)))))


def pfx(content, password=PASSWORD, claimed=2048):
    return tlv(0x30, integer(3), tlv(0x30, oid(DATA), tlv(0xa0, tlv(4, content))), mac_data(content, password, claimed))


def data_part(*bags):
    return tlv(0x30, oid(DATA), tlv(0xa0, tlv(4, tlv(0x30, *bags))))


# ---- peers ----

def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, check=False)
    if done.returncode:
        sys.exit("%s: %s%s" % (" ".join(command), done.stdout.decode(), done.stderr.decode()))
    return done.stdout


def certificate(folder, name, kind=("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    key, cert = os.path.join(folder, name + ".key"), os.path.join(folder, name + ".pem")
    run("openssl", "req", "-x509", *kind, "-nodes", "-keyout", key, "-out", cert, "-days", "36500", "-subj", "/CN=" + name)
    return key, cert


def der(pem):
    return run("openssl", "x509", "-in", pem, "-outform", "DER")


def by_peers(out, folder):
    key, cert = certificate(folder, "leaf")
    greek = "\u03c3\u03cd\u03bd\u03b8\u03b7\u03bc\u03b1"
    for name, more, password in (
            ("p12-openssl-rc4", ["-provider", "legacy", "-provider", "default", "-keypbe", "PBE-SHA1-RC4-128", "-certpbe",
                                 "PBE-SHA1-RC4-128", "-macalg", "sha1"], PASSWORD),
            ("p12-openssl-one-iteration", ["-name", "leaf", "-noiter", "-nomaciter"], PASSWORD),
            ("p12-openssl-empty-password", ["-name", "leaf"], ""),
            ("p12-openssl-greek-password-and-label", ["-name", "\u03ba\u03bb\u03b5\u03b9\u03b4\u03af"], greek),
            ("p12-nss", ["-name", "leaf"], PASSWORD)):
        run("openssl", "pkcs12", "-export", "-inkey", key, "-in", cert, *more, "-passout", "pass:" + password,
            "-out", os.path.join(out, name + ".p12"))
    database = "sql:" + os.path.join(folder, "nss")
    os.mkdir(os.path.join(folder, "nss"))
    run("certutil", "-N", "-d", database, "--empty-password")
    run("pk12util", "-i", os.path.join(out, "p12-nss.p12"), "-d", database, "-W", PASSWORD)
    run("pk12util", "-o", os.path.join(out, "p12-nss.p12"), "-n", "leaf", "-d", database, "-W", PASSWORD)


# ---- by hand ----

def by_hand(out, folder):
    key, cert = certificate(folder, "by hand")
    x509 = der(cert)
    clear = run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER")
    sealed = run("openssl", "pkcs8", "-topk8", "-in", key, "-outform", "DER", "-passout", "pass:" + PASSWORD)
    crl = tlv(0x30, tlv(0x30, tlv(0x30, oid("1.2.840.10045.4.3.2")), tlv(0x30), tlv(0x17, b"260101000000Z")),
              tlv(0x30, oid("1.2.840.10045.4.3.2")), tlv(3, b"\0"))
    key_id = attribute("1.2.840.113549.1.9.21", tlv(4, b"\1"))
    vendor = attribute("1.3.6.1.4.1.311.17.1", tlv(0x1e, "Some CSP".encode("utf-16-be")))
    cert_bag = bag(BAG + "3", typed("1.2.840.113549.1.9.22.1", x509), label("by hand"), key_id)
    key_bag = bag(BAG + "2", sealed, label("by hand"), key_id, vendor)

    def write(name, content):
        with open(os.path.join(out, "p12-" + name + ".p12"), "wb") as file:
            file.write(content)

    nested = bag(BAG + "6", tlv(0x30, cert_bag, bag(BAG + "6", tlv(0x30, bag(BAG + "4", typed("1.2.840.113549.1.9.23.1", crl))))))
    write("every-kind-of-bag", pfx(tlv(0x30, data_part(
        key_bag, bag(BAG + "1", clear, label("clear")), nested,
        bag(BAG + "3", typed("1.2.840.113549.1.9.22.2", b"(sdsi)"), label("sdsi")),
        bag(BAG + "5", typed("1.3.6.1.4.1.99999.1", b"a secret of its own kind"), label("foreign secret")),
        bag("1.3.6.1.4.1.99999.2", tlv(4, b"nobody knows"), label("unknown"), vendor)))))

    deep = cert_bag
    for _ in range(70):
        deep = bag(BAG + "6", tlv(0x30, deep))
    write("nested-too-deep", pfx(tlv(0x30, data_part(deep))))

    contents = indefinite(0x30, key_bag, cert_bag)
    part = indefinite(0x30, oid(DATA), indefinite(0xa0, indefinite(0x24, tlv(4, contents[:100]), tlv(4, contents[100:]))))
    safe = indefinite(0x30, part)
    write("ber-in-pieces", indefinite(0x30, integer(3), indefinite(0x30, oid(DATA), indefinite(0xa0, indefinite(
        0x24, tlv(4, safe[:50]), indefinite(0x24, tlv(4, safe[50:90]), tlv(4, safe[90:]))))), mac_data(safe, PASSWORD)))

    write("null-password", pfx(tlv(0x30, data_part(bag(BAG + "1", clear, label("by hand")), cert_bag)), None))
    write("signed-instead-of-mac", tlv(0x30, integer(3), tlv(0x30, oid("1.2.840.113549.1.7.2"), tlv(0xa0, tlv(0x30, integer(1))))))
    write("encrypted-for-a-certificate", pfx(tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.7.3"), tlv(0xa0, tlv(0x30, integer(0)))))))
    write("clear-key-in-an-encrypted-part", pfx(tlv(0x30, sealed_part(
        PASSWORD.encode(), bag(BAG + "1", clear, label("only safe inside")), cert_bag))))
    bmp = PASSWORD.encode("utf-16-be") + b"\0\0"
    algorithm, bmp_sealed = pbes2(clear, bmp)
    write("pbes2-under-the-bmp-password-as-old-nss", pfx(tlv(0x30, sealed_part(bmp, cert_bag), data_part(
        bag(BAG + "2", tlv(0x30, algorithm, tlv(4, bmp_sealed)), label("by hand"))))))
    content = tlv(0x30, data_part(key_bag, cert_bag))
    write("sealed-in-an-unknown-bag", pfx(tlv(0x30, data_part(bag("1.3.6.1.4.1.99999.3", tlv(4, sealed), label("odd"))))))
    write("pbmac1", pfx_with(content, pbmac1_data(content)))
    write("pbmac1-key-of-16-bytes", pfx_with(content, pbmac1_data(content, size=16)))
    write("pbmac1-without-key-length", pfx_with(content, pbmac1_data(content, said=False)))
    write("encrypted-without-mac", pfx_with(tlv(0x30, sealed_part(PASSWORD.encode(), cert_bag), data_part(key_bag)), b""))
    write("two-passwords", pfx(tlv(0x30, sealed_part(b"another", cert_bag), data_part(key_bag))))
    write("zero-bytes-behind", pfx(content) + bytes(8))
    write("garbage-behind", pfx(content) + b"garbage")
    write("damaged-certificate", pfx(tlv(0x30, data_part(key_bag, cert_bag, bag(
        BAG + "3", typed("1.2.840.113549.1.9.22.1", b"no certificate"), label("broken"))))))
    write("part-of-two-billion-rounds", pfx_with(tlv(0x30, sealed_part(PASSWORD.encode(), cert_bag, claimed=0x7fffffff)), b""))
    scrypt = tlv(0x30, oid("1.3.6.1.4.1.11591.4.11"), tlv(0x30, tlv(4, b"saltsalt"), integer(1 << 40), integer(8), integer(1)))
    cipher = tlv(0x30, oid("2.16.840.1.101.3.4.1.42"), tlv(4, bytes(16)))
    huge = tlv(0x30, tlv(0x30, oid("1.2.840.113549.1.5.13"), tlv(0x30, scrypt, cipher)), tlv(4, bytes(160)))
    slow = tlv(0x30, pbes2(clear, PASSWORD.encode(), 0x7fffffff)[0], tlv(4, bytes(160)))
    write("keys-of-endless-work", pfx(tlv(0x30, data_part(bag(BAG + "2", huge, label("scrypt")), bag(BAG + "2", slow, label("pbkdf2"))))))
    write("mac-of-two-billion-rounds", pfx(tlv(0x30, data_part(key_bag, cert_bag)), claimed=0x7fffffff))


def main():
    out = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        by_peers(out, folder)
        by_hand(out, folder)


main()
