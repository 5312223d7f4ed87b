#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The verbs on tokens: SoftHSM made fresh for each claim, pkcs11-tool as the judge."""
import ctypes
import hashlib
import os
import re
import shlex
import subprocess
import sys

from story import PIN, SOFTHSM, Skip, claim, ended, tell

P = ("--pin-source", "file:pin")


def objects(story, label="story"):
    return story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", label, "--login", "--pin", PIN, "-O")


@claim
def token_list_shows_what_is_there(story):
    story.token()
    row = story.ok("token", "list").out.splitlines()[0].split("\t")
    assert row[0] == "story" and row[3].startswith("pkcs11:"), row


@claim
def token_list_prints_a_golden_document(story):
    story.token()
    document = story.ok("token", "list", "--json").json()
    assert [t["label"] for t in document["tokens"] if t["initialized"]] == ["story"], document
    story.golden("token list", "token", "list")


@claim
def token_list_fails_in_words(story):
    story.token()
    story.fails(8, 801, "token", "list", "--module", "/nonexistent/module.so")
    story.fails(2, 201, "token", "list", "extra")
    story.fails(2, 201, "token", "lst")


@claim
def token_info_tells_what_a_token_holds(story):
    token = story.token()
    story.ok("generate", f"{token};object=k1", *P)
    assert "1 private keys" in story.ok("token", "info", token, *P).out


@claim
def token_info_prints_a_golden_document(story):
    story.golden("token info", "token", "info", story.token())


@claim
def token_info_fails_in_words(story):
    story.token()
    story.fails(3, 303, "token", "info", "pkcs11:token=absent")
    story.fails(2, 202, "token", "info", "pkcs11:tokn=story")
    story.fails(2, 201, "token", "info", "p12:a.p12")


@claim
def token_init_makes_a_token_that_pkcs11_tool_logs_in_to(story):
    story.token(None)
    free = next(t for t in story.ok("token", "list", "--json").json()["tokens"] if not t["initialized"])
    made = story.ok("token", "init", f"pkcs11:slot-id={free['slot']}", "--label", "fresh", "--so-pin-source", "file:so.pin", *P).out
    fresh = story.ok("token", "info", "pkcs11:token=fresh", "--json").json()["tokens"][0]
    assert fresh["serial"] and made == f'+ token "fresh", serial {fresh["serial"]}, is initialised\n', made
    assert story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "fresh", "--login", "--pin", PIN, "-O") is not None


@claim
def token_init_prints_a_golden_document(story):
    story.token(None)
    free = next(t for t in story.ok("token", "list", "--json").json()["tokens"] if not t["initialized"])
    story.golden("token init", "token", "init", f"pkcs11:slot-id={free['slot']}", "--label", "fresh", "--so-pin-source", "file:so.pin",
                 *P)


@claim
def what_cannot_be_found_is_named_with_what_to_do(story):
    """An address with a slip, an empty computer, a module that is a folder, a PIN in a file that is not there."""
    story.token()
    for words in (["info"], ["init", "--label", "x"], ["pin"], ["doctor"]):
        said = story.fails(3, 303, "token", *words, "pkcs11:token=stori").err
        assert "present: story" in said and "did you mean \"story\"?" in said, said
    assert "did you mean" not in story.fails(3, 303, "token", "info", "pkcs11:token=elsewhere").err
    said = story.fails(8, 801, "token", "list", "--module", story.dir).err
    assert "is not a regular file" in said and "next: name the library itself" in said, said
    said = story.fails(4, 403, "token", "pin", "pkcs11:token=story", "--pin-source", "file:absent", "--new-pin-source", "file:pin").err
    assert "cannot be opened" in said and "next: check the path" in said, said


@claim
def token_init_fails_in_words(story):
    token = story.token()
    story.ok("generate", f"{token};object=k1", *P)
    before = objects(story)
    story.fails(2, 201, "token", "init", token, "--so-pin-source", "file:so.pin", *P)
    story.fails(3, 303, "token", "init", "pkcs11:token=absent", "--label", "x", "--so-pin-source", "file:so.pin", *P)
    story.fails(4, 401, "token", "init", token, "--label", "x", "--so-pin-source", "file:b.pin", *P)
    assert objects(story) == before


@claim
def token_pin_changes_and_unblocks(story):
    token = story.token()
    story.write("new.pin", "97531864\n")
    story.ok("token", "pin", token, *P, "--new-pin-source", "file:new.pin")
    story.fails(4, 401, "generate", f"{token};object=k", *P)
    story.ok("token", "pin", token, "--unblock", "--so-pin-source", "file:so.pin", "--new-pin-source", "file:pin")
    assert "Private" in objects(story) or objects(story) == ""


@claim
def token_pin_prints_a_golden_document(story):
    story.golden("token pin", "token", "pin", story.token(), *P, "--new-pin-source", "file:pin")


def backed_up(story):
    """A token with one key that may leave, and its backup under two shares."""
    token = story.token()
    story.ok("generate", f"{token};object=k", "--type", "p256", "--allow-extractable", *P)
    if "libgfshare" in story.run("token", "backup", token, *P, "-o", "b", "--shares", "2").err:
        raise Skip("libgfshare is not there")
    return token


@claim
def token_backup_prints_a_golden_document(story):
    token = backed_up(story)
    story.golden("token backup", "token", "backup", token, *P, "-o", "b", "--shares", "2", "--threshold", "2", "--replace")


@claim
def token_backup_fails_in_words(story):
    token = backed_up(story)
    story.fails(9, 902, "token", "backup", token, *P, "-o", "b")
    story.fails(2, 201, "token", "backup", token, *P)
    story.fails(2, 201, "token", "backup", token, *P, "-o", "c", "--shares", "2", "--threshold", "3")
    story.fails(2, 201, "token", "backup", token, *P, "-o", "c", "--shares", "2", "--share", "one")
    story.fails(2, 201, "token", "backup", "b", "-o", "c")
    story.ok("generate", f"{token};object=stays", *P)
    story.fails(6, 610, "token", "backup", f"{token};object=stays", *P, "-o", "c")
    assert not story.has("c") and not story.has("c.share-1")


@claim
def token_restore_prints_a_golden_document(story):
    backed_up(story)
    story.golden("token restore", "token", "restore", "b", "--to", story.token("second"), "--to-pin-source", "file:pin",
                 "--share", "b.share-2", "--share", "b.share-1")


@claim
def token_restore_fails_in_words(story):
    token = backed_up(story)
    to = ["--to", token, "--to-pin-source", "file:pin"]
    story.fails(4, 403, "token", "restore", "b", *to, "--share", "b.share-2")
    story.fails(2, 201, "token", "restore", "b", "--share", "b.share-2")
    story.fails(7, 705, "token", "restore", "pin", *to)
    story.fails(3, 301, "token", "restore", "absent", *to)


def stocked_left(story):
    """A CA, and a token with one entry of it."""
    left = story.token("left")
    story.ca()
    story.ok("enroll", f"{left};object=web", *P, "--ca", "ca", "--subject", "CN=web,O=HW", "--san", "dns:web.example", "--profile", "server")
    return left, story.token("right")


@claim
def token_twin_makes_what_the_second_token_lacks(story):
    left, right = stocked_left(story)
    two = (left, right, *P, "--to-pin-source", "file:pin")
    assert "lacks its key and certificate" in story.run("token", "twin", *two).out
    said = story.ok("token", "twin", *two, "--ca", "ca").out
    assert said == "+ web   EC P-256, CN=web,O=HW   key and certificate made\n", said
    assert "alike" in story.ok("token", "twin", *two).out


@claim
def token_twin_prints_a_golden_document(story):
    left, right = stocked_left(story)
    story.golden("token twin", "token", "twin", left, right, *P, "--to-pin-source", "file:pin", "--ca", "ca", "--dry-run")


@claim
def token_twin_fails_in_words(story):
    left, right = stocked_left(story)
    story.fails(2, 201, "token", "twin", left, left, *P)
    story.fails(2, 201, "token", "twin", left, "p12:a.p12", *P)
    story.fails(3, 303, "token", "twin", left, "pkcs11:token=absent", *P)
    story.fails(6, 604, "token", "twin", left, right, *P, "--to-pin-source", "file:pin", "--ca", "ca", "--days", "5000")
    story.fails(4, 401, "token", "twin", left, right, *P, "--to-pin-source", "file:b.pin", "--ca", "ca")
    assert "Key" not in story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "right", "-O")


@claim
def shares_that_no_file_holds_are_typed(story):
    backed_up(story)
    line = story.read("b.share-2").decode().splitlines()[-2]
    spare = story.token("second")
    child = story.terminal("token", "restore", "b", "--to", spare, "--to-pin-source", "file:pin", "--share", "b.share-1")
    child.expect_exact("share for b (2 of 2): ")
    child.sendline(line)
    code, text = ended(child)
    assert code == 0 and "private key" in text and line not in text, text


@claim
def token_pin_fails_in_words(story):
    token = story.token()
    story.fails(4, 401, "token", "pin", token, "--pin-source", "file:b.pin", "--new-pin-source", "file:pin")
    story.fails(4, 403, "token", "pin", token, *P)
    story.fails(3, 303, "token", "pin", "pkcs11:token=absent", *P, "--new-pin-source", "file:pin")
    objects(story)


@claim
def token_doctor_examines_a_token(story):
    token = story.token()
    story.ok("generate", f"{token};object=k", *P)
    said = story.ok("token", "doctor", token, *P).out
    assert "mechanisms" in said and "1 private keys" in said, said


@claim
def token_doctor_prints_a_golden_document(story):
    document = story.ok("token", "doctor", story.token(), "--json").json()
    checks = document["tokens"][0]["checks"]
    assert {"module", "token", "PIN", "mechanisms", "sessions", "objects"} <= {c["check"] for c in checks}, checks
    assert {c["level"] for c in checks} <= {"fact", "ok", "care"} and document["tokens"][0]["label"] == "story", document
    story.golden("token doctor", "token", "doctor", "pkcs11:token=story")


@claim
def token_doctor_fails_in_words(story):
    story.token()
    story.fails(3, 303, "token", "doctor", "pkcs11:token=absent")
    story.fails(2, 201, "token", "doctor", "p12:a.p12")
    story.fails(2, 201, "token", "doctor", "--write")


@claim
def token_bench_measures_a_key(story):
    token = story.token()
    story.ok("generate", f"{token};object=k", *P)
    assert "a second" in story.ok("token", "bench", f"{token};object=k", "--seconds", "1", *P).out


@claim
def token_bench_prints_a_golden_document(story):
    story.golden("token bench", "token", "bench", story.token(), *P)


@claim
def token_bench_fails_in_words(story):
    token = story.token()
    story.fails(3, 301, "token", "bench", f"{token};object=absent", *P)
    story.fails(2, 201, "token", "bench", f"{token};object=absent", "--write", *P)
    story.fails(3, 303, "token", "bench", "pkcs11:token=absent", *P)


def keypair(story, label, *more):
    story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "--login", "--pin", PIN, "--keypairgen", "--key-type",
               "EC:prime256v1", "--label", label, *more)


@claim
def install_minds_no_key_that_tells_no_public_half(story):
    token = story.token()
    for label in ("mute", "dumb"):
        keypair(story, label)
    story.ca()
    story.openssl_key("stranger", "/CN=stranger")
    refused = story.fails(6, 601, "install", "stranger.crt", token, *P)
    assert "; 2 keys could not be looked at, the first: " in refused.err and "public" in refused.err, refused
    story.ok("generate", f"{token};object=web", *P)
    story.ok("request", f"{token};object=web", *P, "--subject", "CN=web", "-o", "web.csr")
    story.ok("ca", "sign", "web.csr", "--ca", "ca", "--profile", "client", "-o", "web.pem")
    story.ok("install", "web.pem", token, *P)
    assert "CN=web" in objects(story)


@claim
def lint_gives_ids_to_keys_whose_public_half_nothing_tells(story):
    token = story.token()
    for label in ("pair", "widow", "many", "many"):
        keypair(story, label)
    tool = ("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "--login", "--pin", PIN)
    story.tool(*tool, "--delete-object", "--type", "pubkey", "--label", "widow")
    doctor = story.run("token", "doctor", token, *P)
    assert doctor.out.count("next: keystow lint TOKEN --fix gives it one") == 4, doctor
    found = story.run("lint", token, *P)
    assert found.code == 1 and found.out.count("! no-id ") == 4 and found.out.count("! half ") == 3, found
    dry = story.run("lint", token, "--fix", "--dry-run", *P)
    assert dry.code == 1 and "ID:" not in objects(story), dry
    left = story.run("lint", token, "--fix", *P)
    assert left.code == 1 and "no-id" not in left.out and left.out.count("! half ") == 3, left
    assert not re.search('(?m)^! .*"pair"', left.out), left
    again = story.run("lint", token, *P)
    assert sorted(re.findall("(?m)^! .*", again.out)) == sorted(re.findall("(?m)^! .*", left.out)), again
    held = re.findall(r"(?m)^(\w+) Key Object; EC.*\n(?:  EC_.*\n)*  label: +(\w+)\n(?:  ID: +(\w+)\n)?", objects(story))
    ids = {(half, label): ident for half, label, ident in held if label != "many"}
    assert ids["Private", "pair"] == ids["Public", "pair"] and len(ids["Private", "pair"]) == 40, held
    assert len(ids["Private", "widow"]) == 16, held
    assert sorted(len(ident) for half, label, ident in held if label == "many") == [0, 0, 16, 16], held
    assert len({ident for half, _, ident in held if half == "Private"}) == 4, held
    story.write("data", "data")
    story.write("digest", hashlib.sha256(b"data").digest())
    story.tool(*tool, "--sign", "--mechanism", "ECDSA", "--id", ids["Private", "pair"], "-i", "digest", "-o", "sig", "--signature-format", "openssl")
    story.tool(*tool, "--read-object", "--type", "pubkey", "--id", ids["Public", "pair"], "-o", "pub.der")
    story.tool("openssl", "dgst", "-sha256", "-verify", "pub.der", "-keyform", "DER", "-signature", "sig", "data")


@claim
def lint_tells_a_key_without_a_label(story):
    token = story.token()
    keypair(story, "", "--id", "0a")
    found = story.run("lint", token, *P)
    assert found.code == 1 and re.findall(r"(?m)^! (\S+)", found.out) == ["no-label"], found
    story.ok("rename", f"{token};id=%0a", "web", *P)
    story.ok("lint", token, *P)


# ---- other programs ----


def listing(story, folder):
    return {name: story.read(os.path.join(folder, name)) for name in sorted(os.listdir(story.path(folder)))}


def nss_database(story, name="nss"):
    os.mkdir(story.path(name))
    story.tool("certutil", "-N", "-d", f"sql:{name}", "--empty-password")
    return name


@claim
def token_register_prints_a_golden_document(story):
    story.golden("token register", "token", "register", story.token(), "--for", "java,nss,p11-kit")


@claim
def token_register_writes_nothing_until_a_folder_is_named(story):
    token = story.token()
    before = sorted(os.listdir(story.dir))
    said = story.ok("token", "register", token).out
    story.ok("token", "register", token, "-o", "glue", "--dry-run")
    assert "==> " in said and "java.cfg" in said, said
    assert [name for name in sorted(os.listdir(story.dir)) if name != "state"] == [name for name in before if name != "state"]


@claim
def token_register_has_nothing_to_do_the_second_time(story):
    token = story.token()
    story.ok("generate", f"{token};object=k", *P)
    first = story.ok("token", "register", token, "-o", "glue", *P)
    files = listing(story, "glue")
    again = story.ok("token", "register", token, "-o", "glue", *P)
    assert first.out.startswith("+ ") and "nothing to do" in again.err and "+ " not in again.out, again
    assert listing(story, "glue") == files and f"file:{story.path('pin')}".encode() in files["openssl.cnf"], files
    assert not any(PIN.encode() in text for text in files.values())


@claim
def token_register_replaces_a_file_only_when_told_and_keeps_it(story):
    token = story.token()
    story.ok("token", "register", token, "-o", "glue")
    files = listing(story, "glue")
    story.write("glue/java.cfg", "mine\n")
    os.unlink(story.path("glue/java.args"))
    result = story.fails(9, 902, "token", "register", token, "-o", "glue")
    assert "java.cfg" in result.err and not story.has("glue/java.args") and story.read("glue/java.cfg") == b"mine\n", result
    story.ok("token", "register", token, "-o", "glue", "--replace")
    assert listing(story, "glue") == {**files, "java.cfg.old": b"mine\n"}


@claim
def token_register_fails_in_words(story):
    token = story.token()
    story.fails(3, 303, "token", "register", "pkcs11:token=absent")
    assert "did you mean java?" in story.fails(2, 201, "token", "register", token, "--for", "jav").err
    story.fails(2, 201, "token", "register", "p12:a.p12")
    story.fails(3, 301, "token", "register", f"{token};object=absent", "-o", "glue")
    story.fails(3, 301, "token", "register", token, "--nss", "absent")
    story.fails(4, 401, "token", "register", token, "--pin-source", "file:b.pin", "-o", "glue")
    assert not story.has("glue")


@claim
def keys_of_any_label_get_files_of_their_own_in_the_folder(story):
    token = story.token()
    login = ("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "--login", "--pin", PIN)
    for label, number in (("twice", "0a0b0c0d0e"), ("twice", "1a0b"), ("Twice", "1a0b0c0d02"), ("../../up and \x1b[2Jaway", "03"), ("", "04")):
        story.tool(*login, "--keypairgen", "--key-type", "EC:secp256r1", "--label", label, "--id", number)
    story.ok("token", "register", token, "--for", "openssl", "-o", "deep/glue", *P)
    keys = {name for name in os.listdir(story.path("deep/glue")) if name.endswith(".key")}
    assert {"key.key", "Twice.key", "twice-0a0b0c0d.key", "twice-1a0b.key", "_._.._up_and___2Jaway.key"} == keys, keys
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) for name in keys), keys
    assert not story.has("up and"), os.listdir(story.dir)


@claim
def token_register_tells_which_key_a_program_cannot_use(story):
    token = story.token()
    story.ca()
    story.ok("enroll", f"{token};object=web", "--type", "rsa:2048", "--ca", "ca", "--subject", "CN=x", "--profile", "client", *P)
    story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "--login", "--pin", PIN, "--keypairgen", "--key-type",
               "EC:edwards25519", "--label", "ed", "--id", "0e")
    story.ok("generate", f"{token};object=bare", *P)
    programs = story.ok("token", "register", f"{token}", "--json", *P).json()["programs"]
    cannot = {one["program"]: " ".join(one["cannot"]) for one in programs}
    assert "key ed" in cannot["java"] and "key bare" in cannot["java"] and "key ed" in cannot["ssh"], cannot
    assert "libp11" in cannot["openssl"] and "key bare" in cannot["nginx"] and "web" not in "".join(cannot.values()), cannot
    named = story.ok("token", "register", f"{token};object=web", "--for", "openssl", "--json", *P).json()["programs"][0]["cannot"]
    assert "libp11" in named[0], named


@claim
def an_nss_database_gets_the_module_once_and_keeps_what_it_had(story):
    token, database = story.token(), nss_database(story)
    story.tool("modutil", "-force", "-dbdir", f"sql:{database}", "-add", "trust", "-libfile", trust_module())
    before = story.read("nss/pkcs11.txt")
    assert "+ module story" in story.ok("token", "register", token, "--nss", f"sql:{database}").out
    assert "nothing to do" in story.ok("token", "register", token, "--nss", database).err
    assert story.read("nss/pkcs11.txt").startswith(before) and story.read("nss/pkcs11.txt.old") == before
    listed = story.tool("modutil", "-dbdir", f"sql:{database}", "-list")
    assert "NSS Internal" in listed and trust_module() in listed and listed.count(f"library name: {SOFTHSM}") == 1, listed


def trust_module():
    found = [path for path in ("/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-trust.so", "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-trust.so")
             if os.path.exists(path)]
    if not found:
        raise Skip("p11-kit-modules is not installed")
    return found[0]


@claim
def a_module_that_modutil_put_there_counts_under_the_name_it_has(story):
    token, database = story.token(), nss_database(story)
    story.tool("modutil", "-force", "-dbdir", f"sql:{database}", "-add", "other name", "-libfile", SOFTHSM)
    said = story.ok("token", "register", token, "--nss", database)
    assert "= module other name" in said.out and "nothing to do" in said.err, said


@claim
def a_name_that_stands_for_another_module_is_given_away_only_when_told(story):
    token, database = story.token(), nss_database(story)
    story.tool("modutil", "-force", "-dbdir", f"sql:{database}", "-add", "story", "-libfile", trust_module())
    before = story.read("nss/pkcs11.txt")
    story.fails(9, 902, "token", "register", token, "--nss", database)
    assert story.read("nss/pkcs11.txt") == before
    assert "~ module story" in story.ok("token", "register", token, "--nss", database, "--replace").out
    listed = story.tool("modutil", "-dbdir", f"sql:{database}", "-list")
    assert SOFTHSM in listed and trust_module() not in listed, listed


@claim
def an_nss_database_that_a_program_has_open_is_left_alone(story):
    token, database = story.token(), nss_database(story)
    hold = story.write("hold.py", "import ctypes, sys\nprint(ctypes.CDLL('libnss3.so').NSS_Init(b'sql:nss'), flush=True)\nsys.stdin.read()\n")
    try:
        ctypes.CDLL("libnss3.so")
    except OSError as missing:
        raise Skip("libnss3 is not installed") from missing
    before = story.read("nss/pkcs11.txt")
    with subprocess.Popen([sys.executable, hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=story.dir, env=story.env) as program:
        assert program.stdout.readline() == b"0\n"
        result = story.fails(9, 903, "token", "register", token, "--nss", database, "-o", "glue")
        program.stdin.close()
    assert f"(process {program.pid})" in result.err and story.read("nss/pkcs11.txt") == before and not story.has("glue"), result
    story.ok("token", "register", token, "--nss", database)


@claim
def an_nss_database_of_the_old_format_is_refused_with_the_way_out(story):
    token = story.token()
    os.mkdir(story.path("old"))
    story.write("old/secmod.db", "")
    result = story.fails(6, 610, "token", "register", token, "--nss", "old")
    assert "certutil -N" in result.err, result


# ---- modules ----

def debian_module(name):
    if not os.path.exists(f"/usr/share/p11-kit/modules/{name}.module"):
        raise Skip(f"p11-kit does not know {name} here")


@claim
def without_a_module_those_of_p11_kit_are_asked(story):
    debian_module("softhsm2")
    token = story.token()
    story.write("config/keystow/config", "")
    assert story.ok("token", "list").out.startswith("story\t")
    story.ok("generate", f"{token};object=k", *P)
    assert "label:      k" in objects(story)


@claim
def a_module_of_p11_kit_that_does_not_start_is_told_and_left_out(story):
    debian_module("softhsm2")
    story.token()
    story.write("config/keystow/config", "")
    story.write("softhsm2.conf", f"directories.tokendir = {story.path('gone')}\n")
    result = story.run("token", "list")
    assert "starting module softhsm2" in result.err and "[KS-0807]" in result.err, result


@claim
def a_file_that_is_no_sound_module_is_refused_with_the_reason(story):
    story.token()
    library = next(p for p in ("/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6") if os.path.exists(p))
    loose = story.write("loose.so", "", 0o600)
    os.chmod(loose, 0o666)
    for module, words in (("softhsm2.so", "is not an absolute path"), (story.dir, "is not a regular file"),
                          (story.write("text.so", "text\n"), "cannot be loaded"), (library, "has no C_GetFunctionList"),
                          (loose, "could have been changed by somebody else"),
                          ("/nonexistent/opensc-pkcs11.so", "apt install opensc-pkcs11")):
        result = story.fails(8, 801, "token", "list", "--module", module)
        assert words in result.err, result


@claim
def an_isolated_module_is_not_loaded_into_the_program(story):
    token = story.token()
    story.write("config/keystow/config", f"[module far]\npath = {SOFTHSM}\nload = isolated\n[defaults]\nmodule = far\n")
    if not os.path.exists("/usr/bin/p11-kit"):
        raise Skip("p11-kit is not installed")
    seen = story.run("list", token, *P, env={"LD_DEBUG": "files", "LD_DEBUG_OUTPUT": story.path("loaded")})
    assert seen.code == 0, seen
    with_softhsm = [name for name in os.listdir(story.dir) if name.startswith("loaded.") and "file=" + SOFTHSM in open(story.path(name)).read()]
    assert len(with_softhsm) == 1, with_softhsm  # that of the process apart


@claim
def the_whole_job_is_one_command(story):
    token = story.token()
    story.ca()
    job = ("enroll", f"{token};object=my_key3", "--ca", "ca", "--subject", "CN=colinpaice,O=HW,C=GB", "--profile", "client", *P)
    assert "issued" in story.ok(*job).out
    held = objects(story)
    assert held.count("label:      my_key3") == 3, held
    assert "nothing to do" in story.ok(*job).out
    assert objects(story) == held


@claim
def a_key_in_a_token_signs_a_request_that_openssl_verifies(story):
    token = story.token()
    for kind in ("p256", "rsa:2048", "p384"):
        label = kind.split(":")[0]
        story.ok("generate", f"{token};object={label}", "--type", kind, *P)
        story.ok("request", f"{token};object={label}", "--subject", f"CN={label}", "-o", f"{label}.csr", *P)
        story.tool("openssl", "req", "-in", f"{label}.csr", "-noout", "-verify")


@claim
def the_option_counts_more_than_the_configuration_and_the_address_more_than_both(story):
    token = story.token()
    story.write("config/keystow/config",
                f"[defaults]\nmodule = {SOFTHSM}\n[store hsm]\nuri = {token}\npin-source = file:pin\n")
    story.ok("list", "@hsm?pin-source=file:pin", "--pin-source", "file:b.pin")
    story.ok("list", "@hsm")
    story.fails(4, 401, "list", "@hsm", "--pin-source", "file:b.pin")


@claim
def a_pin_source_without_a_store_is_sent_to_no_token(story):
    story.token()
    story.token("second")
    for command in (["list"], ["find", "web"]):
        result = story.fails(2, 201, *command, *P, "--trace")
        assert "C_Login" not in result.err, result


@claim
def list_without_stores_shows_configured_stores_and_tokens_once(story):
    token = story.token()
    story.token("second")
    story.ok("generate", f"{token};object=k1", *P)
    story.ok("generate", "pkcs11:token=second;object=k2", *P)
    story.p12()
    story.write("config/keystow/config", f"[defaults]\nmodule = {SOFTHSM}\n[store hsm]\nuri = {token}\npin-source = file:pin\n"
                f"[store alice]\nuri = p12:{story.path('a.p12')}\npin-source = file:a.pin\n")
    names = sorted(line.split("\t")[0] for line in story.ok("list").out.splitlines() if "private-key" in line)
    assert names == ["k1", "web"], names
    found = story.ok("list", "--json").json()["stores"]
    assert len(found) == 3, [s["store"] for s in found]


@claim
def an_ambiguous_token_is_refused_with_its_candidates(story):
    story.token("one")
    story.token("two")
    result = story.fails(3, 302, "generate", "pkcs11:manufacturer=SoftHSM%20project;object=k", *P)
    assert "one" in result.err and "two" in result.err, result
    for token in story.ok("token", "list", "--json").json()["tokens"]:
        if token["initialized"]:
            assert f'"{token["label"]}" (model SoftHSM v2, serial {token["serial"]}, slot {token["slot"]}) = pkcs11:serial={token["serial"]}' in result.err
    for address in re.findall(r"= (pkcs11:\S+?)(?=[,\s])", result.err):  # each can be pasted into a shell as it is
        assert shlex.split(address) == [address], address
        story.ok("token", "info", address)


@claim
def a_blank_token_among_the_candidates_is_told_by_its_slot(story):
    story.token()
    result = story.fails(3, 302, "token", "init", "pkcs11:manufacturer=SoftHSM%20project", "--label", "x", "--so-pin-source", "file:so.pin", *P)
    free = next(t for t in story.ok("token", "list", "--json").json()["tokens"] if not t["initialized"])
    assert '"story" (model SoftHSM v2, serial ' in result.err and f"slot {free['slot']}) = pkcs11:slot-id={free['slot']}" in result.err, result


@claim
def a_blank_token_is_not_found_by_any_command_and_init_is_the_next_one(story):
    story.token()
    free = f"pkcs11:slot-id={next(t['slot'] for t in story.ok('token', 'list', '--json').json()['tokens'] if not t['initialized'])}"
    story.openssl_key("web")
    story.tool("openssl", "pkey", "-in", "web.key", "-pubout", "-out", "web.pub")
    so = ("--so-pin-source", "file:so.pin", "--new-pin-source", "file:pin")
    for argv in (("list", free), ("show", f"{free};object=k"), ("find", "k", free), ("lint", free), ("verify", free), ("token", "bench", free),
                 ("token", "backup", free, "-o", "b"), ("generate", f"{free};object=k", "--type", "p256", *P), ("remove", f"{free};object=k"),
                 ("rename", f"{free};object=k", "l"), ("copy", "web.pub", free), ("request", f"{free};object=k", "--subject", "CN=k", *P),
                 ("token", "pin", free), ("token", "pin", free, "--unblock", *so),
                 ("ca", "init", "ca", "--subject", "CN=CA", "--key", f"{free};object=ca")):
        result = story.fails(3, 303, *argv)
        assert "it is blank" in result.err and "  next: keystow token init 'pkcs11:" in result.err, result
    assert not story.has("b") and not story.has("ca")


@claim
def after_a_wrong_pin_the_token_is_not_tried_again(story):
    token = story.token()
    result = story.run("list", f"{token}?pin-source=file:b.pin", f"{token}?pin-source=file:pin", "--json", "--trace")
    assert [s["exit"] for s in result.json()["stores"]] == [4, 4], result
    assert result.err.count(" C_Login(") == 1, result
    assert PIN not in result.err


@claim
def a_wrong_pin_that_cannot_be_remembered_is_said_and_a_right_one_says_nothing(story):
    token = story.token()
    story.env["XDG_STATE_HOME"] = "/dev/null"  # as of a service whose home is no folder
    assert story.ok("list", token, *P).err == ""
    result = story.run("list", token, "--pin-source", "file:b.pin")
    assert result.code == 4 and "the wrong PIN could not be remembered" in result.err, result


@claim
def objects_that_are_no_keys_or_certificates_are_shown_too(story):
    token = story.token()
    login = ("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "--login", "--pin", PIN)
    story.write("note", "text")
    story.tool(*login, "--keygen", "--key-type", "AES:32", "--label", "aes", "--id", "01")
    story.tool(*login, "-w", "note", "-y", "data", "--label", "note", "--application-label", "story")
    rows = [line.split("\t")[:2] for line in story.ok("list", token, *P).out.splitlines()]
    assert sorted(rows) == [["aes", "secret-key"], ["note", "opaque"]], rows
    result = story.fails(6, 610, "copy", f"{token};object=aes", "p12:new.p12", *P, "--to-pin-source", "file:a.pin")
    assert "never leaves the token" in result.err and not story.has("new.p12"), result


@claim
def a_public_key_that_is_copied_to_a_token_is_the_one_that_pkcs11_tool_reads(story):
    token = story.token()
    story.openssl_key("web")
    story.tool("openssl", "pkey", "-in", "web.key", "-pubout", "-out", "web.pub")
    story.ok("copy", "web.pub", token, "--to-pin-source", "file:pin")
    spoken = objects(story).split("ID:")[1].split()[0]
    story.tool("pkcs11-tool", "--module", SOFTHSM, "--token-label", "story", "-r", "-y", "pubkey", "--id", spoken, "-o", "read.der")
    story.tool("openssl", "pkey", "-pubin", "-inform", "DER", "-in", "read.der", "-out", "read.pub")
    assert story.read("read.pub") == story.read("web.pub")


@claim
def a_bundle_merges_into_a_token(story):
    token = story.token()
    story.bundle()
    story.ok("merge", "bundle.pem", token, *P)
    assert objects(story).count("Certificate Object") == 3
    story.bundle("bundle.pem", ("One", "Two"))
    story.ok("merge", "bundle.pem", token, *P, "--allow-shrink")
    assert objects(story).count("Certificate Object") == 2


@claim
def a_ca_signs_with_a_key_in_a_token(story):
    token = story.token()
    story.ok("ca", "init", "hsm-ca", "--subject", "CN=In a token", "--key", f"{token};object=ca", "--ca-pin-source", "file:pin")
    assert not os.path.exists(story.path("hsm-ca/ca.key"))
    story.openssl_key("a", "/CN=a")
    story.ok("ca", "sign", "a.csr", "--ca", "hsm-ca", "--ca-pin-source", "file:pin", "--profile", "client", "-o", "a.pem")
    story.tool("openssl", "verify", "-CAfile", "hsm-ca/ca.pem", "a.pem")


def balky(story, schedule):
    """A token whose module misbehaves on schedule; a call that hangs is given up after a second, any other has the usual time."""
    deadlines = "call-deadline-ms = 1000\nlong-deadline-ms = 1000\n" if "hang" in schedule else ""
    token = story.token()
    story.write("config/keystow/config", f"[defaults]\nmodule = {os.environ['KEYSTOW_BALKY']}\n" + deadlines)
    story.env.update(BALKY_MODULE=SOFTHSM, BALKY_SCHEDULE=story.write("schedule", schedule))
    return token


@claim
def a_module_that_does_not_answer_ends_the_command(story):
    token = balky(story, "C_Login 1 hang\n")
    result = story.run("list", token, *P)
    assert result.code == 8 and "KS-0803" in result.err and "story" in result.err and "C_Login" in result.err, result
    document = story.run("list", story.p12() + "?pin-source=file:a.pin", f"{token}?pin-source=file:pin", "--json")
    assert document.code == 8 and document.json()["problems"][-1]["code"] == "KS-0803", document
    assert document.json()["stores"][0]["exit"] == 0, document


@claim
def a_module_that_does_not_answer_before_it_shows_a_token_ends_the_command_with_the_address(story):
    result = story.run("list", balky(story, "C_Initialize 1 hang\n"), *P)
    assert result.code == 8 and "keystow: pkcs11:token=story: module " in result.err and "did not answer C_Initialize" in result.err, result


@claim
def a_token_that_goes_away_while_it_signs_is_named_and_leaves_no_request(story):
    token = balky(story, "")
    story.ok("generate", f"{token};object=k", *P)
    for row, words in (("C_Sign * answer DEVICE_REMOVED", "story"), ("C_SignInit * answer KEY_FUNCTION_NOT_PERMITTED", "story"),
                       ("C_Sign * answer DATA_LEN_RANGE", "story")):
        story.write("schedule", row + "\n")
        result = story.run("request", f"{token};object=k", "--subject", "CN=k", "-o", "k.csr", *P)
        assert result.code in (6, 8) and words in result.err and not story.has("k.csr"), (row, str(result))


@claim
def a_certificate_that_the_token_refuses_is_told_and_the_rest_is_as_it_was(story):
    token = balky(story, "")
    story.bundle()
    story.ok("merge", "bundle.pem", token, *P)
    story.bundle("more.pem", ("One", "Two", "Three", "Four", "Five"))
    before = objects(story)
    for row in ("C_CreateObject 1 answer DEVICE_MEMORY", "C_CreateObject 2 answer DEVICE_ERROR", "C_CreateObject 1 answer TEMPLATE_INCONSISTENT"):
        story.write("schedule", row + "\n")
        result = story.run("merge", "more.pem", token, *P)
        assert result.code in (6, 8) and "token story" in result.err, (row, str(result))
        assert objects(story) == before, row
    story.write("schedule", "")
    story.ok("merge", "more.pem", token, *P)
    assert objects(story).count("Certificate Object") == 5


@claim
def a_module_that_crashes_ends_the_command_with_a_sentence(story):
    result = story.run("list", balky(story, "C_Login 1 crash\n"), *P)
    assert result.code == 8 and "KS-0801" in result.err and "C_Login" in result.err, result


@claim
def finished_work_stays_finished_when_the_module_cannot_be_put_away(story):
    balky(story, "C_Finalize * hang\n")
    for trouble in ("hang", "crash"):
        story.write("schedule", f"C_Finalize * {trouble}\n")
        assert story.ok("list", "pkcs11:token=story", *P, "--json").json()["stores"][0]["exit"] == 0, trouble


if __name__ == "__main__":
    tell(sys.modules[__name__])
