#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where secrets come from: files, descriptors, the environment, commands, and a person at a terminal."""
import os
import signal
import sys

from story import KEYSTOW, PIN, Skip, claim, ended, pexpect, tell

@claim
def every_source_opens_the_store(story):
    store = story.p12()
    story.ok("list", store, "--pin-source", "file:a.pin")
    story.ok("list", f"{store}?pin-source=file:a.pin")
    story.ok("list", store, "--pin-source", "env:STORY", env={"STORY": "correct horse"})
    story.ok("list", store, "--pin-source", "cmd:cat a.pin")
    with open(story.path("a.pin"), "rb") as file:
        story.ok("list", store, "--pin-source", f"fd:{file.fileno()}", pass_fds=(file.fileno(),))
    story.ok("list", store, "--pin-source", "fd:0", stdin=b"correct horse\n")


@claim
def a_source_that_gives_nothing_is_told(story):
    store = story.p12()
    story.write("empty", "")
    story.write("link-target", "correct horse\n")
    for source, words in (("file:absent", "cannot be opened"), ("file:empty", "the secret's file empty is empty"),
                          ("env:STORY_ABSENT", "not set"), ("fd:999", "not open"), ("cmd:exit 3", "exit code 3"), ("cmd:true", "empty"), ("cmd:echo x; exit 3", "exit code 3"), ("file:/", "regular file")):
        assert words in story.fails(4, 403, "list", store, "--pin-source", source).err, source
    story.fails(2, 201, "list", store, "--pin-source", "fd:x")
    story.fails(2, 201, "list", store, "--pin-source", "fil:a.pin")


@claim
def the_environment_does_not_show_the_secret_any_longer(story):
    """The command that fetches the second secret looks at what is left of the first one; without root it may not even look."""
    store = story.p12()
    look = "cmd:cat /proc/$PPID/environ 2>/dev/null | tr '\\0' '\\n' >environ; env >inherited; cat b.pin"
    story.ok("copy", store, "p12:b.p12", "--pin-source", "env:STORY", "--to-pin-source", look, env={"STORY": "correct horse"})
    assert b"PATH=" in story.read("inherited") and b"correct horse" not in story.read("inherited")
    assert b"correct horse" not in story.read("environ")


@claim
def a_secret_is_not_tried_on_the_second_store(story):
    story.p12()
    story.p12("b.p12", "web", "a.pin")
    result = story.run("list", "p12:a.p12", "p12:b.p12", "--pin-source", "file:a.pin", "--json")
    assert [s["exit"] for s in result.json()["stores"]] == [0, 4], result


@claim
def no_secret_is_ever_told(story):
    store = story.p12()
    for argv in (["list", store, "--pin-source", "file:a.pin", "-v", "--trace"], ["list", store, "--pin-source", "file:b.pin", "-v"],
                 ["passwd", store, "--pin-source", "file:b.pin", "--new-pin-source", "file:a.pin", "-v"],
                 ["copy", store, "p12:new.p12", "--pin-source", "file:a.pin", "--to-pin-source", "file:b.pin", "-v"]):
        result = story.run(*argv)
        for secret in ("correct horse", "battery staple"):
            assert secret not in result.out + result.err, result


# ---- a person at a terminal ----

@claim
def a_person_is_asked_without_echo(story):
    child = story.terminal("list", story.p12())
    child.expect("password for p12:a.p12: ")
    child.sendline("correct horse")
    code, text = ended(child)
    assert code == 0 and "web" in text and "correct horse" not in text, text


@claim
def a_wrong_password_is_told_and_not_asked_again(story):
    child = story.terminal("list", story.p12())
    child.expect("password for")
    child.sendline("wrong horse")
    code, text = ended(child)
    assert code == 4 and "KS-0402" in text and "wrong horse" not in text, text


@claim
def a_new_password_is_asked_twice(story):
    child = story.terminal("new", "p12:n.p12")
    for answer in ("one", "two", "three", "three"):
        child.expect(["new password for p12:n.p12: ", "the same again: "])
        child.sendline(answer)
    code, text = ended(child)
    assert code == 0, text
    story.write("three", "three\n")
    story.ok("list", "p12:n.p12", "--pin-source", "file:three")


@claim
def a_cancelled_question_changes_nothing_and_leaves_the_echo_on(story):
    if not pexpect:
        raise Skip("python3-pexpect is not installed")
    story.p12()
    child = pexpect.spawn("/bin/sh", ["-c", f"trap : INT; {KEYSTOW} passwd p12:a.p12; echo code $?; stty -a"], cwd=story.dir,
                          env={**story.env, "TERM": "xterm"}, timeout=20)
    child.expect("password for")
    child.sendintr()
    code, text = ended(child)
    assert "code 4" in text and "KS-0404" in text and " echo " in text.replace("\r\n", " "), text


@claim
def a_new_password_typed_differently_three_times_makes_nothing(story):
    child = story.terminal("new", "p12:n.p12")
    for answer in range(6):
        child.expect(["new password for p12:n.p12: ", "the same again: "])
        child.sendline(f"answer {answer}")
    code, text = ended(child)
    assert code == 4 and "KS-0404" in text and "differed three times" in text and not story.has("n.p12"), text


@claim
def a_program_that_is_ended_while_it_asks_leaves_the_echo_on(story):
    if not pexpect:
        raise Skip("python3-pexpect is not installed")
    story.p12()
    child = pexpect.spawn("/bin/sh", ["-c", f"{KEYSTOW} list p12:a.p12 & echo pid $!; fg 2>/dev/null; wait $!; echo code $?; stty -a"],
                          cwd=story.dir, env={**story.env, "TERM": "xterm"}, timeout=20)
    child.expect(r"pid (\d+)")
    pid = int(child.match.group(1))
    child.expect("password for")
    os.kill(pid, signal.SIGTERM)
    code, text = ended(child)
    assert f"code {128 + signal.SIGTERM}" in text and " echo " in text.replace("\r\n", " "), text


@claim
def a_terminal_that_closes_is_no_answer(story):
    child = story.terminal("list", story.p12())
    child.expect("password for")
    child.sendeof()
    code, text = ended(child)
    assert code == 4 and "KS-0404" in text and "closed" in text, text


@claim
def no_input_asks_nobody_even_on_a_terminal(story):
    code, text = ended(story.terminal("list", story.p12(), "--no-input"))
    assert code == 4 and "KS-0403" in text, text


@claim
def a_script_without_a_terminal_is_never_asked(story):
    result = story.fails(4, 403, "list", story.p12())
    assert "name a source: --pin-source" in result.err


@claim
def a_missing_source_is_named_by_the_option_that_gives_it(story):
    store, token = story.p12(), story.token()
    story.bundle()
    A, P = ("--pin-source", "file:a.pin"), ("--pin-source", "file:pin")
    for option, *words in (("--new-pin-source", "passwd", store, *A), ("--new-pin-source", "token", "pin", token, *P),
                           ("--so-pin-source", "token", "pin", token, "--unblock", "--new-pin-source", "file:pin"),
                           ("--so-pin-source", "token", "init", token, "--label", "again", *P),
                           ("behind its address: ?pin-source=", "copy", store, "p12:new.p12", *A),
                           ("behind its address: ?pin-source=", "merge", "bundle.pem", f"{store}?pin-source=file:a.pin", store)):
        said = story.fails(4, 403, *words).err
        assert f"name a source: {option}" in said or f"name a source {option}" in said, (option, said)
    assert "needs a new password" in story.fails(4, 403, "passwd", store, *A).err


@claim
def the_question_for_a_pin_names_the_token(story):
    token = story.token()
    serial = next(t["serial"] for t in story.ok("token", "list", "--json").json()["tokens"] if t["initialized"])
    child = story.terminal("generate", f"{token};object=k")
    child.expect(f"PIN for token story .serial {serial}")
    child.sendline(PIN)
    code, text = ended(child)
    assert code == 0 and PIN not in text, text


if __name__ == "__main__":
    tell(sys.modules[__name__])
