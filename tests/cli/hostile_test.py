#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Names made to harm a terminal: in labels, subjects, alternative names and file names, in every way of output.

Story.run looks at every byte of every answer; here are the inputs, and what must still be readable afterwards.
"""
import os
import subprocess
import sys

from story import KEYSTOW, RAW, SOFTHSM, Skip, claim, tell

A = ("--pin-source", "file:a.pin")
EVIL = "e\x1b[31m\x07\r\n\tv\x7f\u009b2J\u202ei\u2066l"
MODES = ([], ["--json"], ["-v"], ["--tree"])


def evil_p12(story):
    """A store whose label, subject, issuer and alternative names are all hostile."""
    name = EVIL.replace("\n", "").replace("\r", "").replace("\t", "")
    story.write("evil.cnf", "[req]\nprompt=no\nutf8=yes\nstring_mask=utf8only\ndistinguished_name=dn\nx509_extensions=x\n"
                f"[dn]\nCN={name}\nO=two\\nlines\n[x]\nsubjectAltName=email:{name}@x,URI:http://{'a' * 8}\x1b]0;x\x07\n")
    story.tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "e.key", "-out",
               "e.crt", "-config", "evil.cnf", "-days", "9")
    story.tool("openssl", "pkcs12", "-export", "-inkey", "e.key", "-in", "e.crt", "-name", EVIL, "-out", "e.p12", "-passout", "file:a.pin")
    return "p12:e.p12"


@claim
def labels_and_names_are_escaped_in_every_way_of_output(story):
    store = evil_p12(story)
    for mode in MODES:
        assert "e\\x1b" in story.ok("list", store, *mode, *A).out.lower().replace("\\u001b", "\\x1b"), mode
        if mode != ["--tree"]:
            story.ok("show", store, *mode, *A)
            story.run("verify", store, *mode, *A)
            story.ok("find", "e", store, *mode, *A)
            assert story.run("diff", store, "e.crt", *mode, *A).code == 1


@claim
def a_newline_in_a_label_makes_no_second_row_and_a_tab_no_cell(story):
    out = story.ok("list", evil_p12(story), *A).out
    assert out.count("\n") == 1 and out.count("\t") == 5, out


@claim
def json_keeps_the_exact_label(story):
    document = story.ok("list", evil_p12(story), "--json", *A).json()
    assert document["stores"][0]["entries"][0]["label"] == EVIL, document


@claim
def hostile_labels_can_be_named_and_renamed(story):
    store = evil_p12(story)
    story.ok("rename", f"{store}#{EVIL}", "tame", *A)
    story.ok("rename", f"{store}#tame", EVIL, *A)
    story.ok("rename", f"{store}#{EVIL}", EVIL + "2", "--json", *A)
    story.fails(3, 301, "show", f"{store}#{EVIL}", *A)


@claim
def writing_verbs_escape_what_they_tell(story):
    store = evil_p12(story)
    for mode in ([], ["--json"], ["-v"]):
        story.ok("copy", store, "p12:copy.p12", "--to-pin-source", "file:a.pin", "--replace", *mode, *A)
        story.ok("merge", "e.crt", "p12:copy.p12", "--adopt", *mode, *A)
        story.ok("remove", f"p12:copy.p12#{EVIL}", "--dry-run", *mode, *A)


@claim
def file_names_are_escaped(story):
    folder = "d\x1b[1m\u202e\n"
    os.mkdir(story.path(folder))
    evil_p12(story)
    os.rename(story.path("e.p12"), story.path(folder, "s.p12"))
    for mode in ([], ["--json"], ["-v"]):
        story.ok("list", f"p12:{folder}/s.p12", *mode, *A)
        story.ok("list", f"{folder}/s.p12", *mode, *A)
    story.fails(3, 301, "list", f"{folder}/absent")
    story.fails(3, 301, "list", f"{folder}:x")
    story.fails(3, 301, "merge", f"{folder}/absent", f"p12:{folder}/s.p12", *A)
    story.fails(4, 403, "list", f"p12:{folder}/s.p12", "--pin-source", f"file:{folder}/absent")


@claim
def words_on_the_command_line_are_escaped(story):
    for words in ([EVIL], ["ca", EVIL], ["list", "--" + EVIL], ["list", "-\x1b"], ["help", EVIL], ["list", "--wait", EVIL],
                  ["generate", "p12:x#y", "--type", EVIL], ["list", "a", "--pin-source", EVIL], ["completion", EVIL]):
        story.fails(2, 201, *words)
    story.fails(3, 301, "ca", "list", "--ca", EVIL)
    story.fails(3, 301, "ca", "list", "--ca", "@" + EVIL)


@claim
def labels_that_are_no_utf8_are_told_as_hexadecimal(story):
    token = story.token()
    story.ok("generate", f"{token};object=%ff%1bx", "--pin-source", "file:pin")
    document = story.ok("list", token, "--json", "--pin-source", "file:pin").json()
    labels = [(e.get("label"), e.get("label_hex")) for e in document["stores"][0]["entries"]]
    assert all(entry == (None, "ff1b78") for entry in labels) and labels, labels
    story.ok("list", token, "--pin-source", "file:pin")


@claim
def labels_of_tokens_are_escaped(story):
    story.token("x\x1b[2Jy")
    for mode in ([], ["--json"]):
        story.ok("token", "list", *mode)
        story.ok("list", *mode)
        story.ok("token", "info", "pkcs11:token=x%1b%5b2Jy", *mode)
    story.fails(3, 303, "token", "info", "pkcs11:token=x%1b")
    story.fails(4, 401, "generate", "pkcs11:token=x%1b%5b2Jy;object=%1b", "--pin-source", "file:b.pin")


@claim
def tables_on_a_terminal_carry_no_foreign_control_bytes(story):
    try:
        import pexpect
    except ImportError:
        raise Skip("python3-pexpect is not installed") from None
    store = evil_p12(story)
    for words in (["list", store], ["show", store], ["list", store, "--tree"]):
        child = pexpect.spawn(KEYSTOW, [*words, *A], cwd=story.dir, env={**story.env, "NO_COLOR": "1", "TERM": "xterm"}, timeout=30)
        text = child.read().replace(b"\r\n", b"\n")
        child.close()
        assert child.exitstatus == 0 and b"e\\x1b" in text and not RAW.search(text), text


if __name__ == "__main__":
    tell(sys.modules[__name__])
