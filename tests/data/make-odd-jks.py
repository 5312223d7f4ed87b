#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Java key stores that keytool never writes, made of the ones it wrote; README.md says what each is for. Every password is `sample`."""
import hashlib
import os
import struct
import subprocess

os.chdir(os.path.dirname(os.path.abspath(__file__)))
PASSWORD = "sample"
JKS, JCEKS = 0xFEEDFEED, 0xCECECECE


def digest(content, password=PASSWORD):
    return hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()


def text(words):
    return struct.pack(">H", len(words)) + words


def sized(content):
    return struct.pack(">I", len(content)) + content


def store(name, magic, records, version=2, behind=b"", password=PASSWORD, count=None):
    content = struct.pack(">III", magic, version, len(records) if count is None else count) + b"".join(records)
    with open(name, "wb") as file:
        file.write(content + digest(content, password) + behind)


def head(tag, alias):
    return struct.pack(">I", tag) + text(alias) + struct.pack(">Q", 1700000000123)


def certificate(der, version=2, kind=b"X.509"):
    return (text(kind) if version == 2 else b"") + sized(der)


def trusted(alias, der, version=2, kind=b"X.509"):
    return head(2, alias) + certificate(der, version, kind)


def tlv(tag, content):
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + content


def jks_sealed(clear, password=PASSWORD):
    chars, salt = password.encode("utf-16-be"), bytes(range(20))
    block, stream = salt, b""
    while len(stream) < len(clear):
        block = hashlib.sha1(chars + block).digest()
        stream += block
    sealed = salt + bytes(a ^ b for a, b in zip(clear, stream)) + hashlib.sha1(chars + clear).digest()
    algorithm = tlv(0x30, bytes.fromhex("060a2b060104012a02110101") + b"\x05\x00")
    return tlv(0x30, algorithm + tlv(0x04, sealed))


def jceks_cipher(clear, salt, rounds, password=PASSWORD):
    halves = [salt[:4], salt[4:]]
    if halves[0] == halves[1]:
        a, b, _, d = salt[:4]
        halves[0] = bytes([d, a, b, d])
    derived = b""
    for half in halves:
        for _ in range(rounds):
            half = hashlib.md5(half + password.encode()).digest()
        derived += half
    return subprocess.run(["openssl", "enc", "-des-ede3-cbc", "-K", derived[:24].hex(), "-iv", derived[24:].hex()], input=clear,
                          stdout=subprocess.PIPE, check=True).stdout


def jceks_parameters(salt, rounds):
    return tlv(0x30, tlv(0x04, salt) + tlv(0x02, rounds.to_bytes(rounds.bit_length() // 8 + 1, "big")))


def jceks_sealed(clear, salt, rounds):
    algorithm = tlv(0x30, bytes.fromhex("06092b060104012a021301") + jceks_parameters(salt, rounds))
    return tlv(0x30, algorithm + tlv(0x04, jceks_cipher(clear, salt, rounds)))


def key(alias, sealed, chain, version=2):
    return head(1, alias) + sized(sealed) + struct.pack(">I", len(chain)) + b"".join(certificate(der, version) for der in chain)


def java(name, fields, values):
    """An object of a class with those fields, each a string (L) or bytes ([)."""
    description = b"sr" + text(name) + bytes(8) + b"\x02" + struct.pack(">H", len(fields))
    for letter, field in fields:
        description += letter + text(field) + (b"t" + text(b"Ljava/lang/String;") if letter == b"L" else b"t" + text(b"[B"))
    body = b""
    for (letter, _), value in zip(fields, values):
        body += b"t" + text(value) if letter == b"L" else b"ur" + text(b"[B") + bytes(8) + b"\x02\0\0xp" + sized(value)
    return bytes.fromhex("aced0005") + description + b"xp" + body


def spec(algorithm, bytes_):
    return java(b"javax.crypto.spec.SecretKeySpec", [(b"L", b"algorithm"), (b"[", b"key")], [algorithm, bytes_])


def sealed_object(clear, salt, rounds, name=b"javax.crypto.SealedObject", seal=b"PBEWithMD5AndTripleDES"):
    fields = [(b"[", b"encodedParams"), (b"[", b"encryptedContent"), (b"L", b"paramsAlg"), (b"L", b"sealAlg")]
    return java(name, fields, [jceks_parameters(salt, rounds), jceks_cipher(clear, salt, rounds), seal, seal])


def main():
    with open("der-certificate.der", "rb") as file:
        der = file.read()
    with open("der-clear-key.der", "rb") as file:
        clear = file.read()
    sealed = jks_sealed(clear)
    salt, rounds = bytes(range(8)), 20
    store("jks-version-1.jks", JKS, [key(b"web", sealed, [der], 1), trusted(b"anchor", der, 1)], version=1)
    store("jks-capitals-and-equal-aliases.jks", JKS, [trusted(b"ServerCA", der), trusted(b"serverca", der), trusted(b"twice", der),
                                                      trusted(b"twice", der), trusted(b"nul\xc0\x80\xed\xa0\xbd\xed\xb4\x91", der)])
    store("jks-alias-that-is-no-text.jks", JKS, [trusted(b"\xff\xfe", der)])
    store("jks-bytes-behind.jks", JKS, [trusted(b"anchor", der)], behind=b"left over")
    store("jks-certificates-of-other-types.jks", JKS,
          [key(b"web", sealed, [der, b"not a certificate"]), trusted(b"pgp", b"PGP", kind=b"OpenPGP"), head(1, b"odd") + sized(b"no key") +
           struct.pack(">I", 1) + certificate(der)])
    store("jks-key-without-certificate.jks", JKS, [key(b"bare", sealed, [])])
    store("jks-latin1-password.jks", JKS, [key(b"web", jks_sealed(clear, "\xc3\xbc"), [der])], password="\xc3\xbc")
    store("jks-four-billion-records.jks", JKS, [trusted(b"anchor", der)], count=0xFFFFFFFF)
    store("jks-key-of-four-billion-bytes.jks", JKS, [head(1, b"x") + b"\xff\xff\xff\xff" + b"\0" * 16])
    store("jceks-equal-halves-of-salt.jceks", JCEKS, [key(b"web", jceks_sealed(clear, b"abcdabcd", rounds), [der])])
    store("jceks-endless-work.jceks", JCEKS, [key(b"web", tlv(0x30, tlv(0x30, bytes.fromhex("06092b060104012a021301") +
                                                                       jceks_parameters(salt, 2000000000)) + tlv(0x04, b"\0" * 64)), [der])])
    store("jceks-objects-of-all-sorts.jceks", JCEKS,
          [head(3, b"plain sealed object") + sealed_object(spec(b"HmacSHA256", b"k" * 32), salt, rounds),
           head(3, b"unknown class") + java(b"com.example.Vault", [(b"L", b"what")], [b"nobody knows"]),
           head(3, b"other seal") + sealed_object(spec(b"AES", b"k" * 16), salt, rounds, seal=b"AES/GCM/NoPadding"),
           head(3, b"odd algorithm") + sealed_object(spec(b"Rot13", b"k" * 16), salt, rounds),
           head(3, b"odd key") + sealed_object(java(b"com.example.Key", [(b"[", b"key")], [b"kk"]), salt, rounds),
           head(3, b"by numbers") + sealed_object(spec(b"1.2.3.4", b"k" * 16), salt, rounds),
           key(b"jks seal", sealed, [der])])
    store("jceks-objects-in-objects.jceks", JCEKS, [head(3, b"deep") + bytes.fromhex("aced0005") +
                                                    (b"sr" + text(b"A") + bytes(8) + b"\x02\0\x01L" + text(b"a") + b"t" + text(b"LA;") + b"xp") * 200])


main()
