#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Backup of a token under 3 of 5 shares, the token wiped, and its keys restored into a second one.

openssl and pkcs11-tool judge the restored keys. The shares are also joined here, by hand, so that the secrets which they hide are
known and can be looked for in everything that keystow says, writes and asks of the system.
"""
import base64
import hashlib
import hmac
import itertools
import os
import re
import shutil
import subprocess
import sys

import stand

stand.need("openssl", "pkcs11-tool", "softhsm2-util")
tap = stand.Tap()
WALNUT, ACORN = "pkcs11:token=walnut", "pkcs11:token=acorn"
TEXT = "signed by the key that was restored"
KEYS = {"ec": "p256", "big": "p384", "rsa": "rsa:2048"}


# ---- what keystow does ----

def backup(at, *more, token=WALNUT, file="files/b", schedule=None):
    return at.ks("token", "backup", token, "-o", at.path(file), *more, schedule=schedule)


def share(at, n, file="files/b"):
    return at.path(f"{file}.share-{n}")


def restore(at, numbers, *more, file="files/b", schedule=None, shares=None):
    paths = shares or [share(at, n, file) for n in numbers]
    return at.ks("token", "restore", at.path(file), "--to", ACORN, *(word for path in paths for word in ("--share", path)), *more,
                 option="--to-pin-source", schedule=schedule)


def stocked(at):
    """Walnut with a key of each kind that may leave, one with a certificate, and one that never leaves."""
    at.configure()
    os.mkdir(at.path("files"))
    for label, kind in KEYS.items():
        check(at.ks("generate", f"{WALNUT};object={label}", "--type", kind, "--allow-extractable"))
    check(at.ks("ca", "init", at.path("files/ca"), "--subject", "CN=Test CA", pin=None))
    check(at.ks("enroll", f"{WALNUT};object=ec", "--subject", "CN=ec", "--profile", "client", "--ca", at.path("files/ca")))


def check(result, good=0):
    if result.rc != good:
        raise SystemExit(f"cannot prepare the test\n{result}")
    return result


# ---- what peers say ----

def tool(at, label, *argv):
    return subprocess.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", label, "--login", "--pin", stand.PIN, *argv],
                          env=at.env, capture_output=True, cwd=at.dir, timeout=stand.SAFETY)


def public_key(at, token, label):
    """The public key in PEM: openssl takes it out of a request which the key signed, and verifies that first."""
    request = at.path(f"{token}-{label}.csr")
    made = at.ks("request", f"pkcs11:token={token};object={label}", "--subject", "CN=x", "-o", request, "--replace")
    shown = subprocess.run(["openssl", "req", "-in", request, "-verify", "-pubkey", "-noout"], capture_output=True, text=True)
    return shown.stdout if made.rc == 0 and shown.returncode == 0 else None


def signs(at, token, label, pem):
    """pkcs11-tool signs with the key in the token, openssl verifies with the public key that was there before."""
    at.write("text", TEXT)
    digest = hashlib.sha256(TEXT.encode()).digest()
    with open(at.path("digest"), "wb") as file:
        file.write(bytes.fromhex("3031300d060960864801650304020105000420") + digest if label == "rsa" else digest)
    ident = next(i for kind, name, i in at.objects(token) if (kind, name) == ("private key", label))
    made = tool(at, token, "--sign", "--mechanism", "RSA-PKCS" if label == "rsa" else "ECDSA", "--id", ident,
                "-i", at.path("digest"), "-o", at.path("signature"))
    if label != "rsa":
        with open(at.path("signature"), "rb") as file:
            raw = file.read()
        with open(at.path("signature"), "wb") as file:
            file.write(der(0x30, integer(raw[:len(raw) // 2]) + integer(raw[len(raw) // 2:])))
    verified = subprocess.run(["openssl", "dgst", "-sha256", "-verify", at.write("public.pem", pem), "-signature",
                               at.path("signature"), at.path("text")], capture_output=True)
    return made.returncode == 0 and verified.returncode == 0


def der(tag, content):
    assert len(content) < 128
    return bytes((tag, len(content))) + content


def integer(raw):
    return der(2, (b"\0" + raw.lstrip(b"\0")) if raw.lstrip(b"\0")[0] & 0x80 else raw.lstrip(b"\0"))


# ---- the shares, joined by hand: Shamir over GF(256) with the polynomial 0x11d ----

def times(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = (a << 1) ^ (0x11d if a & 0x80 else 0), b >> 1
    return product


def over(a, b):
    return next(x for x in range(256) if times(x, b) == a)


def code(path):
    with open(path) as file:
        return base64.b64decode(file.read().splitlines()[-2])


def joined(parts):
    """The secret that [(number, bytes)] give."""
    whole = bytearray(len(parts[0][1]))
    for number, part in parts:
        factor = 1
        for other, _ in parts:
            if other != number:
                factor = times(factor, over(other, other ^ number))
        for i, byte in enumerate(part):
            whole[i] ^= times(factor, byte)
    return bytes(whole)


def secrets_of(at, numbers=(1, 3, 5)):
    """(the whole, the transport key, the key of the seal)."""
    codes = [code(share(at, n)) for n in numbers]
    whole = joined([(c[20], c[23:55]) for c in codes])
    return [whole] + [hmac.digest(whole, purpose + codes[0][4:20] + b"\1", "sha256")
                      for purpose in (b"keystow backup wraps keys", b"keystow backup seals file")]


def seal_fits(at, key):
    """Is the HMAC at the end of the backup, over the element before it, that of the key?"""
    der = base64.b64decode("".join(at.read("files/b").splitlines()[1:-1]))
    body = der[4 if der[1] == 0x82 else 3:-34]
    return hmac.digest(key, body, "sha256") == der[-32:]


def faces(secret):
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret)[:40]]


def seen_in(data, secrets):
    return any(face in data for secret in secrets for face in faces(secret))


def left_behind(at, secrets):
    """Files that hold one of the secrets. The shares themselves hold their parts only, each its own."""
    found = []
    for folder, _, names in os.walk(at.dir):
        for path in (os.path.join(folder, name) for name in names):
            with open(path, "rb") as file:
                if not folder.startswith(at.path("kept")) and seen_in(file.read(), secrets):
                    found.append(path)
    return found


def unleaky(at):
    """LeakSanitizer needs ptrace for itself, so it is off under strace; the other runs of this file look for leaks."""
    return {"ASAN_OPTIONS": at.env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}


# ---- the stories ----

def the_whole_story(at):
    before = at.objects("walnut")
    keys = {label: public_key(at, "walnut", label) for label in KEYS}
    certificate = tool(at, "walnut", "--read-object", "--type", "cert", "--label", "ec").stdout
    got = backup(at, "--shares", "5", "--threshold", "3")
    modes = [oct(os.stat(path).st_mode & 0o777) for path in [at.path("files/b")] + [share(at, n) for n in range(1, 6)]]
    tap.ok(got.rc == 0 and modes == ["0o600"] * 6 and at.objects("walnut") == before,
           "a backup and its five shares are files of mode 0600, and the token is as it was", f"{got}\n{modes}")

    subprocess.run(["softhsm2-util", "--delete-token", "--token", "walnut"], env=at.env, check=True, capture_output=True)
    at.init("walnut")
    tap.ok(at.objects("walnut") == [], "the token is wiped")

    pairs = [restore(at, pair) for pair in itertools.combinations(range(1, 6), 2)]
    tap.ok(all(got.rc == 4 and "[KS-0403]" in got.err and "3 shares are needed" in got.err for got in pairs) and len(pairs) == 10
           and at.objects("acorn") == [], "each of the ten pairs of shares is refused and restores nothing",
           "\n".join(map(str, pairs)))
    whole = secrets_of(at)
    tap.ok(all(secrets_of(at, triple) == whole for triple in itertools.combinations(range(1, 6), 3)) and seal_fits(at, whole[2]),
           "each three shares, joined by hand, give the secret that the backup is sealed with")
    tap.ok(not any(seal_fits(at, secrets_of(at, pair)[2]) for pair in itertools.combinations(range(1, 6), 2)),
           "two shares, joined by hand, give a secret that is not it")

    got = restore(at, (4, 1, 5))
    now = at.objects("acorn")
    tap.ok(got.rc == 0 and now == before, "three shares restore every key, public key and certificate under label and id", f"{got}\n{now}")
    for label, pem in keys.items():
        tap.ok(pem and public_key(at, "acorn", label) == pem and signs(at, "acorn", label, pem),
               f"the restored {KEYS[label]} key has the same public key; pkcs11-tool signs with it and openssl verifies")
    tap.ok(certificate and tool(at, "acorn", "--read-object", "--type", "cert", "--label", "ec").stdout == certificate,
           "the certificate is the same, byte for byte")
    verified = at.ks("verify", ACORN + ";object=ec", "--anchors", at.path("files/ca/ca.pem"))
    tap.ok(verified.rc == 0, "keystow verify finds key and certificate together", verified)
    tap.ok("sensitive" in tool(at, "acorn", "-O", "--type", "privkey").stdout.decode()
           and "extractable" not in tool(at, "acorn", "-O", "--type", "privkey").stdout.decode(),
           "the restored keys are sensitive, and cannot be taken out of the new token")
    again = restore(at, (1, 2, 3))
    tap.ok(again.rc == 0 and "nothing to do" in again.err and at.objects("acorn") == now, "restoring again finds nothing to do", again)


def refusals(at):
    """Wrong shares and changed backups are named, and change nothing."""
    check(backup(at))
    check(backup(at, file="files/other"))
    text = at.read("files/b.share-1")
    line = text.splitlines()[-2]
    at.write("torn", text.replace(line, line[:30] + ("A" if line[30] != "A" else "B") + line[31:]))
    body = bytearray(base64.b64decode(line))
    body[40] ^= 1
    body[55:] = hashlib.sha256(body[:55]).digest()[:5]
    at.write("forged", text.replace(line, base64.b64encode(body).decode()))
    for path, rc, words, what in (
            (at.path("torn"), 7, "torn is damaged: its checksum", "a damaged share"),
            (share(at, 1, "files/other"), 6, "other.share-1 belongs to another backup", "a share of another backup"),
            (at.path("forged"), 6, "forged is not the share that was made with this backup", "a share that was changed on purpose"),
            (share(at, 2), 2, "are the same share", "a share given twice"),
            (at.path("pin"), 7, "is not a share", "a file that is no share")):
        got = restore(at, (), shares=[share(at, 2), share(at, 3), path])
        tap.ok(got.rc == rc and words in got.err and at.objects("acorn") == [], f"{what} is refused by name", got)
    os.chmod(share(at, 1), 0o644)
    got = restore(at, (1, 2, 3))
    tap.ok(got.rc == 4 and "open to others" in got.err, "a share that others may read is refused", got)
    os.chmod(share(at, 1), 0o600)

    lines = at.read("files/b").splitlines()
    for n in range(1, len(lines) - 1, 7):
        row = lines[n]
        changed = row[:-5] + ("A" if row[-5] != "A" else "Q") + row[-4:]
        at.write("files/changed", "\n".join(lines[:n] + [changed] + lines[n + 1:]) + "\n")
        got = restore(at, (), file="files/changed", shares=[share(at, i) for i in (1, 2, 3)])
        if not tap.ok(got.rc in (6, 7) and at.objects("acorn") == [], f"a backup changed in line {n} is refused", got):
            break
    got = at.ks("token", "restore", at.path("files/b"), "--to", ACORN, "--dry-run", option="--to-pin-source")
    tap.ok(got.rc == 0 and '+ private key "rsa"' in got.out and "not checked" in got.err and at.objects("acorn") == [],
           "a dry run without shares shows what the backup holds, says that it was not checked, and changes nothing", got)


def keys_that_stay(at):
    check(at.ks("generate", WALNUT + ";object=stays", "--type", "p256"))
    got = backup(at)
    tap.ok(got.rc == 0 and 'private key "stays" is not in the backup' in got.err and "--allow-extractable" in got.err,
           "a key that was made without consent stays, and is named with what to do", got)
    os.unlink(at.path("files/b"))
    for n in range(1, 6):
        os.unlink(share(at, n))
    got = backup(at, "--strict")
    tap.ok(got.rc == 6 and not os.path.exists(at.path("files/b")), "--strict refuses when a key cannot go", got)
    got = backup(at, token=WALNUT + ";object=stays")
    tap.ok(got.rc == 6 and os.listdir(at.path("files")) == ["ca"], "when none can go nothing is written, shares neither", got)
    got = backup(at, "--dry-run")
    tap.ok(got.rc == 0 and '+ private key "ec"' in got.out and '"stays"' not in got.out and os.listdir(at.path("files")) == ["ca"],
           "a dry run shows what would go and writes nothing", got)
    got = backup(at, schedule="C_WrapKey 1 answer 0x6a")
    tap.ok(got.rc == 0 and "never gives this key away" in got.err and "is not in the backup" in got.err,
           "a key that its token does not wrap after all is named", got)
    check(restore(at, (1, 2, 3)))
    seen = [label for kind, label, _ in at.objects("acorn") if kind == "private key"]
    tap.ok(len(seen) == len(KEYS) - 1 and sorted(seen * 2) == sorted(label for kind, label, _ in at.objects("acorn")
                                                                     if kind in ("private key", "public key")),
           "no public key comes alone for a key that stayed", at.objects("acorn"))
    got = backup(at, "--replace", token=WALNUT + ";object=rsa")
    tap.ok(got.rc == 0 and got.out.count("+ ") == 2, "one entry can be backed up by itself", got)


def disturbed(at):
    """Failures and lies in the middle of it: no transport key stays, no half of a pair, and the failure has a name."""
    check(backup(at))
    at.keep()
    for what, schedule in {
            "the transport key is not taken": "C_CreateObject 1 answer 0x13\nC_CreateObject 2+ answer DEVICE_ERROR",
            "unwrapping fails": "C_UnwrapKey * answer 0x110",
            "the second key cannot be unwrapped": "C_UnwrapKey 2+ answer DEVICE_MEMORY",
            "the restored key does not sign": "C_Sign 1 answer DEVICE_ERROR",
            "the token goes away before the proof": "C_SignInit 1+ answer DEVICE_REMOVED",
            "the transport key cannot be destroyed": "C_DestroyObject 1 answer FUNCTION_FAILED"}.items():
        at.back()
        got = restore(at, (1, 2, 3), schedule=schedule)
        now = at.objects("acorn")
        fails = got.rc == 0 if "destroyed" in what else 0 < got.rc < 128 and "acorn" in got.err
        tap.ok(fails and not wrong_with(at, now, got.err), f"{what}: said, and nothing half stays unsaid", f"{got}\n{now}")
        tap.ok(restore(at, (1, 2, 3)).rc == 0 and at.objects("acorn") == at.objects("walnut"), f"{what}: the next run completes it")


def wrong_with(at, objects, said):
    """A transport key, or half a pair that nobody names."""
    halves = {}
    for kind, label, ident in objects:
        if kind in ("private key", "public key"):
            halves.setdefault(ident, []).append((kind, label))
    alone = [pair[0][1] for pair in halves.values() if len(pair) != 2]
    info = at.ks("token", "info", ACORN).out if alone else ""
    return [kind for kind, _, _ in objects if kind == "secret key"] + [label for label in alone if label not in said + info]


def contents(at):
    """The backup and its shares, by name, and what lies beside them."""
    return {name: at.read("files/" + name) for name in os.listdir(at.path("files")) if name != "ca"}


def replaced(at):
    """A backup in the place of another costs nothing until all of it is there; what was there stays beside it."""
    check(backup(at))
    old = contents(at)
    shutil.move(share(at, 4), at.path("fourth"))
    os.mkdir(share(at, 4))
    got = backup(at, "--replace")
    os.rmdir(share(at, 4))
    shutil.move(at.path("fourth"), share(at, 4))
    tap.ok(got.rc == 6 and contents(at) == old, "a share that cannot be written leaves the old backup and its shares", got)
    if shutil.which("strace"):
        wrong = []
        for call, last in (("renameat", 12), ("fsync", 12)):
            for n in range(1, last + 1):
                got = at.run(["strace", "-f", "-o", at.path("strace"), "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={n}",
                              at.keystow, "token", "backup", WALNUT, "-o", at.path("files/b"), "--replace", "--pin-source",
                              "file:" + at.path("pin")], env=unleaky(at))
                now = {name: text for name, text in contents(at).items() if not name.endswith(".old")}
                wrong += [] if 0 < got.rc < 128 and now == old else [f"{call} {n}: {sorted(now)}\n{got}"]
        tap.ok(not wrong, "a rename or a sync that fails anywhere leaves all of the old backup in place", "\n".join(wrong))
    got = backup(at, "--replace")
    now = contents(at)
    tap.ok(got.rc == 0 and all(now[name] != text and now[name + ".old"] == text for name, text in old.items()),
           "with --replace each file stays as .old", got)
    got = backup(at, "--replace", "--shares", "2", "--threshold", "2", "--share", share(at, 1), "--share", share(at, 1))
    tap.ok(got.rc == 2 and contents(at) == now and "named twice" in got.err, "two shares do not go into one file", got)


def killed(at):
    """A kill between any two calls."""
    check(backup(at))
    at.keep()
    wanted = at.objects("walnut")
    for name, run, token in (("backup", lambda schedule=None: backup(at, "--replace", schedule=schedule), "walnut"),
                             ("restore", lambda schedule=None: restore(at, (1, 2, 3), schedule=schedule), "acorn")):
        at.back()
        calls, wrong = check(run()).calls, []
        first = next(c.n for c in calls if c.name == "C_CreateObject")
        last = max(c.n for c in calls if c.name in ("C_DestroyObject", "C_CreateObject"))
        for n in range(first, last + 1):
            at.back()
            got = run(f"* {n} kill-{'before' if n % 2 else 'after'}")
            now = at.objects(token)
            if now is None:
                continue  # SoftHSM's own files do not survive each kill
            if got.rc != 137 or wrong_with(at, now, "") or (name == "backup" and now != wanted):
                wrong.append(f"call {n}: {got}\n{now}")
            elif name == "restore" and not (restore(at, (1, 2, 3)).rc == 0 and at.objects("acorn") == wanted):
                wrong.append(f"call {n}: not completed by the next run\n{at.objects('acorn')}")
        tap.ok(not wrong, f"{name}: killed between each of {last - first + 1} calls, no transport key and no half unsaid", "\n".join(wrong))


def nothing_is_told(at):
    """The whole secret and the two keys made of it are in no output, trace, file or system call, the shares only in their files."""
    traced = ["strace", "-f", "-v", "-s", "65535", "-xx", "-o", at.path("strace")] if shutil.which("strace") else []
    alone = unleaky(at) if traced else {}
    argv = ["token", "backup", WALNUT, "-o", at.path("files/b"), "--trace", "-v", "-v", "--pin-source", "file:" + at.path("pin")]
    made = at.run([*traced, at.keystow, *argv], timeout=4 * stand.SAFETY, env=alone)
    calls = at.read("strace")
    argv = ["token", "restore", at.path("files/b"), "--to", ACORN, "--trace", "-v", "-v", "--to-pin-source", "file:" + at.path("pin")]
    argv += [word for n in (1, 3, 5) for word in ("--share", share(at, n))]
    back = at.run([*traced, at.keystow, *argv], timeout=4 * stand.SAFETY, env=alone)
    calls += at.read("strace")
    if traced:
        os.unlink(at.path("strace"))
    whole = secrets_of(at)
    parts = [code(share(at, n))[23:55] for n in range(1, 6)]
    said = (made.out + made.err + back.out + back.err).encode()
    codes = [base64.b64encode(code(share(at, n))) for n in range(1, 6)]
    tap.ok(made.rc == 0 and back.rc == 0 and "C_WrapKey" in made.err and "C_UnwrapKey" in back.err, "traced runs work", f"{made}\n{back}")
    tap.ok(seal_fits(at, whole[2]) and not seen_in(said, whole + parts) and not any(c in said for c in codes),
           "no secret and no share is in messages or traces")
    tap.ok(not left_behind(at, whole) and not left_behind(at, parts), "no secret is in any file", left_behind(at, whole + parts))
    if traced:
        escaped = ["".join(f"\\x{byte:02x}" for byte in face) for secret in whole for face in faces(secret)]
        tap.ok("\\x" in calls and not any(face in calls for face in escaped), "no secret is in any system call")
        shown = ["".join(f"\\x{byte:02x}" for byte in c) for c in codes]
        where = {re.search(r"(\w+)\(", line)[1] for line in calls.splitlines() for face in shown if face in line}
        tap.ok(where <= {"write", "writev", "pwrite64", "read"}, "shares pass through reads and writes only", where)


def a_story(tell):
    with stand.Stand("walnut", "acorn") as at:
        stocked(at)
        tell(at)


with stand.Stand("walnut", "acorn") as probe:
    stocked(probe)
    if "libgfshare" in backup(probe).err:
        stand.skip("libgfshare is not there")
STORIES = [the_whole_story, refusals, keys_that_stay, replaced, disturbed, nothing_is_told]
MANY_RUNS = [killed]  # by name only
for story in STORIES + MANY_RUNS:
    if story.__name__ in sys.argv[1:] or (len(sys.argv) < 2 and story in STORIES):
        a_story(story)
tap.done()
