#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""IBM key databases and their stashes as a person meets them: one line to get out, one to get in, and nobody asked for a stashed password."""
import os
import stat
import sys

from story import DATA, claim, ended, tell

A = ("--pin-source", "file:a.pin")
B = ("--pin-source", "file:b.pin")
S = ("--pin-source", "file:s.pin")
STASH = "kdb-stash-of-the-second-kind.sth"


def sample(story, name="kdb-signer-and-personal.kdb", to="key.kdb"):
    story.write("s.pin", "sample\n")
    with open(os.path.join(DATA, name), "rb") as file:
        story.write(to, file.read())
    return f"kdb:{to}"


def stash(story, name=STASH, to="key.sth", mode=0o600):
    with open(os.path.join(DATA, name), "rb") as file:
        return story.write(to, file.read(), mode)


def entries(story, *argv):
    return {e["label"]: e["kind"] for e in story.ok("list", *argv, "--json").json()["stores"][0]["entries"]}


@claim
def a_stash_beside_its_store_is_used_and_that_is_said(story):
    store = sample(story)
    story.fails(4, 403, "list", store, "--no-input")
    stash(story)
    said = story.ok("list", store, "--no-input")
    assert said.out.count("\n") == 2 and "the password of kdb:key.kdb was taken from the stash key.sth [KS-0603]" in said.err, said
    document = story.ok("list", store, "--json").json()
    assert document["stores"][0]["integrity"] == "verified", document
    assert [p["code"] for p in document["problems"]] == ["KS-0603"], document


@claim
def a_source_that_is_named_counts_more_than_the_stash(story):
    store = sample(story)
    stash(story)
    assert "stash" not in story.ok("list", store, *S).err
    story.fails(4, 402, "list", store, *B)


@claim
def a_stash_of_another_store_is_told_and_the_person_is_asked(story):
    store = sample(story)
    story.ok("copy", store, "kdb:other.kdb?pin-source=file:a.pin", *S)
    story.ok("passwd", "kdb:other.kdb", *A, "--new-pin-source", "file:b.pin", "--stash")
    os.rename(story.path("other.sth"), story.path("key.sth"))
    said = story.fails(4, 403, "list", store)
    assert "the stash key.sth does not open kdb:key.kdb" in said.err, said
    child = story.terminal("list", store)
    child.expect("password for kdb:key.kdb: ")
    child.sendline("sample")
    code, text = ended(child)
    assert code == 0 and "leaf" in text, text


@claim
def a_stash_may_be_named_as_a_source_and_is_read_strictly(story):
    store = sample(story)
    stash(story, to="elsewhere.sth", mode=0o644)
    said = story.ok("list", store, "--pin-source", "stash:elsewhere.sth")
    assert "others can read the stash elsewhere.sth (mode 0644)" in said.err, said
    story.fails(3, 301, "list", store, "--pin-source", "stash:absent.sth")
    story.fails(7, 705, "list", store, "--pin-source", "stash:s.pin")
    stash(story, "kdb-stash-without-end.sth", "endless.sth")
    story.fails(7, 701, "list", store, "--pin-source", "stash:endless.sth")
    assert "stash:" in story.fails(2, 201, "list", store, "--pin-source", "stsh:x").err


@claim
def one_line_takes_everything_out_into_a_pkcs12_file(story):
    sample(story)
    stash(story)
    story.ok("copy", "kdb:key.kdb", "p12:key.p12", "--to-pin-source", "file:a.pin")
    assert entries(story, "p12:key.p12", *A) == {"leaf": "private-key", "root": "anchor"}
    chain = story.ok("list", "p12:key.p12", *A, "--json").json()["stores"][0]["entries"][0]["chain"]
    assert len(chain) == 1, chain
    text = story.tool("openssl", "pkcs12", "-in", "key.p12", "-passin", "file:a.pin", "-nodes")
    assert "friendlyName: leaf" in text and "friendlyName: root" in text and "BEGIN PRIVATE KEY" in text, text
    story.ok("diff", "kdb:key.kdb", "p12:key.p12?pin-source=file:a.pin")


@claim
def what_a_key_database_cannot_hold_is_said_before_it_is_written(story):
    store = story.p12(label="web")
    story.ok("merge", story.bundle(), store, *A)
    story.ok("rename", f"{store}#web", "Schl\u00fcssel", *A)
    said = story.fails(6, 602, "copy", store, "kdb:new.kdb?pin-source=file:b.pin", *A, "--strict")
    assert not story.has("new.kdb") and "Schl_ssel" in said.err, said
    said = story.ok("copy", store, "kdb:new.kdb?pin-source=file:b.pin", *A)
    assert 'the label "Schl\u00fcssel" becomes "Schl_ssel"' in said.err, said
    assert stat.S_IMODE(os.stat(story.path("new.kdb")).st_mode) == 0o600
    assert "Schl_ssel" in entries(story, "kdb:new.kdb", *B)
    assert "nothing to do" in story.ok("copy", store, "kdb:new.kdb?pin-source=file:b.pin", *A).err
    said = story.fails(6, 602, "rename", "kdb:new.kdb#Schl_ssel", "Schl\u00fcssel", *B)
    assert '"Schl_ssel" would fit' in said.err, said


@claim
def labels_that_become_one_are_kept_apart(story):
    for name, label in (("one", "\u00e4"), ("two", "\u00f6")):
        story.p12(f"{name}.p12", name)
        story.ok("rename", f"p12:{name}.p12#{name}", label, *A)
        story.ok("copy", f"p12:{name}.p12", "p12:both.p12?pin-source=file:a.pin", *A)
    story.ok("copy", "p12:both.p12", "kdb:both.kdb?pin-source=file:a.pin", *A)
    labels = sorted(entries(story, "kdb:both.kdb", *A))
    assert len(labels) == 2 and labels[0] == "_" and labels[1].startswith("_ "), labels


@claim
def issuers_that_become_trusted_are_told(story):
    ca = story.ca()
    story.ok("enroll", "p12:a.p12#web", *A, "--ca", ca, "--subject", "CN=web", "--profile", "client")
    said = story.ok("copy", "p12:a.p12", "kdb:a.kdb?pin-source=file:b.pin", *A)
    assert "1 certificate is trusted there for every purpose" in said.err, said
    kinds = entries(story, "kdb:a.kdb", *B)
    assert sorted(kinds.values()) == ["anchor", "private-key"], kinds
    story.fails(6, 602, "copy", "p12:a.p12", "kdb:b.kdb?pin-source=file:b.pin", *A, "--strict")
    story.ok("verify", "kdb:a.kdb#web", *B)
    story.ok("copy", "kdb:a.kdb", "p12:back.p12?pin-source=file:a.pin", *B)
    counts = story.ok("list", "p12:back.p12", *A, "--json").json()["stores"][0]["counts"]
    assert (counts["certificates"], counts["anchors"]) == (2, 1), counts


@claim
def a_key_with_a_trusted_certificate_of_its_own_loses_that_mark_aloud(story):
    story.tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k", "-out", "c",
               "-subj", "/CN=self")
    trusted = story.tool("openssl", "x509", "-in", "c", "-trustout", "-addtrust", "serverAuth", "-setalias", "self")
    story.write("both.pem", story.read("k") + trusted.encode())
    said = story.ok("copy", "pem:both.pem", "kdb:a.kdb?pin-source=file:a.pin")
    assert "1 certificate is not marked as trusted there" in said.err, said
    story.fails(6, 602, "copy", "pem:both.pem", "kdb:b.kdb?pin-source=file:a.pin", "--strict")


@claim
def a_key_that_waits_for_a_certificate_has_no_place(story):
    story.ok("new", "kdb:a.kdb", *A)
    said = story.fails(6, 610, "generate", "kdb:a.kdb#web", *A)
    assert "keystow copy p12:NEW.p12 kdb:a.kdb#web" in said.err, said
    story.ok("generate", "p12:b.p12#web", *B)
    story.fails(6, 610, "copy", "p12:b.p12", "kdb:a.kdb?pin-source=file:a.pin", *B)


@claim
def passwd_tells_of_a_stash_that_no_longer_fits_and_writes_one_on_request(story):
    store = sample(story)
    stash(story)
    said = story.ok("passwd", store, "--new-pin-source", "file:a.pin")
    assert "the stash key.sth does not hold the password of kdb:key.kdb" in said.err and "passwd kdb:key.kdb --stash" in said.err, said
    story.fails(4, 403, "list", store)
    said = story.ok("passwd", store, *A, "--new-pin-source", "file:b.pin", "--stash")
    assert "the stash key.sth holds the password hidden, not protected" in said.err, said
    assert stat.S_IMODE(os.stat(story.path("key.sth")).st_mode) == 0o600 and len(story.read("key.sth")) == 193
    assert b"battery" not in story.read("key.sth")
    assert story.ok("list", store).out.count("\n") == 2
    story.ok("list", store, "--pin-source", "stash:key.sth")


@claim
def only_key_databases_have_a_stash(story):
    story.ok("new", "kdb:a.kdb", *A, "--stash")
    assert story.has("a.sth")
    story.ok("list", "kdb:a.kdb")
    story.fails(6, 610, "passwd", story.p12("b.p12"), *A, "--new-pin-source", "file:b.pin", "--stash")
    story.fails(6, 610, "new", "p12:c.p12", *A, "--stash")


@claim
def a_stash_taken_for_a_store_is_told(story):
    stash(story)
    said = story.fails(7, 705, "list", "key.sth")
    assert "stash" in said.err and "key.kdb" in said.err, said


@claim
def a_keepass_database_of_the_same_ending_is_told(story):
    story.write("mine.kdb", bytes.fromhex("03d9a29a65fb4bb5") + bytes(range(120)))
    for address in ("mine.kdb", "kdb:mine.kdb"):
        assert "KeePass" in story.fails(7, 705, "list", address, *A).err


@claim
def show_warns_of_keys_under_few_rounds(story):
    said = story.ok("show", f"{sample(story)}#leaf", *S)
    assert "PBKDF2-HMAC-SHA384 with 5 rounds" in said.err and "KS-0603" in said.err, said
    assert "5 rounds" not in story.ok("list", "key.kdb", *S).err


@claim
def a_changed_file_and_a_wrong_password_leave_with_different_codes(story):
    store = sample(story)
    content = story.read("key.kdb")
    story.fails(4, 402, "list", store, *B)
    story.write("key.kdb", content[:-1] + b"\x01")
    story.fails(7, 704, "list", store, *S)
    story.write("key.kdb", content[:-1])
    story.fails(7, 701, "list", store, *S)
    story.write("key.kdb", content[:2] + b"\x07" + content[3:])
    story.fails(7, 706, "list", store, *S)
    story.fails(7, 705, "list", f"p12:{'key.kdb'}", *S)


@claim
def requests_and_old_versions_are_read_and_not_written(story):
    requests = sample(story, "kdb-requests.rdb", "key.rdb")
    assert entries(story, requests, *S)["wanted"] in ("private-key", "request")
    story.fails(6, 610, "rename", f"{sample(story, 'kdb-version-4.kdb', 'old.kdb')}#root", "other", *S)
    story.ok("copy", "kdb:old.kdb", "kdb:new.kdb?pin-source=file:a.pin", *S)
    assert entries(story, "kdb:new.kdb", *A) == {"leaf": "private-key", "root": "anchor"}


@claim
def merge_and_rollback_work_on_key_databases(story):
    store = sample(story)
    before = story.read("key.kdb")
    story.ok("merge", story.bundle(), store, *S)
    assert len(entries(story, store, *S)) == 5
    story.ok("rollback", store, *S)
    assert story.read("key.kdb") == before


if __name__ == "__main__":
    tell(sys.modules[__name__])
