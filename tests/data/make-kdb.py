#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
IBM key databases of kinds that nobody could give us, built from the layout in docs/formats/kdb.md: version 4, requests, CRLs, secret
keys, records that nobody knows. openssl makes what is in them. They show that keystow does what that page says, not that the page is
right about IBM's programs: only records of version 6 were seen in files that IBM's programs wrote.
"""
import hashlib
import hmac
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))
from kdb_check import FLAGS, index_of, stream_of  # noqa: E402

PASSWORD = b"sample"
FEW = ("-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384", "-iter", "5")
OLD = ("-v1", "PBE-SHA1-3DES")


def openssl(*argv, stdin=None):
    return subprocess.run(["openssl", *argv], input=stdin, check=True, capture_output=True).stdout


def der(tag, *content):
    content = b"".join(content)
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


class Maker:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def key(self, name):
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path(name))
        return self.path(name)

    def certificate(self, key, subject, signer=None, issuer=None):
        """Valid for a hundred years, so that nothing that is tested changes with time."""
        more = ["-CA", issuer, "-CAkey", signer] if issuer else ["-key", key]
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", self.path("csr"))
        return openssl("x509", "-req", "-in", self.path("csr"), "-days", "36500", "-outform", "DER",
                       *(more if issuer else ["-signkey", key]))

    def request(self, key, subject):
        return openssl("req", "-new", "-key", key, "-subj", subject, "-outform", "DER")

    def sealed(self, key, how=FEW):
        return openssl("pkcs8", "-topk8", "-in", key, "-outform", "DER", "-passout", "pass:" + PASSWORD.decode(), *how)

    def crl(self, key, certificate):
        with open(self.path("crl.conf"), "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=c\n[c]\ndatabase={self.path('index')}\ndefault_md=sha256\ndefault_crl_days=36500\n")
        open(self.path("index"), "w", encoding="ascii").close()
        with open(self.path("crl.crt"), "wb") as file:
            file.write(openssl("x509", "-inform", "DER", stdin=certificate))
        pem = openssl("ca", "-config", self.path("crl.conf"), "-gencrl", "-keyfile", key, "-cert", self.path("crl.crt"))
        return openssl("crl", "-outform", "DER", stdin=pem)

    def secret(self):
        """A secret key in the form of PKCS#8, as Java seals one; how IBM's programs do it was not seen."""
        clear = der(0x30, der(2, b"\0"), der(0x30, bytes.fromhex("0609608648016503040129")), der(4, bytes(range(16))))
        salt, iv = b"saltsalt", b"iviviviviviviviv"
        key = hashlib.pbkdf2_hmac("sha384", PASSWORD, salt, 5, 32)
        shut = openssl("enc", "-aes-256-cbc", "-K", key.hex(), "-iv", iv.hex(), stdin=clear)
        prf = der(0x30, bytes.fromhex("06082a864886f70d020a"))
        kdf = der(0x30, bytes.fromhex("06092a864886f70d01050c"), der(0x30, der(4, salt), der(2, b"\5"), der(2, b"\x20"), prf))
        scheme = der(0x30, bytes.fromhex("060960864801650304012a"), der(4, iv))
        algorithm = der(0x30, bytes.fromhex("06092a864886f70d01050d"), der(0x30, kdf, scheme))
        return der(0x30, algorithm, der(4, shut))


def record(number, tag, content, label, certificate=None, flags=FLAGS, slot=5000):
    body = der(0x30, der(2, bytes([number])), der(tag, content), der(0x1A, label), flags)
    index = bytes(4) + index_of(certificate) if certificate else b""
    return (struct.pack(">III", 1, number, len(body)) + body + struct.pack(">I", len(label)) + label + index).ljust(slot, b"\0")


def database(name, version, kind, slots, slot=5000):
    digest = hashlib.sha384 if version >= 6 else hashlib.sha1
    head = bytes([0x37, 0x48, version, 2 if kind == b"X509KEY" else 1]) + bytes(4) + kind + b"\0"
    head += struct.pack(">II", slot, len(slots)) + bytes(range(1, 24)) + b"\0"
    head += hmac.new(PASSWORD, head, digest).digest()
    head += hmac.new(PASSWORD, head + b"".join(slots), digest).digest()
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(head + b"".join(slots))


def stash(name, first):
    """The second kind, over a first kind that is given; written from the page, not from our code."""
    front = bytes(range(32))
    front += hashlib.sha256(b"\1" + front).digest()
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(front + bytes(a ^ b for a, b in zip(first, stream_of(front, len(first)))))


def main():
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(folder)
        root, leaf = maker.key("root"), maker.key("leaf")
        anchor = maker.certificate(root, "/O=Sample/CN=Root")
        with open(maker.path("root.crt"), "wb") as file:
            file.write(openssl("x509", "-inform", "DER", stdin=anchor))
        own = maker.certificate(leaf, "/O=Sample/CN=leaf", root, maker.path("root.crt"))
        renewed = maker.certificate(leaf, "/O=Sample/CN=leaf", root, maker.path("root.crt"))
        signer = record(1, 0xA1, anchor, b"root", anchor)
        personal = record(2, 0xA2, der(0x30, own, maker.sealed(leaf)), b"leaf", own)
        database("kdb-signer-and-personal.kdb", 6, b"X509KEY", [signer, personal])
        database("kdb-version-4.kdb", 4, b"X509KEY",
                 [signer, record(2, 0xA2, der(0x30, own, maker.sealed(leaf, OLD)), b"leaf", own)])
        database("kdb-version-3.kdb", 3, b"X509KEY", [signer])
        database("kdb-version-7.kdb", 7, b"X509KEY", [signer])
        database("kdb-every-kind-of-record.kdb", 6, b"X509KEY", [
            signer, personal,
            record(3, 0xA2, der(0x30, renewed, maker.sealed(leaf)), b"leaf renewed", renewed, flags=bytes.fromhex("030206c0")),
            record(4, 0xA3, maker.secret(), b"secret"),
            record(5, 0xA4, der(0x30, der(2, b"\1")), b"unknown"),
            record(6, 0xA1, anchor[:-9], b"cut"),
            bytes(5000),
            record(9, 0xA1, own, b"not trusted", own, flags=bytes.fromhex("03020700")),
        ])
        database("kdb-requests.rdb", 6, b"X509KYP",
                 [record(1, 0xA0, der(0x30, maker.request(leaf, "/O=Sample/CN=wanted"), maker.sealed(leaf)), b"wanted")])
        database("kdb-crls.crl", 6, b"X509CRL",
                 [record(1, 0xA1, maker.crl(root, anchor), b"crl"), record(2, 0xA1, der(0x30, der(2, b"\1")), b"other")])
        database("kdb-empty.kdb", 6, b"X509KEY", [])
        first = bytes(byte ^ 0xF5 for byte in PASSWORD + b"\0" + bytes(range(1, 123)))
        with open(os.path.join(HERE, "kdb-stash-of-the-first-kind.sth"), "wb") as file:
            file.write(first)
        stash("kdb-stash-of-the-second-kind.sth", first)
        stash("kdb-stash-without-end.sth", bytes(byte ^ 0xF5 for byte in b"x" * 129))


if __name__ == "__main__":
    main()
