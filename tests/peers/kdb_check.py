#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
An IBM key database looked at without keystow: hashlib and hmac check the container, openssl parses, checks and decrypts what is in it.

kdb_check.py FILE PASSWORD   one line a record; what is wrong is an exception and exit 1
"""
import hashlib
import hmac
import struct
import subprocess
import sys
import tempfile

CONSTANT = (b"13EC6D5C885056915AB35FAD2BDDF39F40D7C57B8B4D28F66B61B75F391446FD"
            b"A96751174DBD9713D02E0B38732E763501DBBB85EC60E437929ED2AA8981B36B")
FLAGS = bytes.fromhex("03020780")
KINDS = {0xA0: "request", 0xA1: "signer", 0xA2: "personal", 0xA3: "secret"}


class Wrong(Exception):
    pass


def hold(what, true):
    if not true:
        raise Wrong(what)


def openssl(*argv, stdin):
    done = subprocess.run(["openssl", *argv], input=stdin, capture_output=True, timeout=60)
    hold(f"openssl {' '.join(argv[:2])}: {done.stderr.decode(errors='replace')}", done.returncode == 0)
    return done.stdout


def element(data, at):
    """Tag, start of the content, and end of the DER element at `at`."""
    size, content = data[at + 1], at + 2
    if size & 0x80:
        content += size & 0x7F
        size = int.from_bytes(data[at + 2:content], "big")
    hold("an element ends behind its frame", content + size <= len(data))
    return data[at], content, content + size


def parts(data, at=0, end=None):
    """The elements side by side in `data`, whole."""
    out = []
    while at < (len(data) if end is None else end):
        _, _, after = element(data, at)
        out.append(data[at:after])
        at = after
    return out


def content(data):
    _, start, end = element(data, 0)
    return data[start:end]


def head_of(data, password):
    """Both HMACs, over what they have to be over; slot size, and the slots."""
    hold("magic", data[:2] == b"\x37\x48" and data[2] in (4, 6) and data[4:8] == bytes(4))
    digest, mac = (hashlib.sha384, 48) if data[2] == 6 else (hashlib.sha1, 20)
    slot, count = struct.unpack(">II", data[0x10:0x18])
    hold("random part", 0 not in data[0x18:0x2F] and data[0x2F] == 0)
    hold("password's HMAC", hmac.new(password, data[:0x30], digest).digest() == data[0x30:0x30 + mac])
    rest = data[0x30 + 2 * mac:]
    whole = hmac.new(password, data[:0x30 + mac] + rest, digest).digest()
    hold("integrity's HMAC", whole == data[0x30 + mac:0x30 + 2 * mac])
    hold("size", len(rest) == slot * count)
    return data[8:15], [rest[n * slot:(n + 1) * slot] for n in range(count)]


def index_of(certificate):
    """The five hashes that stand behind a record."""
    tbs, _, signature = parts(content(certificate))
    fields = parts(content(tbs))
    if fields[0][0] == 0xA0:
        fields = fields[1:]
    serial, _, issuer, _, subject, key = fields[:6]
    size = len(issuer + serial)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + struct.pack(">H", size)
    both = b"\x30" + length + issuer + serial
    return b"".join(b"\0\0\0\x14" + hashlib.sha1(part).digest() for part in (signature, tbs, subject, key, both))


def open_key(sealed, password):
    """The public half of a sealed key, decrypted by openssl; the way it was sealed."""
    with tempfile.NamedTemporaryFile(suffix=".p8") as file:
        file.write(sealed)
        file.flush()
        clear = openssl("pkcs8", "-inform", "DER", "-in", file.name, "-passin", "stdin", stdin=password + b"\n")
    shape = openssl("asn1parse", "-inform", "DER", stdin=sealed).decode()
    return openssl("pkey", "-pubout", "-outform", "DER", stdin=clear), shape


def record_of(slot, password):
    kind, number, size = struct.unpack(">III", slot[:12])
    hold("type", kind == 1)
    der, at = slot[12:12 + size], 12 + size
    openssl("asn1parse", "-inform", "DER", "-noout", stdin=der)
    length = struct.unpack(">I", slot[at:at + 4])[0]
    label, at = slot[at + 4:at + 4 + length], at + 4 + length
    hold("no NUL in the label", b"\0" not in label)
    hold("one element", len(parts(der)) == 1)
    serial, body, name, flags = parts(content(der))
    hold("number", serial[0] == 2 and int.from_bytes(content(serial), "big") == number)
    hold("label", name[0] == 0x1A and content(name) == label)
    found = {"kind": KINDS[body[0]], "number": number, "label": label.decode("ascii"), "flags": flags}
    inside = parts(content(content(body))) if body[0] in (0xA0, 0xA2) else [content(body)]
    if body[0] in (0xA1, 0xA2):
        certificate = inside[0]
        pem = openssl("x509", "-inform", "DER", stdin=certificate)
        found["certificate"] = hashlib.sha256(certificate).hexdigest()
        found["subject"] = openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", stdin=pem).decode().strip()
        hold("index", slot[at:at + 124] == bytes(4) + index_of(certificate))
        hold("padding", not slot[at + 124:].strip(b"\0"))
    if body[0] in (0xA0, 0xA2, 0xA3):
        found["sealed"] = inside[-1]
    if body[0] == 0xA2:
        public, found["shape"] = open_key(inside[1], password)
        wanted = openssl("x509", "-noout", "-pubkey", stdin=pem)
        hold("the key is the certificate's", public == openssl("pkey", "-pubin", "-outform", "DER", stdin=wanted))
    return found


def look(file, password):
    """Every record of a database, each checked; `password` is bytes."""
    with open(file, "rb") as opened:
        kind, slots = head_of(opened.read(), password)
    records = [record_of(slot, password) for slot in slots]
    hold("numbers are used once", len({record["number"] for record in records}) == len(records))
    return kind, records, slots


def stream_of(front, size):
    """The key stream of a stash of the second kind; `front` are its first 64 bytes."""
    key = hashlib.sha256(front).digest()
    while key[8] != 3:
        key = hashlib.sha256(key).digest()
    for _ in range(64):
        key = hashlib.sha256(key).digest()
    seed = hmac.new(key, CONSTANT, hashlib.sha256).digest()
    state, stream = hmac.new(seed, bytes([1, 1, 2, 3, 5, 8]), hashlib.sha256).digest(), b""
    while len(stream) < size:
        stream += hmac.new(seed, state, hashlib.sha256).digest()
        state = stream + state
    return stream[:size]


def unstash(stash):
    """The password in a stash of either kind."""
    hidden = stash if len(stash) == 129 else bytes(a ^ b for a, b in zip(stash[64:], stream_of(stash[:64], 129)))
    return bytes(byte ^ 0xF5 for byte in hidden).split(b"\0")[0]


def main():
    kind, records, slots = look(sys.argv[1], sys.argv[2].encode())
    print(kind.decode(), len(slots[0]) if slots else 0)
    for record in records:
        print(record["number"], record["kind"], record["label"], record.get("subject", ""), record["flags"].hex())


if __name__ == "__main__":
    main()
