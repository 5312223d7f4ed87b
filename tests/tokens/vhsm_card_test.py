#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is the virtual SmartCard-HSM one? Stock tools judge: pkcs11-tool, sc-hsm-tool and opensc-tool work with it through the stock
driver, and openssl verifies what its keys did. keystow has no part in this."""
import os
import re
import shutil
import subprocess
import tempfile

from devices.vhsm import Vhsm, VhsmPinPad
from stand import Tap, need, skip

DATA = b"what is signed here\n" * 5
SHARES = [bytes(range(n, n + 32)) for n in (0, 100)]  # of the key that wraps keys


class Bench:
    """A card, and the tools that judge it. Files lie in the device's folder; tools get absolute paths."""

    def __init__(self, tap, device):
        self.tap, self.device = tap, device
        with open(device.path("data"), "wb") as file:
            file.write(DATA)

    def run(self, *argv, patience=300):
        """Exit status and what a tool said, inside the card's namespace."""
        got = subprocess.run([*self.device.prefix, *argv], env=self.device.environment(), cwd=self.device.folder, capture_output=True,
                             timeout=patience)
        return got.returncode, (got.stdout + got.stderr).decode(errors="replace")

    def p11(self, *argv, device=None, pin=None):
        device = device or self.device
        return self.run("pkcs11-tool", "--module", device.module, "--token-label", f"{device.label} (UserPIN)", "--login",
                        "--pin", pin or device.pin, *argv)

    def slots(self):
        return self.run("pkcs11-tool", "--module", self.device.module, "--list-slots")[1]

    def flags(self):
        """The flags of the first token."""
        return re.search(r"token flags\s*: (.*)", self.slots())[1]

    def card(self, *argv, device=None, **more):
        return self.run("sc-hsm-tool", "--reader", str((device or self.device).reader), *argv, **more)

    def ok(self, got, claim):
        return self.tap.ok(got[0] == 0, claim, got[1])

    def refused(self, got, words, claim):
        return self.tap.ok(got[0] != 0 and words in got[1], claim, got[1])

    def openssl(self, *argv):
        return self.run("openssl", *argv)

    def path(self, name):
        return self.device.path(name)

    def hash(self, name, kind):
        self.openssl("dgst", "-" + kind, "-binary", "-out", self.path(name), self.path("data"))
        return self.path(name)


EC_HEADS = {  # of a SubjectPublicKeyInfo, up to the point, and the point's length
    "p256": ("3059301306072a8648ce3d020106082a8648ce3d030107034200", 65),
    "p384": ("3076301006072a8648ce3d020106052b81040022036200", 97),
}
KEYS = {"rsa": ("rsa:2048", "01"), "p256": ("EC:secp256r1", "02"), "p384": ("EC:secp384r1", "03")}
SIGNATURES = [  # key, mechanism, hash made outside or None, how openssl verifies
    ("rsa", "SHA256-RSA-PKCS", None, ["-sha256"]),
    ("rsa", "RSA-PKCS-PSS", "sha256", ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]),
    ("rsa", "RSA-PKCS-PSS", "sha512", ["-sha512", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64"]),
    ("p256", "ECDSA", "sha256", ["-sha256"]),
    ("p256", "ECDSA-SHA256", None, ["-sha256"]),
    ("p384", "ECDSA", "sha384", ["-sha384"]),
]


def write_public(bench, name):
    """OpenSC 0.23's pkcs11-tool cannot write the public key of P-384, but shows its point."""
    ident, path = KEYS[name][1], bench.path(name + ".der")
    if name not in EC_HEADS:
        bench.p11("--read-object", "--type", "pubkey", "--id", ident, "--output-file", path)
        return
    head, length = EC_HEADS[name]
    point = re.search(rf"EC_POINT:\s+04{length:02x}(04\w+)", bench.p11("--list-objects", "--type", "pubkey")[1])[1]
    with open(path, "wb") as file:
        file.write(bytes.fromhex(head + point))


def keys(bench):
    for name, (kind, ident) in KEYS.items():
        bench.ok(bench.p11("--keypairgen", "--key-type", kind, "--id", ident, "--label", name), f"a key pair {kind} is made on the card")
        write_public(bench, name)
    said = bench.p11("--list-objects", "--type", "privkey")[1]
    bench.tap.ok(said.count("always sensitive, never extractable, local") == 3, "the keys say that they were made there and stay", said)
    bench.refused(bench.p11("--keypairgen", "--key-type", "EC:secp256r1", "--id", "02", "--label", "again"), "CKR_GENERAL_ERROR",
                  "an id is not used twice")


def signatures(bench):
    for name, mechanism, kind, how in SIGNATURES:
        out, source = bench.path("signature"), bench.path("data")
        options = []
        if kind:
            source = bench.hash("hashed", kind)
            options = ["--hash-algorithm", kind.upper()] if "PSS" in mechanism else []
        bench.p11("--sign", "--id", KEYS[name][1], "--mechanism", mechanism, *options, "--signature-format", "openssl",
                  "--input-file", source, "--output-file", out)
        bench.ok(bench.openssl("dgst", *how, "-keyform", "DER", "-verify", bench.path(name + ".der"), "-signature", out, bench.path("data")),
                 f"openssl verifies {mechanism} of {kind or 'the data'} with {name}")


def secrets(bench):
    bench.openssl("pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", bench.path("rsa.der"), "-in", bench.hash("plain", "sha256"),
                  "-out", bench.path("sealed"))
    bench.p11("--decrypt", "--id", "01", "--mechanism", "RSA-PKCS", "--input-file", bench.path("sealed"), "--output-file", bench.path("opened"))
    bench.ok(bench.run("cmp", bench.path("plain"), bench.path("opened")), "what openssl sealed with PKCS#1 is opened")
    for name, curve in (("p256", "prime256v1"), ("p384", "secp384r1")):
        ident = KEYS[name][1]
        bench.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + curve, "-out", bench.path("other.pem"))
        bench.openssl("pkey", "-in", bench.path("other.pem"), "-pubout", "-outform", "DER", "-out", bench.path("other.der"))
        bench.p11("--derive", "--id", ident, "--mechanism", "ECDH1-DERIVE", "--input-file", bench.path("other.der"),
                  "--output-file", bench.path("here"))
        bench.openssl("pkeyutl", "-derive", "-inkey", bench.path("other.pem"), "-peerform", "DER", "-peerkey", bench.path(name + ".der"),
                      "-out", bench.path("there"))
        bench.ok(bench.run("cmp", bench.path("here"), bench.path("there")), f"{name} agrees with openssl about a secret")
    first, second = (bench.p11("--generate-random", "32")[1] for _ in range(2))
    bench.tap.ok(first != second and len(first) > 10, "random bytes differ from call to call")


def certificates(bench):
    bench.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=any",
                  "-keyout", bench.path("any.key"), "-outform", "DER", "-out", bench.path("any.der"))
    for ident, where in (("02", "beside its key"), ("77", "by itself")):
        bench.ok(bench.p11("--write-object", bench.path("any.der"), "--type", "cert", "--id", ident, "--label", "any"),
                 f"a certificate is stored {where}")
        bench.p11("--read-object", "--type", "cert", "--id", ident, "--output-file", bench.path("back.der"))
        bench.ok(bench.run("cmp", bench.path("any.der"), bench.path("back.der")), f"and read back, {where}")
    bench.ok(bench.p11("--delete-object", "--type", "cert", "--id", "77"), "a certificate is deleted")
    said = bench.p11("--list-objects", "--type", "cert")[1]
    bench.tap.ok(said.count("Certificate Object") == 1, "and only that one is gone", said)


def wrapping(bench):
    """A key moves to a second card which knows the same key encryption key, and to none else."""
    device, other = bench.device, bench.device.again()
    bench.refused(bench.card("--wrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin), "not initialized for key wrap",
                  "a card without shares wraps nothing")
    for one in (device, other):
        one.init(one.label, "--dkek-shares", str(len(SHARES)))
    bench.p11("--keypairgen", "--key-type", "EC:secp256r1", "--id", "05", "--label", "first")
    bench.p11("--keypairgen", "--key-type", "EC:secp256r1", "--id", "07", "--label", "traveller")
    for share in SHARES:
        for one in (device, other):
            apdu = ":".join(f"{byte:02x}" for byte in (0x80, 0x52, 0, 0, len(share), *share, 0))
            bench.run("opensc-tool", "--reader", str(one.reader), "--send-apdu", apdu)
    said = [bench.card(device=one)[1] for one in (device, other)]
    check = [re.search(r"DKEK key check value : (\w+)", text) for text in said]
    bench.tap.ok(all(check) and check[0][1] == check[1][1], "two cards with the same shares have the same key check value", "\n".join(said))
    bench.ok(bench.card("--wrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin), "a key is wrapped")
    bench.ok(bench.card("--unwrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin, device=other),
             "and unwrapped on the second card")
    for one in (device, other):
        bench.p11("--sign", "--id", "07", "--mechanism", "ECDSA-SHA256", "--signature-format", "openssl", "--input-file", bench.path("data"),
                  "--output-file", bench.path(one.label), device=one)
    bench.p11("--read-object", "--type", "pubkey", "--id", "07", "--output-file", bench.path("traveller.der"))
    bench.ok(bench.openssl("dgst", "-sha256", "-keyform", "DER", "-verify", bench.path("traveller.der"), "-signature", bench.path(other.label),
                           bench.path("data")), "the same key signs there, with its id")
    other.init(other.label, "--dkek-shares", "1")
    apdu = ":".join(f"{byte:02x}" for byte in (0x80, 0x52, 0, 0, 32, *SHARES[0], 0))
    bench.run("opensc-tool", "--reader", str(other.reader), "--send-apdu", apdu)
    bench.refused(bench.card("--unwrap-key", bench.path("wrapped"), "--key-reference", "1", "--pin", device.pin, device=other),
                  "does not match DKEK", "a card with other shares does not take it")


def consent(bench):
    bench.p11("--keypairgen", "--key-type", "EC:secp256r1", "--id", "0a", "--label", "careful", "--always-auth")
    said = bench.p11("--list-objects", "--type", "privkey")[1]
    bench.tap.ok("always authenticate" in said, "a key may want a login for each signature, and says so", said)
    bench.ok(bench.p11("--sign", "--id", "0a", "--mechanism", "ECDSA-SHA256", "--input-file", bench.path("data"),
                       "--output-file", bench.path("signature")), "pkcs11-tool, which logs in for it, can use it")
    numbers = [number for number in range(16) if bench.run("opensc-tool", "--send-apdu", f"00:A4:00:00:02:C4:{number:02x}")[1].count("SW1=0x90")]
    pin = ":".join(f"{byte:02x}" for byte in bench.device.pin.encode())
    verify, use = f"00:20:00:81:06:{pin}", f"80:68:{numbers[-1]:02x}:70:20:{':'.join(['11'] * 32)}:00"
    said = bench.run("opensc-tool", "--send-apdu", verify, "--send-apdu", use, "--send-apdu", use)[1]
    bench.tap.ok(re.findall(r"SW1=0x(\w\w), SW2=0x(\w\w)", said) == [("90", "00"), ("90", "00"), ("69", "82")],
                 "its second use after one login is refused by the card", said)


def tries(bench):
    device, wrong = bench.device, "000000"
    bench.tap.ok("count low" not in bench.flags(), "an untouched PIN has no flags", bench.flags())
    for left, flag in (("two tries", "user PIN count low"), ("one try", "final user PIN try"), ("no try", "user PIN locked")):
        bench.refused(bench.p11("--list-objects", pin=wrong), "CKR_PIN_" + ("LOCKED" if left == "no try" else "INCORRECT"),
                      f"a wrong PIN is refused with {left} left")
        bench.tap.ok(flag in bench.flags(), f"and the token says: {flag}", bench.flags())
    bench.refused(bench.p11("--list-objects"), "CKR_PIN_LOCKED", "then the right PIN does not help")
    unblock = ["pkcs11-tool", "--module", device.module, "--token-label", f"{device.label} (UserPIN)", "--login", "--login-type", "so",
               "--init-pin", "--new-pin", "975310"]
    bench.refused(bench.run(*unblock, "--so-pin", "0000000000000000"), "CKR_PIN_INCORRECT", "a wrong SO PIN unblocks nothing")
    bench.ok(bench.run(*unblock, "--so-pin", device.so_pin), "the SO PIN sets a new PIN")
    bench.ok(bench.p11("--list-objects", pin="975310"), "which is accepted")
    bench.ok(bench.p11("--change-pin", "--new-pin", device.pin, pin="975310"), "and can be changed by its user")
    bench.tap.ok("locked" not in bench.flags() and "low" not in bench.flags(), "all tries are back", bench.flags())


def life(bench):
    device = bench.device
    before = re.search(r"serial num\s*: (\w+)", bench.slots())[1]
    device.stop()
    device.serve()
    after = re.search(r"serial num\s*: (\w+)", bench.slots())[1]
    bench.tap.ok(before == after and "traveller" in bench.p11("--list-objects")[1], "a card remembers its keys when pcscd ends", bench.slots())
    device.pull()
    bench.tap.ok(not bench.card()[1].count("Version"), "a card that was pulled is not there")
    device.push()
    bench.tap.ok("Version" in bench.card()[1], "one that was put back is")
    bench.refused(bench.run("pkcs11-tool", "--module", device.module, "--init-token", "--slot-index", "0", "--label", "new",
                            "--so-pin", "0000000000000000"), "CKR_", "a wrong SO PIN erases nothing")
    bench.ok(bench.run("pkcs11-tool", "--module", device.module, "--init-token", "--slot-index", "0", "--label", device.label,
                       "--so-pin", device.so_pin), "the right one does, through C_InitToken")
    said = bench.p11("--list-objects", pin=device.so_pin[:6])[1]
    bench.tap.ok("Private Key" not in said, "and all keys are gone", said)


def keypad(tap, folder):
    device = VhsmPinPad(folder)
    device.start()
    try:
        bench = Bench(tap, device)
        tap.ok("PIN pad present" in bench.flags(), "a reader with a keypad says so", bench.flags())
        login = ["pkcs11-tool", "--module", device.module, "--login", "--list-objects"]
        bench.ok(bench.run(*login), "a login without a PIN takes the one that is typed")
        device.type("000000")
        bench.refused(bench.run(*login), "CKR_PIN_INCORRECT", "a wrong one is counted")
        device.type()
        bench.refused(bench.run(*login), "CKR_FUNCTION_CANCELED", "the cancel key ends it")
        tap.ok("count low" in bench.flags(), "and costs no try", bench.flags())
    finally:
        device.stop()


def main():
    lost = Vhsm.missing()
    if lost:
        skip(lost)
    need("openssl", "opensc-tool", "cmp")
    tap, folder = Tap(), tempfile.mkdtemp(prefix="keystow-vhsm-")
    device = Vhsm(folder)
    try:
        device.start()
        bench = Bench(tap, device)
        bench.tap.ok("token label        : walnut (UserPIN)" in bench.slots(), "sc-hsm-tool initialises a card and names it", bench.slots())
        for part in (keys, signatures, secrets, certificates, wrapping, consent, tries, life):
            part(bench)
        device.stop()
        os.makedirs(folder + "/keypad")
        keypad(tap, folder + "/keypad")
    finally:
        device.stop()
        shutil.rmtree(folder, ignore_errors=True)
    tap.done()


if __name__ == "__main__":
    main()
