# SPDX-License-Identifier: Apache-2.0
"""What the owner of a token does with it, with pkcs11-tool and openssl as judges."""
import json
import os
import re

import pexpect

import stand

stand.need("softhsm2-util", "pkcs11-tool", "openssl")
tap = stand.Tap()


def pkcs11_tool(at, *args, label="walnut", pin=None):
    login = ["--login", "--pin", pin] if pin else []
    return at.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", label, *login, *args])


def source(at, name, text):
    return "file:" + at.write(name, text + "\n")


def token_pin(at, *args, schedule=None):
    return at.ks("token", "pin", "pkcs11:token=walnut", *args, schedule=schedule, pin=None)


def officers_login(at, pin):
    return at.run(["pkcs11-tool", "--module", stand.SOFTHSM, "--token-label", "walnut", "--login", "--login-type", "so",
                   "--so-pin", pin, "--init-pin", "--new-pin", stand.PIN]).rc == 0


def pins():
    with stand.Stand("walnut") as at:
        at.configure()
        old, so, new = "file:" + at.path("pin"), "file:" + at.path("so-pin"), source(at, "new", "97531864")
        got = token_pin(at, "--pin-source", old, "--new-pin-source", new)
        tap.ok(got.rc == 0 and at.objects("walnut", "97531864") == [], "a changed PIN is the one that pkcs11-tool logs in with", got)
        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", old)
        tap.ok(got.rc == 0 and at.objects("walnut") == [], "the security officer sets the user's PIN", got)
        got = token_pin(at, "--officer", "--so-pin-source", so, "--new-pin-source", source(at, "new-so", "86420975"))
        tap.ok(got.rc == 0 and not officers_login(at, stand.SO_PIN) and officers_login(at, "86420975"),
               "--officer changes the security officer's own PIN", got)
        at.write("so-pin", "86420975\n")

        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", so)
        tap.ok(got.rc == 2 and not got.logins() and "same source" in got.err, "user and officer never share a source: nothing is sent", got)
        got = at.ks("token", "init", "pkcs11:token=walnut", "--label", "x", "--so-pin-source", old)
        tap.ok(got.rc == 2 and not got.logins() and "same source" in got.err, "nor when a token is initialised", got)
        got = token_pin(at, "--unblock", "--officer", "--so-pin-source", so, "--new-pin-source", new)
        tap.ok(got.rc == 2 and not got.calls, "--unblock and --officer are two wishes", got)

        for kind, args in (("user", ["--pin-source", old]), ("officer", ["--officer", "--so-pin-source", so]),
                           ("unblock", ["--unblock", "--so-pin-source", so])):
            got = token_pin(at, *args, "--new-pin-source", source(at, "short", "12"))
            tap.ok(got.rc == 4 and "4 to 255" in got.err and not [c for c in got.calls if c.name in ("C_SetPIN", "C_InitPIN", "C_Login")],
                   f"a new PIN of a length that the token refuses is not sent ({kind})", got)
        for weak, why in (("1234", "row"), ("000000", "row"), ("987654", "row"), ("7193", "fewer than 6"), ("86420975", "the same one")):
            got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", source(at, "weak", weak))
            tap.ok(got.rc == 0 and "easy to guess" in got.err and why in got.err and weak not in got.err + got.out,
                   f"a PIN that is easy to guess is set and told: {why}", got)
        got = token_pin(at, "--unblock", "--so-pin-source", so, "--new-pin-source", old)
        tap.ok(got.rc == 0 and not got.err, "of a good one nothing is said", got)

        got = token_pin(at, "--pin-source", old, "--new-pin-source", new, schedule="C_GetTokenInfo * flags LOCKED")
        tap.ok(got.rc == 5 and "--unblock" in got.err and not [c for c in got.calls if c.name == "C_SetPIN"],
               "a locked PIN is not tried, and the sentence names the way out", got)


def pins_at_a_terminal():
    with stand.Stand("walnut") as at:
        at.configure()
        program = pexpect.spawn(at.keystow, ["token", "pin", "pkcs11:token=walnut"], env={**at.env, "TERM": "dumb"}, cwd=at.dir,
                                timeout=stand.SAFETY, encoding="utf-8")
        for prompt, answer in ((r"\nPIN for token|^PIN for token", stand.PIN), ("new PIN for token", "55512345"), ("same again", "55512346"),
                               ("differ", None), ("new PIN for token", "75319468"), ("same again", "75319468")):
            program.expect(prompt)
            if answer:
                program.expect(": ")
                program.sendline(answer)
        program.expect(pexpect.EOF)
        said = program.before
        program.close()
        tap.ok(program.exitstatus == 0 and at.objects("walnut", "75319468") == [],
               "a new PIN is asked for twice, and again when the two differ", said)


def pins_on_a_pad():
    with stand.Stand("walnut") as at:
        at.configure()
        pad = f"C_GetTokenInfo * pin-pad {stand.PIN}"
        got = token_pin(at, schedule=pad)
        changed = [c for c in got.calls if c.name == "C_SetPIN"]
        tap.ok(len(changed) == 1 and "PIN source" not in got.err and "terminal" not in got.err,
               "a token with a pad of its own is given no PIN and asks for none here", got)


def may(at, label, *args):
    """What pkcs11-tool says that the private key may do."""
    said = pkcs11_tool(at, "-O", "--type", "privkey", pin=stand.PIN).out
    block = next((b for b in said.split("Private Key Object") if f"label:      {label}\n" in b), "")
    usage = next((line.split(":", 1)[1] for line in block.splitlines() if "Usage:" in line), "")
    return {word.strip() for word in usage.split(",")}, block


def uses():
    with stand.Stand("walnut") as at:
        at.configure()
        key = "pkcs11:token=walnut;object="
        for label, kind, wish, found in (("s", "p256", "sign", {"sign"}), ("d", "rsa:2048", "decrypt", {"decrypt"}),
                                         ("sw", "rsa:2048", "sign,wrap", {"sign", "unwrap"}), ("x", "p384", "derive", {"derive"}),
                                         ("all", "p256", "sign,derive", {"sign", "derive"}), ("e", "ed25519", "sign", {"sign"})):
            got = at.ks("generate", key + label, "--type", kind, "--usage", wish)
            seen, block = may(at, label)
            tap.ok(got.rc == 0 and seen == found and "never extractable" in block, f"a {kind} key for {wish} can do just that", f"{got}\n{block}")
        got = at.ks("generate", key + "aa", "--always-authenticate", "--wrap-with-trusted")
        tap.ok(got.rc == 0 and "always authenticate" in may(at, "aa")[1] and not got.err, "--always-authenticate makes a guarded key", got)
        got = at.ks("request", key + "aa", "--subject", "CN=aa", "-o", at.path("aa.csr"))
        verified = at.run(["openssl", "req", "-in", at.path("aa.csr"), "-noout", "-verify"])
        tap.ok(got.rc == 0 and len(got.logins()) == 2 and verified.rc == 0, "and it signs with its PIN given once more", got)

        before = at.objects("walnut")
        for kind, wish, code in (("p256", "decrypt", 6), ("rsa:2048", "derive", 6), ("ed25519", "wrap", 6), ("p256", "sing", 2), ("p256", "", 2)):
            got = at.ks("generate", key + "no", "--type", kind, "--usage", wish)
            tap.ok(got.rc == code and at.objects("walnut") == before and ("did you mean sign" in got.err or wish != "sing"),
                   f"a {kind} key for \"{wish}\" is refused", got)
        got = at.ks("generate", key + "no", "--no-sensitive")
        tap.ok(got.rc == 2 and at.objects("walnut") == before, "there is no way to ask for a key that is not sensitive", got)
        got = at.ks("generate", key + "weak", "--type", "p256", "--usage", "sign", "--always-authenticate",
                    schedule="C_GenerateKeyPair 1 answer TEMPLATE_INCONSISTENT\nC_GenerateKeyPair 2 answer TEMPLATE_INCONSISTENT")
        tap.ok(got.rc == 0 and "wants its PIN for each use" in got.err and "may not decrypt" in got.err,
               "what the token did not make of the wish is told after reading back", got)
        got = at.run([at.keystow, "generate", "pem:" + at.path("k.pem") + "#k", "--usage", "sign", "--no-password"])
        tap.ok(got.rc == 0 and "does not keep what the key may be used for" in got.err, "a file cannot keep a use, and that is said", got)
        got = at.run([at.keystow, "generate", "pem:" + at.path("k2.pem") + "#k", "--always-authenticate", "--no-password"])
        tap.ok(got.rc == 6, "nor guard one, which is refused", got)


def capabilities():
    with stand.Stand("walnut") as at:
        at.configure()
        key = "pkcs11:token=walnut;object=k"
        got = at.ks("generate", key, "--type", "ed25519", schedule="C_GetMechanismList * answer DEVICE_ERROR")
        tap.ok(got.rc == 8 and not [c for c in got.calls if c.name == "C_GenerateKeyPair"], "a token that cannot be asked makes nothing", got)
        got = at.ks("generate", key, "--type", "ed25519", schedule="C_GetMechanismList 2 length 0")
        tap.ok(got.rc == 6 and "makes no Ed25519 keys" in got.err and not [c for c in got.calls if c.name == "C_GenerateKeyPair"],
               "what the token does not list is not tried, and that is one sentence", got)


def imports():
    with stand.Stand("walnut") as at:
        at.configure()
        token = "pkcs11:token=walnut"
        kinds = {"rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
                 "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "ed25519": ["-algorithm", "ED25519"]}
        for label, how in kinds.items():
            at.run(["openssl", "genpkey", *how, "-out", at.path(label + ".pem")])
            got = at.ks("copy", at.path(label + ".pem"), f"{token};object={label}", option="--to-pin-source")
            shown = at.ks("show", f"{token};object={label}")
            asked = at.ks("request", f"{token};object={label}", "--subject", "CN=x", "-o", at.path(label + ".csr"))
            # OpenSSL 4 tells the verdict on standard output, before the key.
            public = at.run(["openssl", "req", "-in", at.path(label + ".csr"), "-noout", "-verify", "-pubkey"])
            same = at.run(["openssl", "pkey", "-in", at.path(label + ".pem"), "-pubout"])
            tap.ok(got.rc == 0 and "made outside" in got.err and [c for c in got.calls if c.name == "C_Sign"],
                   f"a {label} key from a file is put into a token, proved there, and told to be known outside", got)
            tap.ok("imported, not made on the device" in shown.out and asked.rc == 0 and same.out and public.out.endswith(same.out),
                   f"show says that the {label} key was imported, and its request verifies with the file's key", f"{shown}\n{asked}\n{public}")
        before = at.objects("walnut")
        for row, code, words in (("C_CreateObject 2 answer 0x54", 6, "takes no EC P-256 private key from outside"),
                                 ("C_CreateObject 2 answer 0x13", 6, "takes no EC P-256 private key from outside"),
                                 ("C_SignInit * answer 0x68", 6, "does not sign with it"),
                                 ("C_Sign * answer DEVICE_ERROR", 8, "does not sign with it"),
                                 ("C_Sign * garbage 1", 6, "does not verify")):
            at.run(["openssl", "genpkey", *kinds["p256"], "-out", at.path("new.pem")])
            got = at.ks("copy", at.path("new.pem"), f"{token};object=new", option="--to-pin-source", schedule=row)
            tap.ok(got.rc == code and words in got.err and at.objects("walnut") == before, f"{row}: a sentence, and nothing stays", got)


def untold():
    with stand.Stand("walnut") as at:
        at.configure()
        key = "pkcs11:token=walnut;object=k"
        at.ks("generate", key, "--type", "p256")
        told = at.ks("show", key)
        tap.ok("not told" not in told.out, "show has nothing to add where the token tells all", told)
        for attribute, words, field in (("0x163", "where it was made: not told by the token", "made_on_device"),
                                        ("0x162", "whether it can be taken out: not told by the token", "extractable"),
                                        ("0x103", "whether it is sensitive: not told by the token", "sensitive")):
            row = f"C_GetAttributeValue * value {attribute}=ff"  # what stands in the room for it when the token gives nothing
            got, document = at.ks("show", key, schedule=row), at.ks("show", key, "--json", schedule=row)
            entry = json.loads(document.out)["stores"][0]["entries"][0] if document.rc == 0 else {}
            tap.ok(got.rc == 0 and words in got.out and entry and field not in entry,
                   f"show: {words}, and --json leaves {field} out", f"{got}\n{document}")


def doctor(at, *args, **more):
    got = at.ks("token", "doctor", "pkcs11:token=walnut", *args, "--json", **more)
    checks = json.loads(got.out)["tokens"][0]["checks"] if got.out.startswith("{") and '"tokens"' in got.out else []
    return got, [f"{c['level']} {c['check']}: {c['text']}" for c in checks]


def doctors():
    with stand.Stand("walnut") as at:
        at.configure()
        key = "pkcs11:token=walnut;object="
        at.ks("generate", key + "good", "--type", "p256")
        before = at.objects("walnut")
        got, checks = doctor(at, pin=None)
        tap.ok(got.rc == 0 and not got.logins() and not [c for c in checks if c.startswith("care")],
               "a token in order needs no care, and no login without a source of the PIN", got)
        wanted = ("fact module:", "fact token:", "fact PIN: 4 to 255", "fact mechanisms:", "ok key pairs: lists RSA", "ok sessions:",
                  "fact listing:", "fact objects:", "fact seen by Java:")
        tap.ok(all(any(c.startswith(w) for c in checks) for w in wanted) and any("CKM_ECDSA" in c for c in checks), "each check is told", checks)
        wrote = {"C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_SetAttributeValue", "C_InitPIN", "C_SetPIN", "C_InitToken"}
        got, checks = doctor(at)
        tap.ok(got.rc == 0 and any(c.startswith("ok keys:") for c in checks) and not wrote & {c.name for c in got.calls},
               "without --write nothing is written", got)
        got, checks = doctor(at, "--write")
        made = [c for c in checks if " makes: " in c]
        tap.ok(got.rc == 0 and sum("removed again" in c for c in made) == 5 and sum("ML-DSA-65: no: " in c for c in made) == 1 and len(made) == 6
               and at.objects("walnut") == before, "--write makes five kinds of key, tells why not the sixth, and leaves none", f"{got}\n{checks}")
        tap.ok(stand.PIN not in got.out + got.err, "no PIN is in it")
        got, checks = doctor(at, "--write", schedule="C_GenerateKeyPair * answer MECHANISM_INVALID")
        tap.ok(len([c for c in checks if c.startswith("fact makes:") and ": no: " in c]) == 6 and at.objects("walnut") == before,
               "kinds that cannot be made are facts", f"{got}\n{checks}")
        got = at.ks("token", "doctor", "pkcs11:token=walnut", "--write",
                    schedule="C_GenerateKeyPair 2 half private\nC_DestroyObject 3+ answer DEVICE_ERROR")
        tap.ok(got.rc == 1 and re.search(r"care  makes +EC P-256: no.*\n +next: .*keystow remove", got.out),
               "a half that stays is told with the way to remove it", got)
        for line in [line for line in at.objects("walnut") if line not in before]:
            pkcs11_tool(at, "--delete-object", "--type", {"private key": "privkey", "public key": "pubkey"}[line[0]], "--id", line[2], pin=stand.PIN)
        tap.ok(at.objects("walnut") == before, "and can be removed")
        text = at.ks("token", "doctor", "pkcs11:token=walnut")
        tap.ok(text.rc == 0 and "walnut   pkcs11:" in text.out and "ok    sessions" in text.out, "people get lines", text)

        got, checks = doctor(at, schedule="C_GetTokenInfo * flags LOCKED", pin=None)
        tap.ok(got.rc == 1 and "care PIN: the PIN is locked" in checks, "a locked PIN needs care: exit 1", got)
        for row, check in (("C_GetMechanismList * answer DEVICE_ERROR", "care mechanisms:"), ("C_OpenSession 3 answer SESSION_COUNT", "care sessions:"),
                           ("C_GetInfo 2+ answer GENERAL_ERROR", "care module:"),
                           ("C_GetMechanismList 3+ answer DEVICE_ERROR", "care key pairs:")):
            got, checks = doctor(at, schedule=row, pin=None)
            tap.ok(got.rc == 1 and any(c.startswith(check) for c in checks), f"{row}: that check needs care, the others go on", f"{got}\n{checks}")

        made = (("--label", "noid", "--keypairgen", "--key-type", "EC:prime256v1"),)
        for args in made:
            pkcs11_tool(at, *args, pin=stand.PIN)
        pkcs11_tool(at, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "half", "--id", "aa", pin=stand.PIN)
        pkcs11_tool(at, "--delete-object", "--type", "pubkey", "--id", "aa", pin=stand.PIN)
        pkcs11_tool(at, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "out", "--id", "bb", "--extractable", pin=stand.PIN)
        pkcs11_tool(at, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "twin", "--id", "bb", pin=stand.PIN)
        at.ks("generate", key + "edwards", "--type", "ed25519")
        got, checks = doctor(at)
        for words in ('private key "noid" has no id', 'private key "half" has no public half', 'private key "out" can be taken out',
                      '"twin" shares its id', "sees no private key at all"):
            tap.ok(got.rc == 1 and any(c.startswith("care") and words in c for c in checks), f"needs care: {words}", checks)
        for args, code in ((("--write",), 2), (("pkcs11:token=absent",), 3), (("p12:a.p12",), 2)):
            got = at.ks("token", "doctor", *args, pin=None)
            tap.ok(got.rc == code and "next:" in got.err, f"token doctor {' '.join(args)} fails in words", got)


def data_labels(at, label="walnut"):
    """The labels of the data objects that pkcs11-tool sees after a login."""
    said = pkcs11_tool(at, "-O", "--type", "data", label=label, pin=stand.PIN).out
    return sorted(re.findall(r"label: +'?([^'\n]*)", said))


def data_objects():
    with stand.Stand("walnut", "acorn") as at:
        at.configure()
        note = "pkcs11:token=walnut;object=note;type=data"
        file = at.write("note", "first line\n\0\x01end")
        got = at.ks("copy", file, note, option="--to-pin-source")
        read = pkcs11_tool(at, "--read-object", "--type", "data", "--label", "note", pin=stand.PIN)
        tap.ok(got.rc == 0 and read.out == "first line\n\0\x01end", "a file becomes a data object that pkcs11-tool reads", f"{got}\n{read}")
        public = pkcs11_tool(at, "-O", "--type", "data")
        tap.ok("note" not in public.out, "it is private")
        got = at.ks("copy", file, note, option="--to-pin-source")
        tap.ok(got.rc == 0 and data_labels(at) == ["note"], "the same once more is nothing to do", got)
        other = at.write("other", "second")
        got = at.ks("copy", other, note, option="--to-pin-source")
        tap.ok(got.rc == 9 and "--replace" in got.err, "other bytes under that label are refused", got)
        got = at.ks("copy", other, note, "--replace", option="--to-pin-source")
        tap.ok(got.rc == 0 and data_labels(at) == ["note"], "unless they may be replaced", got)
        got = at.ks("copy", note, at.path("back"))
        tap.ok(got.rc == 0 and at.read("back") == "second" and os.stat(at.path("back")).st_mode & 0o777 == 0o600,
               "it comes out as it went in, for its owner only", got)
        got = at.ks("copy", note, "-")
        tap.ok(got.rc == 0 and got.out == "second", "and to standard output", got)
        shown, listed = at.ks("show", note), at.ks("list", "pkcs11:token=walnut", "--json")
        tap.ok("data object" in shown.out and "6 bytes" in shown.out and "type=data" in listed.out and "second" not in listed.out,
               "show tells its size, list its address, neither its bytes", f"{shown}\n{listed}")

        at.ks("generate", "pkcs11:token=walnut;object=note", "--type", "p256")
        got = at.ks("rename", note, "memo")
        tap.ok(got.rc == 0 and data_labels(at) == ["memo"] and [o[1] for o in at.objects("walnut")] == ["note", "note"],
               "type=data means the data object, not the key of that label", got)
        got = at.ks("copy", "pkcs11:token=walnut;object=memo;type=data", "pkcs11:token=acorn", "--to-pin-source", "file:" + at.path("pin"))
        tap.ok(got.rc == 0 and data_labels(at, "acorn") == ["memo"], "from token to token", got)
        got = at.ks("remove", "pkcs11:token=walnut;object=memo;type=data")
        tap.ok(got.rc == 0 and not data_labels(at) and len(at.objects("walnut")) == 2, "remove takes it away and leaves the key", got)
        for row, code in (("C_CreateObject * answer TEMPLATE_INCONSISTENT", 6), ("C_CreateObject * answer DEVICE_ERROR", 8)):
            got = at.ks("copy", file, note, option="--to-pin-source", schedule=row)
            tap.ok(got.rc == code and not data_labels(at), f"{row}: a sentence, and nothing stays", got)
        got = at.ks("copy", at.path("absent"), note, option="--to-pin-source")
        tap.ok(got.rc == 3 and not got.logins(), "a file that is not there costs no login", got)


def benches():
    with stand.Stand("walnut") as at:
        at.configure()
        at.ks("generate", "pkcs11:token=walnut;object=k", "--type", "p256")
        before = at.objects("walnut")
        got = at.ks("token", "bench", "pkcs11:token=walnut;object=k", "--seconds", "1", "--json")
        seen = {m["what"]: m for m in json.loads(got.out)["measures"]}
        signed = len([c for c in got.calls if c.name == "C_Sign"])
        tap.ok(got.rc == 0 and seen["sign"]["count"] == signed - 3 and seen["sign"]["seconds"] >= 1 and seen["list"]["count"] == 2,
               "a key that is named signs for the time that was chosen, and each signature but three counts", got)
        tap.ok(not [c for c in got.calls if c.name in ("C_GenerateKeyPair", "C_DestroyObject")], "nothing is made for it")
        got = at.ks("token", "bench", "pkcs11:token=walnut", "--write", "--seconds", "1", "--json")
        kinds = [m["title"] for m in json.loads(got.out)["measures"] if m["what"] == "sign" and m["per_second"] > 0]
        tap.ok(got.rc == 0 and len(kinds) == 4 and at.objects("walnut") == before, "--write measures four kinds and leaves no key", got)
        got = at.ks("token", "bench", "pkcs11:token=walnut", "--write", "--seconds", "1", schedule="C_Sign 5 answer DEVICE_ERROR")
        tap.ok(got.rc == 8 and "signing with" in got.err and at.objects("walnut") == before, "nor when the token fails while it signs", got)
        got = at.ks("token", "bench", "pkcs11:token=walnut;object=k", "--seconds", "1", schedule="C_Sign 1 garbage")
        tap.ok(got.rc == 6 and "does not verify" in got.err and "a second" not in got.out.split("objects", 1)[1].split("\n", 1)[1],
               "a first signature that does not verify is told, not measured", got)
        got = at.ks("token", "bench", "pkcs11:token=walnut;object=k", "--seconds", "1", schedule="C_Sign 2+ garbage")
        tap.ok(got.rc == 6 and "does not verify" in got.err, "and so is a last one", got)
        got = at.ks("token", "bench", "pkcs11:token=walnut")
        tap.ok(got.rc == 0 and "nothing signed" in got.err and not [c for c in got.calls if c.name == "C_Sign"], "with neither it signs nothing", got)


for job in (pins, pins_at_a_terminal, pins_on_a_pad, uses, capabilities, imports, untold, doctors, data_objects, benches):
    job()
tap.done()
