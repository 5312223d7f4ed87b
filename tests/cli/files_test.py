#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every verb on file stores: what it does, its JSON document, and how it fails."""
import datetime
import os
import re
import stat
import sys

from story import DATA, claim, tell

A = ("--pin-source", "file:a.pin")
B = ("--pin-source", "file:b.pin")


def labels(story, *argv):
    return [e.get("label") for e in story.ok("list", *argv, "--json").json()["stores"][0]["entries"]]


# ---- list ----

@claim
def list_shows_a_row_for_each_entry(story):
    store = story.p12()
    row = story.ok("list", store, *A).out.rstrip("\n").split("\t")
    assert row[:3] == ["web", "private-key", "EC P-256"] and re.fullmatch(r"\d{4}-\d\d-\d\d", row[3]), row
    assert row[4] == "p12:a.p12", row


@claim
def list_prints_a_golden_document(story):
    story.golden("list", "list", story.p12(), *A)


@claim
def list_tells_what_expires(story):
    store = story.p12()
    story.ok("list", store, *A, "--expires-within", "30d")
    result = story.run("list", store, *A, "--expires-within", "2y")
    assert result.code == 1 and result.out.startswith("web\t"), result
    quiet = story.run("list", store, *A, "--expires-within", "2y", "-q")
    assert quiet.code == 1 and quiet.out == "", quiet


@claim
def list_finds_the_kind_by_content(story):
    story.p12("misnamed.pem")
    assert story.ok("list", "misnamed.pem", *A).out.startswith("web\t")


@claim
def a_store_may_come_through_standard_input_but_is_not_changed_there(story):
    story.p12()
    content = story.read("a.p12")
    assert story.ok("list", "-", *A, stdin=content).out.startswith("web\t")
    assert story.ok("list", "pem:-", stdin=story.read("web.crt")).out.count("\n") == 1
    story.ok("merge", "-", "p12:a.p12", *A, stdin=story.read(story.bundle()))
    assert len(labels(story, "a.p12", *A)) == 4
    story.fails(6, 610, "rename", "p12:-#web", "site", *A, stdin=content)
    story.fails(7, 705, "list", "-")


@claim
def list_fails_in_words(story):
    store = story.p12()
    story.fails(3, 301, "list", "absent.p12")
    story.fails(4, 402, "list", store, *B)
    story.fails(4, 403, "list", store)
    story.fails(2, 202, "list", "p13:a.p12")
    story.write("noise", b"\x00\x01noise" * 100)
    story.fails(7, 705, "list", "noise")
    story.write("open.pin", "correct horse\n", 0o644)
    assert "mode 0644" in story.fails(4, 403, "list", store, "--pin-source", "file:open.pin").err


@claim
def a_pkcs7_that_holds_no_certificates_or_is_damaged_says_which(story):
    whole = story.write("whole.p7b", open(os.path.join(DATA, "p7-two-certificates.p7b"), "rb").read())
    if b"BEGIN" in story.read(whole):
        story.tool("openssl", "pkcs7", "-in", whole, "-outform", "DER", "-out", whole)
    assert story.ok("list", whole).out.count("\n") == 2
    story.tool("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "k", "-out", "rsa.crt", "-subj", "/CN=rsa")
    story.write("text", "text\n")
    story.tool("openssl", "smime", "-encrypt", "-in", "text", "-outform", "DER", "-out", "enveloped.p7m", "rsa.crt")
    content = story.read(whole)
    for name, content, code, words in (("enveloped.p7m", story.read("enveloped.p7m"), 7, "it is not signedData"),
                                       ("short.p7b", content[:-200], 7, "ends too early"),
                                       ("long.p7b", content + b"xyz", 7, "3 bytes stand behind the end")):
        story.write(name, content)
        result = story.run("list", f"p7:{name}")
        assert result.code == code and words in result.err, result


@claim
def list_tries_every_store_and_exits_with_the_first_failure(story):
    store = story.p12()
    result = story.run("list", "absent.p12", f"{store}?pin-source=file:b.pin", "p13:x", f"{store}?pin-source=file:a.pin", "--json")
    assert result.code == 3, result
    assert [s["exit"] for s in result.json()["stores"]] == [3, 4, 2, 0], result


# ---- show, find ----

@claim
def show_tells_what_openssl_tells(story):
    store = story.p12()
    text = story.ok("show", f"{store}#web", *A).out
    digest = story.tool("openssl", "x509", "-in", "web.crt", "-noout", "-fingerprint", "-sha256").strip().split("=")[1]
    assert digest.replace(":", "").lower() in text and "CN=www.example.org" in text, text
    assert "private-key + certificate" in text, text


@claim
def show_reads_requests(story):
    story.openssl_key()
    assert "CN=www.example.org" in story.ok("show", "web.csr").out


@claim
def show_warns_of_a_store_that_gives_way_to_guessing(story):
    story.write("s.pin", "sample\n")
    said = story.ok("show", os.path.join(DATA, "p12-openssl-rc2-and-3des.p12"), "--pin-source", "file:s.pin").err
    assert "a stolen PKCS#12 file gives way to guessing" in said and "keystow passwd" in said, said
    assert "guessing" not in story.ok("show", story.p12(), *A).err


@claim
def show_prints_a_golden_document(story):
    story.golden("show", "show", f"{story.p12()}#web", *A)


@claim
def show_fails_in_words(story):
    store = story.p12()
    story.fails(3, 301, "show", f"{store}#wbe", *A)
    story.fails(4, 402, "show", store, *B)
    story.fails(2, 201, "show")


@claim
def find_looks_at_labels_subjects_and_digests(story):
    store = story.p12()
    digest = story.ok("list", store, *A, "--json").json()["stores"][0]["entries"][0]["sha256"]
    for text in ("WEB", "Example.ORG", digest[:16]):
        assert story.ok("find", text, store, *A).out.startswith("web\t"), text


@claim
def find_takes_serials_as_peers_print_them_and_alternative_names(story):
    story.tool("openssl", "req", "-x509", "-nodes", "-newkey", "ed25519", "-set_serial", "0x0abc12", "-subj", "/CN=x", "-keyout", "x.key",
               "-out", "x.crt", "-addext", "subjectAltName=DNS:mail.example.net,IP:192.0.2.7")
    digest = story.tool("openssl", "x509", "-in", "x.crt", "-noout", "-fingerprint", "-sha256").split("=")[1].strip()
    for text in ("0ABC12", "0x0abc12", "a:bc:12", "00:0a:bc:12", "MAIL.example", "192.0.2.7", digest, "sha256:" + digest[:11]):
        assert story.ok("find", text, "x.crt").out.count("\n") == 1, text
    for text in ("abc1", "0abc120", "mail.example.org", "0x", "sha256:", digest + ":00"):
        assert story.run("find", text, "x.crt").code == 1, text


@claim
def find_prints_a_golden_document(story):
    story.golden("find", "find", "web", story.p12(), *A)


@claim
def find_fails_in_words(story):
    store = story.p12()
    result = story.run("find", "nothing like it", store, *A)
    assert (result.code, result.out) == (1, ""), result
    assert 'nothing in p12:a.p12 matches "nothing like it", of 1 entries; keystow list' in result.err, result
    assert story.run("find", "nothing like it", store, *A, "-q").err == ""
    story.fails(3, 301, "find", "x", "absent.p12")
    story.fails(4, 402, "find", "x", store, *B)
    story.fails(2, 201, "find")


@claim
def what_is_surely_no_store_is_said_to_be_what_it_is_whatever_its_address_says(story):
    for name, content, words in (("page.html", b" <!DOCTYPE html><p>Please log in</p>", "a web page"), ("a.zip", b"PK\x03\x04rest", "a ZIP archive"),
                                 ("gone", b"\0" * 4096, "nothing but zero bytes")):
        story.write(name, content)
        for address in (name, "p12:" + name, "der:" + name, "p7:" + name):
            for command in ("list", "verify"):
                result = story.fails(7, 705, command, address, *A)
                assert f"{name} is {words}" in result.err and "next: " in result.err, result


@claim
def standard_input_has_a_name_in_sentences(story):
    story.openssl_key()
    for address in ("-", "p12:-"):
        result = story.run("list", address, stdin=b"noise and nothing else")
        assert result.code == 7 and result.err.startswith("keystow: standard input"), result
    result = story.run("list", "p12:-", stdin=story.read("web.crt"))
    assert "keystow: standard input is a PEM file, not a PKCS#12 file" in result.err, result
    assert 'nothing in standard input matches "x-x"' in story.run("find", "x-x", "-", stdin=story.read("web.crt")).err


# ---- Java's key stores ----

@claim
def a_store_of_java_is_told_as_any_other(story):
    sample = os.path.join(DATA, "jks-java-two-keys-and-trust.jks")
    story.write("sample.jks", open(sample, "rb").read())
    story.write("sample.pin", b"sample\n")
    told = story.ok("list", "jks:sample.jks", "--json", "--pin-source", "file:sample.pin").json()["stores"][0]
    assert (told["format"], told["integrity"], told["protection"]["weak"]) == ("jks", "verified", True), told
    assert (told["counts"]["keys"], told["counts"]["certificates"], told["counts"]["anchors"]) == (2, 5, 2), told
    assert [e["kind"] for e in told["entries"]] == ["anchor", "private-key", "private-key", "anchor"], told
    shown = story.ok("show", "sample.jks#web", "--pin-source", "file:sample.pin")
    assert "gives way to guessing: keys are under stream of SHA-1" in shown.err and "p12: store" in shown.err, shown
    assert "web  can be used by Java" in story.ok("verify", "sample.jks#web", "--for", "java", "--pin-source", "file:sample.pin").out
    capitals = os.path.join(DATA, "jks-capitals-and-equal-aliases.jks")
    result = story.run("verify", capitals, "--for", "java", "--pin-source", "file:sample.pin")
    assert result.code == 1 and "has capital letters, and Java looks for it in lower case" in result.out, result
    assert story.ok("show", "sample.jks#WEB", "--pin-source", "file:sample.pin").out.startswith("web ")


@claim
def a_new_store_of_java_is_said_to_be_weak_and_its_labels_to_be_lower_case(story):
    result = story.fails(6, 602, "generate", "jks:new.jks#MyKey", *A)
    assert '"mykey" would fit' in result.err and not story.has("new.jks"), result
    result = story.ok("generate", "jks:new.jks#mykey", *A)
    assert "a p12: store protects them better" in result.err, result
    assert stat.S_IMODE(os.stat(os.path.join(story.dir, "new.jks")).st_mode) == 0o600
    assert labels(story, "new.jks", *A) == ["mykey"]
    assert "mykey" in story.fails(9, 902, "generate", "jks:new.jks#mykey", *A).err
    story.fails(6, 602, "rename", "jks:new.jks#MyKey", "Another", *A)
    story.ok("rename", "jks:new.jks#MyKey", "another", *A)
    story.fails(4, 402, "list", "new.jks", *B)
    story.fails(7, 705, "list", "jceks:new.jks", *A)
    story.fails(3, 301, "show", "jks:new.jks#mykey", *A)


@claim
def a_store_of_java_without_keys_is_read_without_its_password(story):
    story.ok("copy", story.bundle(), "jks:trust.jks", "--to-pin-source", "file:a.pin")
    result = story.ok("list", "trust.jks", "--json", "--no-input")
    document = result.json()["stores"][0]
    assert (document["integrity"], document["counts"]["anchors"]) == ("unchecked", 3), document
    assert "nobody knows whether it was changed" in result.json()["problems"][0]["text"], result
    story.fails(4, 403, "merge", "bundle.pem", "trust.jks", "--no-input")


# ---- diff, verify ----

@claim
def diff_is_quiet_about_equal_stores(story):
    story.bundle()
    story.bundle("again.pem", ("Three", "Two", "One"))
    assert story.ok("diff", "bundle.pem", "again.pem").out == ""


@claim
def diff_shows_both_sides(story):
    story.bundle("old.pem", ("One", "Two"))
    story.bundle("new.pem", ("Two", "Three"))
    result = story.run("diff", "old.pem", "new.pem")
    assert result.code == 1, result
    assert sorted(line[0] for line in result.out.splitlines()) == ["+", "-"], result


@claim
def diff_says_that_a_bundle_is_equal_to_what_was_made_of_it_and_names_what_else_differs(story):
    story.bundle()
    story.ok("merge", "bundle.pem", "pem:anchors.pem")
    assert "3 equal, 0 different" in story.ok("diff", "bundle.pem", "pem:anchors.pem").err
    store = story.p12()
    story.ok("merge", "bundle.pem", store, *A)
    story.ok("copy", store, "p12:same.p12", *A, "--to-pin-source", "file:a.pin")
    entry = next(e for e in story.ok("list", store, *A, "--json").json()["stores"][0]["entries"] if e["kind"] == "anchor")
    story.ok("rename", f"p12:same.p12#{entry['label']}", "other name", *A)
    found = story.run("diff", store, "p12:same.p12", *A, "--to-pin-source", "file:a.pin")
    assert found.code == 1 and found.out == f"~ anchor  {entry['label']} -> other name\n", found


@claim
def diff_prints_a_golden_document(story):
    story.bundle("old.pem", ("One", "Two"))
    story.bundle("new.pem", ("Two", "Three"))
    story.golden("diff", "diff", "old.pem", "new.pem", code=1)


@claim
def diff_fails_in_words(story):
    story.bundle()
    story.fails(3, 301, "diff", "bundle.pem", "absent.pem")
    story.fails(2, 201, "diff", "bundle.pem")
    story.fails(4, 402, "diff", "bundle.pem", story.p12(), "--to-pin-source", "file:b.pin")


@claim
def verify_accepts_what_holds_together(story):
    enroll(story)
    assert "holds together" in story.ok("verify", "p12:enrolled.p12#web", *A).out
    story.tool("openssl", "verify", "-CAfile", "ca/ca.pem", "issued.pem")


def verify_says(story, name, words):
    """What verify finds out about NAME.key and NAME.crt in one file."""
    story.write(f"{name}.pem", story.read(f"{name}.key") + story.read(f"{name}.crt"))
    result = story.run("verify", f"{name}.pem", "--anchors", f"{name}.crt")
    assert result.code == 1 and "! does not hold together" in result.out and words in result.out, result


@claim
def verify_finds_weak_keys(story):
    story.tool("openssl", "dsaparam", "-out", "params", "1024")
    for name, kind in (("RSA", "rsa:1024"), ("DSA", "dsa:params")):
        story.tool("openssl", "req", "-x509", "-nodes", "-newkey", kind, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out",
                   f"{name}.crt")
        verify_says(story, name, f"the key is weak: {name}")


@claim
def verify_finds_dates_that_do_not_hold(story):
    story.write("ca.cnf", "[ca]\ndefault_ca=x\n[x]\ndatabase=db\nnew_certs_dir=.\nrand_serial=yes\npolicy=p\ndefault_md=sha256\n"
                "[p]\ncommonName=supplied\n")
    tomorrow = datetime.datetime.utcnow() + datetime.timedelta(days=1, hours=1)
    for name, start, end, words in (
            ("past", "20200101000000Z", "20210101000000Z", "expired on 2021-01-01"),
            ("future", "20980101000000Z", "20990101000000Z", "is not valid before 2098-01-01"),
            ("soon", "20200101000000Z", tomorrow.strftime("%Y%m%d%H%M%SZ"), "in 1 day")):
        story.write("db", "")
        story.openssl_key(name, f"/CN={name}")
        story.tool("openssl", "ca", "-batch", "-config", "ca.cnf", "-selfsign", "-keyfile", f"{name}.key", "-in", f"{name}.csr",
                   "-startdate", start, "-enddate", end, "-notext", "-out", f"{name}.crt")
        verify_says(story, name, words)


@claim
def verify_tells_a_signature_that_can_be_forged(story):
    story.ca()
    story.openssl_key("old", "/CN=old")
    story.tool("openssl", "x509", "-req", "-sha1", "-in", "old.csr", "-CA", "ca/ca.pem", "-CAkey", "ca/ca.key", "-out", "old.pem")
    result = story.run("verify", "old.pem", "--anchors", "ca/ca.pem")
    assert result.code == 1 and "signed with" in result.out and "SHA1" in result.out, result


@claim
def verify_says_for_a_program_whether_it_is_of_use(story):
    store = story.p12()
    assert "web  can be used by Java" in story.ok("verify", store, "--for", "java", *A).out
    found = story.run("verify", "web.key", "--for", "java", "--for", "openssl")
    assert found.code == 1 and "! java       Java does not read a PEM file" in found.out, found
    assert "next: keystow copy web.key p12:NEW.p12" in found.out and "can be used by OpenSSL" in found.out, found
    entry = story.run("verify", "web.key", "--for", "java", "--for", "openssl", "--json").json()["stores"][0]["entries"][0]
    assert entry["ok"] is False and entry["used_by"] == ["openssl"], entry
    assert [(f["check"], f["code"], f["ok"]) for f in entry["findings"]] == [("java", "format", False)], entry


@claim
def verify_for_a_program_fails_in_words(story):
    store = story.p12()
    assert "did you mean java?" in story.fails(2, 201, "verify", store, "--for", "jav", *A).err
    story.fails(2, 201, "verify", store, "--for", "java", "--anchors", "web.crt", *A)
    story.fails(4, 402, "verify", store, "--for", "java", *B)
    story.fails(3, 301, "verify", f"{store}#nobody", "--for", "java", *A)
    token = story.token()
    story.fails(4, 403, "verify", token, "--for", "java")


# ---- lint ----

def untied(story):
    """A PKCS#12 file as old tools write it: nothing in it says which certificate belongs to the key."""
    story.openssl_key()
    story.tool("openssl", "pkcs12", "-export", "-inkey", "web.key", "-nocerts", "-name", "web", "-out", "a.p12", "-passout", "file:a.pin")
    story.ok("copy", "web.crt", "p12:a.p12#stray", "--to-pin-source", "file:a.pin", "-q")
    return "p12:a.p12"


@claim
def lint_finds_and_repairs_what_pairs_key_and_certificate(story):
    store = untied(story)
    before = story.read("a.p12")
    found = story.run("lint", store, *A)
    assert found.code == 1 and "label-differs" in found.out, found
    dry = story.run("lint", store, "--fix", "--dry-run", *A)
    assert dry.code == 1 and "nothing was changed" in dry.err and story.read("a.p12") == before, dry
    story.ok("lint", store, "--fix", *A)
    story.ok("lint", store, *A)
    listed = story.tool("keytool", "-list", "-keystore", "a.p12", "-storepass", "correct horse")
    assert "1 entry" in listed and "web" in listed and "length: 0" not in listed, listed
    at = before.index(b"\x04\x81\x90") # the sealed key of P-256, an octet string of 144 bytes
    assert before[at:at + 147] in story.read("a.p12"), "the sealed key is not the same bytes any more"


@claim
def lint_is_content_with_what_keystow_makes(story):
    assert "needs care" in story.ok("lint", story.p12(), *A).err


@claim
def lint_finds_weak_keys_and_expired_certificates(story):
    story.tool("openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "weak.key", "-out", "weak.crt", "-days", "9", "-subj", "/CN=weak")
    found = story.run("lint", "weak.crt", "--json").json()["stores"][0]
    assert [f["code"] for f in found["findings"]] == ["weak-key"], found


@claim
def lint_prints_a_golden_document(story):
    store = untied(story)
    story.golden("lint", "lint", store, "--fix", "--dry-run", *A, code=1)


@claim
def lint_fails_in_words(story):
    store = untied(story)
    story.fails(2, 201, "lint", store, "--dry-run", *A)
    story.fails(2, 201, "lint", f"{store}#web", *A)
    story.fails(4, 402, "lint", store, "--fix", *B)
    story.fails(3, 301, "lint", "p12:absent.p12")


@claim
def verify_prints_a_golden_document(story):
    enroll(story)
    story.golden("verify", "verify", "p12:enrolled.p12#web", *A)


@claim
def verify_fails_in_words(story):
    store = story.p12()
    lonely = story.run("verify", f"{store}#web", *A, "--anchors", story.bundle())
    assert lonely.code == 1 and "chain" in lonely.out, lonely
    story.fails(3, 301, "verify", f"{store}#nobody", *A)
    story.fails(4, 402, "verify", store, *B)
    story.fails(2, 201, "verify")


# ---- new, generate, request ----

@claim
def new_makes_an_empty_store_that_openssl_opens(story):
    story.ok("new", "p12:n.p12", *A)
    story.tool("openssl", "pkcs12", "-in", "n.p12", "-passin", "file:a.pin", "-noout")
    assert labels(story, "n.p12", *A) == []


@claim
def new_prints_a_golden_document(story):
    story.golden("new", "new", "p12:n.p12", *A)


@claim
def new_fails_in_words(story):
    store = story.p12()
    before = story.read("a.p12")
    story.fails(9, 902, "new", store, *A)
    assert story.read("a.p12") == before
    story.fails(2, 202, "new", "n.p12", *A)
    story.fails(4, 403, "new", "p12:n.p12")
    story.fails(6, 610, "new", "pkcs11:token=x")
    assert not story.has("n.p12")


@claim
def generate_makes_keys_that_openssl_reads(story):
    for kind, word in (("p256", "prime256v1"), ("rsa:2048", "2048 bit"), ("ed25519", "ED25519")):
        story.ok("generate", f"p12:k.p12#{kind.split(':')[0]}", "--type", kind, *A)
    text = story.tool("openssl", "pkcs12", "-in", "k.p12", "-passin", "file:a.pin", "-nodes", "-nocerts")
    assert text.count("BEGIN PRIVATE KEY") == 3, text
    assert labels(story, "k.p12", *A) == ["ed25519", "p256", "rsa"]


@claim
def generate_prints_a_golden_document(story):
    story.golden("generate", "generate", "p12:k.p12#web", *A)


@claim
def generate_fails_in_words(story):
    store = story.p12()
    before = story.read("a.p12")
    story.fails(9, 902, "generate", f"{store}#web", *A)
    story.fails(2, 201, "generate", store, *A)
    story.fails(4, 402, "generate", f"{store}#other", *B)
    assert story.read("a.p12") == before


@claim
def request_is_verified_by_openssl(story):
    story.ok("request", f"{story.p12()}#web", *A, "--subject", "CN=w,O=x", "--san", "dns:w.example.org", "-o", "r.csr")
    text = story.tool("openssl", "req", "-in", "r.csr", "-noout", "-verify", "-text")
    assert "DNS:w.example.org" in text, text
    printed = story.ok("request", f"{story.p12()}#web", *A, "--subject", "CN=w").out
    assert printed.startswith("-----BEGIN CERTIFICATE REQUEST-----\n"), printed


@claim
def request_says_where_the_request_is(story):
    how = ("request", f"{story.p12()}#web", *A, "--subject", "CN=w", "--replace", "-o", "r.csr")
    result = story.ok(*how)
    assert result.out == "" and result.err == "keystow: the certificate request is in r.csr\n", result
    assert story.ok(*how, "-q").err == ""
    result = story.ok(*how, "--json")
    assert result.err == "" and result.json()["stores"][0]["output"] == "r.csr", result
    assert story.ok(*how[:-1], "-").err == ""


@claim
def only_where_a_store_is_meant_a_missing_file_is_answered_with_keystow_new(story):
    store = story.fails(3, 301, "list", "none.pem")
    assert "there is no file none.pem" in store.err and "keystow new makes a new store" in store.err, store
    story.ca()
    asked = story.fails(3, 301, "ca", "sign", "none.csr", "--ca", "ca", "--profile", "client", "-o", "c.pem")
    assert "there is no file none.csr" in asked.err and "check the spelling; keystow request makes one for a key" in asked.err, asked
    backup = story.fails(3, 301, "token", "restore", "none.backup", "--to", "pkcs11:token=story")
    assert "there is no file none.backup" in backup.err and "next: check the spelling\n" in backup.err, backup


@claim
def request_prints_a_golden_document(story):
    story.golden("request", "request", f"{story.p12()}#web", *A, "--subject", "CN=w")


@claim
def request_fails_in_words(story):
    store = story.p12()
    story.fails(2, 201, "request", f"{store}#web", *A)
    story.fails(2, 201, "request", f"{store}#web", *A, "--subject", "QQ=w")
    story.fails(3, 301, "request", f"{store}#none", *A, "--subject", "CN=w")
    story.write("there.csr", "kept")
    story.fails(9, 902, "request", f"{store}#web", *A, "--subject", "CN=w", "-o", "there.csr")
    assert story.read("there.csr") == b"kept"


# ---- enroll, ca ----

def enroll(story, store="p12:enrolled.p12#web", *more):
    if not story.has("ca"):
        story.ca()
    result = story.ok("enroll", store, *A, "--ca", "ca", "--subject", "CN=www,O=x", "--san", "dns:www.example.org",
                      "--profile", "server", *more)
    text = story.tool("openssl", "pkcs12", "-in", store[4:].split("#")[0], "-passin", "file:a.pin", "-nokeys", "-clcerts")
    story.write("issued.pem", text)
    return result


@claim
def enroll_does_the_whole_job_and_then_nothing(story):
    first = enroll(story)
    assert "issued" in first.out, first
    text = story.tool("openssl", "x509", "-in", "issued.pem", "-noout", "-text")
    assert "DNS:www.example.org" in text and "TLS Web Server Authentication" in text, text
    before = story.read("enrolled.p12")
    assert "nothing to do" in enroll(story).out
    assert story.read("enrolled.p12") == before


@claim
def enroll_takes_a_list(story):
    story.ca()
    story.write("list", "# machines\nm1\tCN=m1\tdns:m1.example.org\n\nm2\tCN=m2\tdns:m2.example.org,ip:10.0.0.2\n")
    result = story.ok("enroll", "p12:m.p12", *A, "--ca", "ca", "--profile", "server", "--from", "list", "--json")
    assert [e["result"] for e in result.json()["stores"][0]["entries"]] == ["issued", "issued"], result
    assert story.ok("ca", "list", "--ca", "ca").out.count("\n") >= 2


@claim
def enroll_prints_a_golden_document(story):
    story.ca()
    story.golden("enroll", "enroll", "p12:e.p12#web", *A, "--ca", "ca", "--subject", "CN=me", "--profile", "client")


@claim
def enroll_fails_in_words(story):
    story.ca()
    job = ("enroll", "p12:e.p12#web", *A, "--ca", "ca", "--subject", "CN=me")
    story.fails(2, 201, *job)
    assert "did you mean" in story.fails(3, 301, *job, "--profile", "clint").err
    story.fails(6, 605, *job, "--profile", "client", "--san", "ip:10.0.0.1")
    story.fails(3, 301, "enroll", "p12:e.p12#web", *A, "--ca", "nowhere", "--subject", "CN=me", "--profile", "client")
    story.write("list", "one line without tabs\n")
    assert "line 1" in story.fails(2, 201, "enroll", "p12:e.p12", *A, "--ca", "ca", "--profile", "client", "--from", "list").err


@claim
def ca_init_makes_a_ca_that_openssl_accepts(story):
    result = story.ok("ca", "init", "ca", "--subject", "CN=Story CA,O=Stories", "--ca-pin-source", "file:ca.pin")
    assert "Story CA" in result.out and "in the clear" not in result.err
    assert "CA:TRUE" in story.tool("openssl", "x509", "-in", "ca/ca.pem", "-noout", "-text")
    story.tool("openssl", "pkey", "-in", "ca/ca.key", "-passin", "file:ca.pin", "-noout")
    assert stat.S_IMODE(os.stat(story.path("ca")).st_mode) == 0o700


@claim
def ca_init_says_aloud_that_a_key_is_in_the_clear(story):
    said = story.ok("ca", "init", "ca", "--subject", "CN=x").err
    assert "in the clear" in said
    assert stat.S_IMODE(os.stat(story.path("ca/ca.key")).st_mode) == 0o600
    story.ok(*story.next(said), "--new-pin-source", "file:ca.pin")
    assert b"ENCRYPTED" in story.read("ca/ca.key")
    story.openssl_key()
    story.fails(4, 403, "ca", "sign", "web.csr", "--ca", "ca", "--profile", "client")
    story.ok("ca", "sign", "web.csr", "--ca", "ca", "--profile", "client", "--ca-pin-source", "file:ca.pin")


@claim
def the_command_that_seals_a_key_can_be_pasted(story):
    said = story.ok("generate", "it's new.pem#web").err
    story.ok(*story.next(said), "--new-pin-source", "file:a.pin")
    assert b"ENCRYPTED" in story.read("it's new.pem")


@claim
def ca_init_prints_a_golden_document(story):
    story.golden("ca init", "ca", "init", "ca", "--subject", "CN=Story CA", "--ca-pin-source", "file:ca.pin")


@claim
def ca_init_fails_in_words(story):
    story.ca()
    story.fails(9, 902, "ca", "init", "ca", "--subject", "CN=again")
    story.fails(2, 201, "ca", "init", "other")
    story.fails(4, 403, "ca", "init", "other", "--subject", "CN=x", "--ca-pin-source", "file:absent")
    story.fails(2, 201, "ca", "init", "other", "--subject", "=x")
    assert not story.has("other")


@claim
def a_ca_takes_over_a_key_of_the_type_that_was_asked_for_and_no_other(story):
    pin = ("--ca-pin-source", "file:a.pin")
    for label, kind in (("ec", "p256"), ("ed", "ed25519"), ("rsa", "rsa:2048")):
        story.ok("generate", f"p12:keys.p12#{label}", "--type", kind, *A)
        before = story.read("keys.p12")
        result = story.fails(9, 902, "ca", "init", "wrong", "--subject", "CN=x", "--key", f"p12:keys.p12#{label}", "--type", "p384", *pin)
        assert "of another type" in result.err and not story.has("wrong") and story.read("keys.p12") == before, result
        taken = story.ok("ca", "init", f"{label}-ca", "--subject", "CN=x", "--key", f"p12:keys.p12#{label}", "--type", kind, *pin)
        assert "was there already and is the CA's now" in taken.err, taken
    story.fails(2, 201, "ca", "init", "wrong", "--subject", "CN=x", "--key", "p12:keys.p12", *pin)


@claim
def ca_sign_signs_what_openssl_verifies(story):
    story.ca()
    story.openssl_key("a", "/CN=a")
    story.openssl_key("b", "/CN=b")
    os.mkdir(story.path("out"))
    story.ok("ca", "sign", "a.csr", "b.csr", "--ca", "ca", "--profile", "client", "-o", "out")
    for name in "ab":
        story.tool("openssl", "verify", "-CAfile", "ca/ca.pem", "-purpose", "sslclient", f"out/{name}.pem")
    text = story.ok("ca", "sign", "a.csr", "--ca", "ca", "--profile", "client", "--days", "7").out
    assert text.startswith("-----BEGIN CERTIFICATE-----"), text


@claim
def ca_sign_prints_a_golden_document(story):
    story.ca()
    story.openssl_key("a", "/CN=a")
    story.golden("ca sign", "ca", "sign", "a.csr", "--ca", "ca", "--profile", "client")


@claim
def ca_sign_fails_in_words(story):
    story.ca()
    story.openssl_key("a", "/CN=a")
    job = ("ca", "sign", "a.csr", "--ca", "ca")
    story.fails(2, 201, *job)
    story.fails(3, 301, *job, "--profile", "nosuch")
    story.fails(6, 604, *job, "--profile", "client", "--days", "9999")
    story.fails(3, 301, "ca", "sign", "absent.csr", "--ca", "ca", "--profile", "client")
    story.write("there.pem", "kept")
    story.fails(9, 902, *job, "--profile", "client", "-o", "there.pem")
    broken = bytearray(story.read("a.csr"))
    broken[-60] ^= 1
    story.write("broken.csr", bytes(broken))
    assert story.run("ca", "sign", "broken.csr", "--ca", "ca", "--profile", "client").code in (6, 7)
    assert story.ok("ca", "list", "--ca", "ca").out.count("\tissued") == 0, "a refused request left a certificate"


@claim
def ca_list_shows_what_was_signed(story):
    story.ca()
    story.openssl_key("a", "/CN=a")
    story.ok("ca", "sign", "a.csr", "--ca", "ca", "--profile", "client", "-o", "a.pem")
    serial = story.tool("openssl", "x509", "-in", "a.pem", "-noout", "-serial").strip().split("=")[1].lower()
    assert serial in story.ok("ca", "list", "--ca", "ca").out


@claim
def ca_list_prints_a_golden_document(story):
    story.ca()
    story.openssl_key("a", "/CN=a")
    story.ok("ca", "sign", "a.csr", "--ca", "ca", "--profile", "client", "-o", "a.pem")
    story.golden("ca list", "ca", "list", "--ca", "ca")


@claim
def ca_list_fails_in_words(story):
    story.fails(2, 201, "ca", "list")
    story.fails(3, 301, "ca", "list", "--ca", "nowhere")
    story.fails(3, 301, "ca", "list", "--ca", "@nobody")


# ---- copy, install, remove, rename, passwd ----

@claim
def copy_takes_a_key_and_its_certificate_along(story):
    story.ok("copy", f"{story.p12()}#web", "p12:b.p12#www", *A, "--to-pin-source", "file:b.pin")
    text = story.tool("openssl", "pkcs12", "-in", "b.p12", "-passin", "file:b.pin", "-nodes")
    assert "friendlyName: www" in text and "BEGIN PRIVATE KEY" in text and "BEGIN CERTIFICATE" in text, text


@claim
def what_der_holds_is_pem_that_openssl_reads_after_a_copy(story):
    story.openssl_key("web")
    story.write("index", "")
    story.write("ca.cnf", "[ca]\ndefault_ca=x\n[x]\ndatabase=index\ndefault_md=sha256\ndefault_crl_days=7\n")
    story.tool("openssl", "ca", "-gencrl", "-config", "ca.cnf", "-cert", "web.crt", "-keyfile", "web.key", "-out", "crl.pem")
    for name, verb, source in (("request", "req", "web.csr"), ("crl", "crl", "crl.pem"), ("certificate", "x509", "web.crt")):
        story.tool("openssl", verb, "-in", source, "-outform", "DER", "-out", f"{name}.der")
        story.ok("copy", f"{name}.der", f"pem:{name}.pem")
        assert story.tool("openssl", verb, "-in", f"{name}.pem") == story.tool("openssl", verb, "-in", source), name
    story.tool("openssl", "pkey", "-in", "web.key", "-pubout", "-outform", "DER", "-out", "public.der")
    story.ok("copy", "public.der", "pem:public.pem")
    assert story.tool("openssl", "pkey", "-pubin", "-in", "public.pem") == story.tool("openssl", "pkey", "-in", "web.key", "-pubout")


@claim
def copy_prints_a_golden_document(story):
    story.golden("copy", "copy", f"{story.p12()}#web", "p12:b.p12", *A, "--to-pin-source", "file:b.pin")


@claim
def copy_changes_nothing_in_a_dry_run(story):
    story.p12()
    story.p12("b.p12", "other", "b.pin")
    before = story.read("b.p12")
    result = story.ok("copy", "p12:a.p12#web", "p12:b.p12", *A, "--to-pin-source", "file:b.pin", "--dry-run")
    assert result.out.startswith("+ ") and "dry run" in result.err, result
    assert story.read("b.p12") == before


@claim
def copy_fails_in_words(story):
    store = story.p12()
    story.p12("b.p12", "web", "b.pin")
    to = ("--to-pin-source", "file:b.pin")
    story.fails(9, 902, "copy", f"{store}#web", "p12:b.p12", *A, *to)
    story.fails(2, 201, "copy", story.bundle(), "p12:b.p12#one", *to)
    story.fails(3, 301, "copy", f"{store}#none", "p12:b.p12", *A, *to)
    story.fails(4, 402, "copy", f"{store}#web", "p12:b.p12#x", *A, "--to-pin-source", "file:a.pin")
    story.fails(6, 610, "copy", f"{store}#web", "p7:b.p7b", *A)


@claim
def install_puts_a_certificate_beside_its_key(story):
    story.ca()
    story.ok("generate", "p12:k.p12#web", *A)
    story.ok("request", "p12:k.p12#web", *A, "--subject", "CN=me", "-o", "k.csr")
    story.ok("ca", "sign", "k.csr", "--ca", "ca", "--profile", "client", "-o", "k.pem")
    story.ok("install", "k.pem", "p12:k.p12", *A)
    assert "BEGIN CERTIFICATE" in story.tool("openssl", "pkcs12", "-in", "k.p12", "-passin", "file:a.pin", "-nokeys", "-clcerts")


@claim
def install_takes_the_chain_along_and_leaves_strangers_out(story):
    story.ca()
    story.ok("generate", "p12:k.p12#web", *A)
    story.ok("request", "p12:k.p12#web", *A, "--subject", "CN=me", "-o", "k.csr")
    story.ok("ca", "sign", "k.csr", "--ca", "ca", "--profile", "client", "-o", "k.pem")
    story.openssl_key("stranger", "/CN=stranger")
    story.tool("openssl", "req", "-new", "-key", "stranger.key", "-subj", "/CN=stranger", "-out", "stranger.csr")
    story.ok("ca", "sign", "stranger.csr", "--ca", "ca", "--profile", "client", "-o", "stranger.pem")
    story.write("all.pem", story.read("stranger.pem") + story.read("ca/ca.pem") + story.read("k.pem"))
    result = story.ok("install", "all.pem", "p12:k.p12", *A)
    assert "certificate CN=stranger " in result.err and "is left out: its key is not here" in result.err, result
    held = story.tool("openssl", "pkcs12", "-in", "k.p12", "-passin", "file:a.pin", "-nokeys")
    assert held.count("BEGIN CERTIFICATE") == 2 and "stranger" not in held, held
    before = story.read("k.p12")
    story.ok("install", "k.pem", "p12:k.p12", *A)
    assert story.read("k.p12") == before
    story.fails(6, 601, "install", "ca/ca.pem", "p12:k.p12", *A)


@claim
def install_prints_a_golden_document(story):
    story.ca()
    story.ok("generate", "p12:k.p12#web", *A)
    story.ok("request", "p12:k.p12#web", *A, "--subject", "CN=me", "-o", "k.csr")
    story.ok("ca", "sign", "k.csr", "--ca", "ca", "--profile", "client", "-o", "k.pem")
    story.golden("install", "install", "k.pem", "p12:k.p12", *A)


@claim
def install_fails_in_words(story):
    store = story.p12()
    story.openssl_key("stranger", "/CN=stranger")
    before = story.read("a.p12")
    story.fails(6, 601, "install", "stranger.crt", store, *A)
    story.fails(3, 301, "install", "absent.crt", store, *A)
    story.fails(4, 402, "install", "web.crt", store, *B)
    assert story.read("a.p12") == before


@claim
def remove_takes_key_and_certificate_and_no_copy_stays(story):
    store = story.p12()
    story.ok("copy", f"{store}#web", f"{store}#twin", *A, "--to-pin-source", "file:a.pin")
    assert story.has("a.p12.old")
    story.ok("remove", f"{store}#twin", *A)
    assert labels(story, store, *A) == ["web"] and not story.has("a.p12.old")


@claim
def remove_prints_a_golden_document(story):
    story.golden("remove", "remove", f"{story.p12()}#web", *A)


@claim
def remove_fails_in_words(story):
    store = story.p12()
    before = story.read("a.p12")
    story.fails(2, 201, "remove", store, *A)
    story.fails(3, 301, "remove", f"{store}#none", *A)
    story.fails(4, 402, "remove", f"{store}#web", *B)
    story.ok("remove", f"{store}#web", *A, "--dry-run")
    assert story.read("a.p12") == before


@claim
def rename_keeps_key_and_certificate_together(story):
    store = story.p12()
    story.ok("rename", f"{store}#web", "www", *A)
    entries = story.ok("list", store, *A, "--json").json()["stores"][0]["entries"]
    assert [(e["label"], e["kind"], "subject" in e) for e in entries] == [("www", "private-key", True)], entries


@claim
def rename_prints_a_golden_document(story):
    story.golden("rename", "rename", f"{story.p12()}#web", "www", *A)


@claim
def rename_fails_in_words(story):
    store = story.p12()
    story.ok("generate", f"{store}#taken", *A)
    story.fails(9, 902, "rename", f"{store}#web", "taken", *A)
    story.fails(3, 301, "rename", f"{store}#none", "x", *A)
    story.fails(2, 201, "rename", f"{store}#web", *A)
    story.fails(4, 402, "rename", f"{store}#web", "x", *B)


@claim
def passwd_makes_the_old_password_wrong(story):
    store = story.p12()
    story.ok("passwd", store, *A, "--new-pin-source", "file:b.pin")
    story.fails(4, 402, "list", store, *A)
    assert "BEGIN PRIVATE KEY" in story.tool("openssl", "pkcs12", "-in", "a.p12", "-passin", "file:b.pin", "-nodes")
    assert not story.has("a.p12.old")


@claim
def passwd_prints_a_golden_document(story):
    story.golden("passwd", "passwd", story.p12(), *A, "--new-pin-source", "file:b.pin")


@claim
def passwd_fails_in_words(story):
    store = story.p12()
    before = story.read("a.p12")
    story.fails(4, 402, "passwd", store, *B, "--new-pin-source", "file:a.pin")
    story.fails(4, 403, "passwd", store, *A)
    story.fails(6, 610, "passwd", "pkcs11:token=x")
    story.fails(2, 201, "passwd")
    assert story.read("a.p12") == before


# ---- merge, rollback ----

@claim
def merge_brings_a_bundle_into_many_stores_and_keeps_keys(story):
    story.p12()
    story.p12("b.p12", "other", "b.pin")
    story.bundle()
    stores = ("p12:a.p12?pin-source=file:a.pin", "p12:b.p12?pin-source=file:b.pin")
    story.ok("merge", "bundle.pem", *stores)
    for store in stores:
        counts = story.ok("list", store, "--json").json()["stores"][0]["counts"]
        assert (counts["keys"], counts["anchors"]) == (1, 3), counts
    assert "nothing to do" in story.ok("merge", "bundle.pem", *stores).err


@claim
def merge_counts_what_it_did_and_names_each_change_only_when_they_are_few_or_asked_for(story):
    few = story.ok("merge", story.bundle("few.pem", ("One", "Two")), story.p12(), *A).out
    assert few.count("+ certificate") == 2, few
    assert "p12:a.p12: 2 added, 0 removed, 1 private key untouched" in few, few
    many = [f"Anchor {n}" for n in range(19)]
    store = story.p12("b.p12", "other", "b.pin")
    B = ("--pin-source", "file:b.pin")
    story.bundle("many.pem", [*many, "Nineteen", "Twenty"])
    dry = story.ok("merge", "many.pem", store, *B, "--dry-run").out
    assert dry.count("+ certificate") == 21 and "p12:b.p12: 21 to add, 0 to remove, 1 private key untouched" in dry, dry
    assert story.ok("merge", "many.pem", store, *B).out == "p12:b.p12: 21 added, 0 removed, 1 private key untouched\n"
    assert "p12:b.p12: nothing to do" in story.ok("merge", "many.pem", store, *B).err
    story.write("empty.pem", b"")
    story.write("page.pem", b"\n<!DOCTYPE html><html></html>\n")
    assert "empty.pem is empty" in story.fails(7, 705, "merge", "empty.pem", store, *B).err
    assert "page.pem is a web page" in story.fails(7, 705, "merge", "page.pem", store, *B).err


@claim
def a_store_that_merge_makes_is_told_and_not_made_by_a_dry_run(story):
    result = story.ok("merge", story.bundle(), "p12:new.p12", "--dry-run")
    assert "p12:new.p12: 3 to add" in result.out and "p12:new.p12 is not there yet" in result.err, result
    assert not story.has("new.p12")
    assert "p12:new.p12 was not there and is new" in story.ok("merge", "bundle.pem", "p12:new.p12", *A).err
    assert "is new" not in story.ok("merge", story.bundle("more.pem", ("One", "Two", "Three", "Four")), "p12:new.p12", *A).err


@claim
def a_verb_about_a_whole_store_refuses_one_entry(story):
    store = story.p12()
    before = story.read("a.p12")
    for words in (("passwd", f"{store}#web", "--new-pin-source", "file:b.pin"), ("rollback", f"{store}#web"), ("new", f"{store}#web"),
                  ("merge", story.bundle(), f"{store}#web")):
        assert "whole store" in story.fails(2, 201, *words, *A).err, words
    assert story.read("a.p12") == before


@claim
def list_shows_the_entry_that_is_named_and_no_other(story):
    store = story.p12()
    story.ok("merge", story.bundle(), store, *A)
    assert [row.split("\t")[0] for row in story.ok("list", f"{store}#web", *A).out.splitlines()] == ["web"]
    assert len(story.ok("list", f"{store}#web", "--json", *A).json()["stores"][0]["entries"]) == 1
    assert 'did you mean "web"' in story.fails(3, 301, "list", f"{store}#wep", *A).err


@claim
def a_text_that_is_called_pkcs12_is_no_damaged_store(story):
    story.write("notes", "buy milk\n")
    story.write("empty", "")
    assert "this is no PKCS#12 file" in story.fails(7, 705, "list", "p12:notes").err
    assert "the file is empty" in story.fails(7, 705, "list", "p12:empty").err


@claim
def a_search_without_a_match_says_so(story):
    result = story.run("find", "nobody", story.p12(), *A)
    assert result.code == 1 and result.out == "" and 'matches "nobody"' in result.err, result
    assert story.run("find", "nobody", "p12:a.p12", "-q", *A).err == ""


@claim
def a_merged_certificate_that_was_renamed_is_the_users_and_stays(story):
    store = story.p12()
    story.ok("merge", story.bundle(), store, *A)
    one = story.tool("openssl", "x509", "-in", "One.crt", "-noout", "-fingerprint", "-sha256").split("=")[1].replace(":", "").strip()
    story.ok("rename", f"{store}#sha256:{one}", "mine", *A)
    story.ok("merge", story.bundle("less.pem", ("Two", )), store, *A, "--allow-shrink")
    left = labels(story, store, *A)
    assert "mine" in left and len(left) == 3, left


@claim
def merge_prints_a_golden_document(story):
    story.bundle("bundle.pem", ("One", "Two"))
    story.golden("merge", "merge", "bundle.pem", story.p12(), *A)


@claim
def merge_tries_every_store(story):
    story.p12()
    story.bundle()
    result = story.run("merge", "bundle.pem", "p12:a.p12?pin-source=file:b.pin", "p12:a.p12?pin-source=file:a.pin", "--json")
    assert result.code == 4 and [s["exit"] for s in result.json()["stores"]] == [4, 0], result


@claim
def merge_fails_in_words(story):
    store = story.p12()
    story.bundle()
    story.fails(3, 301, "merge", "absent.pem", store, *A)
    story.fails(2, 201, "merge", "bundle.pem")
    story.write("broken.pem", story.read("bundle.pem").replace(b"MII", b"AAA", 1))
    story.fails(7, 701, "merge", "broken.pem", store, *A)
    story.ok("merge", "bundle.pem", store, *A)
    story.bundle("small.pem", ("One",))
    before = story.read("a.p12")
    story.fails(6, 606, "merge", "small.pem", store, *A)
    assert story.read("a.p12") == before


@claim
def rollback_goes_back_and_forth(story):
    store = story.p12()
    before = story.read("a.p12")
    story.ok("merge", story.bundle(), store, *A)
    after = story.read("a.p12")
    story.ok("rollback", store, *A)
    assert story.read("a.p12") == before
    story.ok("rollback", store, *A)
    assert story.read("a.p12") == after


@claim
def rollback_prints_a_golden_document(story):
    store = story.p12()
    story.ok("merge", story.bundle(), store, *A)
    story.golden("rollback", "rollback", store, *A)


@claim
def rollback_fails_in_words(story):
    store = story.p12()
    story.fails(3, 301, "rollback", store, *A)
    story.fails(2, 201, "rollback")
    story.fails(4, 402, "rollback", store, *B)


if __name__ == "__main__":
    tell(sys.modules[__name__])
