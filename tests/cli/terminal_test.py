#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a person sees: tables, trees, colour, and that work goes on."""
import fcntl
import os
import sys

from story import SOFTHSM, claim, ended, tell


@claim
def a_table_on_a_terminal_has_headings_and_a_pipe_has_none(story):
    store = story.p12()
    code, text = ended(story.terminal("list", store, "--pin-source", "file:a.pin"))
    assert code == 0 and text.startswith("NAME") and "in 36" in text, text
    assert not story.ok("list", store, "--pin-source", "file:a.pin").out.startswith("NAME")


@claim
def colour_is_only_for_terminals_and_can_be_forbidden(story):
    story.tool("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k", "-out",
               "soon.pem", "-subj", "/CN=soon", "-days", "2")
    code, text = ended(story.terminal("list", "soon.pem"))
    assert code == 0 and "! renew" in text and "\x1b[" in text, text
    code, text = ended(story.terminal("list", "soon.pem", env={"NO_COLOR": "1"}))
    assert code == 0 and "\x1b[" not in text, text
    assert "\x1b" not in story.ok("list", "soon.pem").out
    assert os.path.exists(story.path("soon.pem"))


@claim
def a_long_list_is_not_held_back_for_a_layout(story):
    story.openssl_key("x", "/CN=x")
    stores = ["x.crt"] * 510
    code, text = ended(story.terminal("list", *stores))
    assert code == 0 and "NAME" not in text and text.count("x.crt\t") == 510, text[-500:]


@claim
def a_chain_stands_under_its_entry(story):
    story.ca()
    story.ok("enroll", "p12:e.p12#web", "--pin-source", "file:a.pin", "--ca", "ca", "--subject", "CN=me", "--profile", "client")
    code, text = ended(story.terminal("list", "p12:e.p12", "--tree", "--pin-source", "file:a.pin", env={"NO_COLOR": "1"}))
    assert code == 0 and "\u2514\u2500CN=Story CA,O=Stories" in text, text
    piped = story.ok("list", "p12:e.p12", "--tree", "--pin-source", "file:a.pin").out.splitlines()
    assert piped[0].startswith("web\t") and piped[1].startswith("> CN=Story CA"), piped
    assert "chain     CN=Story CA" in story.ok("show", "p12:e.p12#web", "--pin-source", "file:a.pin").out


@claim
def trusted_cas_of_stores_that_nobody_named_are_counted(story):
    story.ok("merge", story.bundle(), story.p12(), "--pin-source", "file:a.pin")
    story.token()  # only this module is asked, not those that the host has configured
    story.write("conf", f"[defaults]\nmodule = {SOFTHSM}\n[store alice]\nuri = p12:{story.path('a.p12')}\npin-source = file:a.pin\n")
    short, whole = story.ok("list", "--config", "conf"), story.ok("list", "--all", "--config", "conf")
    assert (short.out.count("\n"), whole.out.count("\n")) == (1, 4), short
    assert "3 trusted CAs" in short.err and "--all" in short.err, short
    assert len(story.ok("list", "--json", "--config", "conf").json()["stores"][0]["entries"]) == 4


@claim
def a_slow_token_is_seen_to_work(story):
    token = story.token()
    story.write("config/keystow/config", f"[defaults]\nmodule = {os.environ['KEYSTOW_BALKY']}\n")
    story.env.update(BALKY_MODULE=SOFTHSM, BALKY_SCHEDULE=story.write("schedule", "C_GenerateKeyPair 1 sleep 1500\n"))
    code, text = ended(story.terminal("generate", f"{token};object=k", "--pin-source", "file:pin"))
    assert code == 0 and "story: C_GenerateKeyPair, 1 s" in text and "\r\x1b[K" in text, text
    assert "C_GenerateKeyPair" not in story.ok("generate", f"{token};object=k2", "--pin-source", "file:pin").err


@claim
def waiting_for_another_writer_is_seen(story):
    store = story.p12()
    lock = os.open(story.path(".a.p12.keystow-lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    child = story.terminal("rename", f"{store}#web", "site", "--pin-source", "file:a.pin")
    child.expect(r"waiting for another writer: \d+ of \d+")
    os.close(lock)
    code, text = ended(child)
    assert code == 0 and "\r\x1b[K" in text, text
    assert story.ok("list", store, "--pin-source", "file:a.pin").out.startswith("site\t")


if __name__ == "__main__":
    tell(sys.modules[__name__])
