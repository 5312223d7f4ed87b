#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is typed and what is told: options, help, completions, the man page."""
import json
import os
import re
import shutil
import subprocess
import sys

from story import HERE, KEYSTOW, Skip, claim, tell


def commands(story):
    return [c["name"] for c in story.ok("help", "--json").json()["commands"]]


def options(story, command):
    return story.ok("help", *command.split(), "--json").json()["options"]


@claim
def version_is_one_line(story):
    result = story.ok("--version")
    assert result.out.startswith("keystow ") and result.out.count("\n") == 1


@claim
def nothing_typed_is_a_usage_error(story):
    story.fails(2, 201)


@claim
def a_slip_of_the_finger_gets_the_right_word(story):
    for words, meant in ((["lsit"], "list"), (["enrol"], "enroll"), (["ca", "sing"], "ca sign"), (["tokn", "list"], "token")):
        assert f"did you mean keystow {meant}" in story.fails(2, 201, *words).err, words
    assert "did you mean --expires-within" in story.fails(2, 201, "list", "--expires-withn", "3d").err


@claim
def long_options_are_not_abbreviated(story):
    story.fails(2, 201, "list", "--expires", "30d")
    story.fails(2, 201, "merge", "--allow-shrin", "a", "b")


@claim
def a_command_takes_only_its_own_options(story):
    assert "list does not take --subject" in story.fails(2, 201, "list", "--subject", "CN=x").err


@claim
def values_are_checked_before_anything_is_done(story):
    for words in (["list", "--expires-within", "soon"], ["list", "--expires-within", "30"], ["list", "--wait", "0"],
                  ["list", "--wait", "-3"], ["list", "--max-iterations", "99999999999999999999999"],
                  ["generate", "p12:x#y", "--type", "rsa:12"], ["list", "--config"], ["list", "--json=yes"],
                  ["list", "--config", "a", "--config", "b"], ["list", ""]):
        story.fails(2, 201, *words)


@claim
def options_may_stand_anywhere_and_end_at_two_dashes(story):
    assert story.run("--json", "help", "types").json()["types"]
    story.fails(3, 301, "list", "--", "--no-such-file")


@claim
def a_secret_given_as_source_is_not_repeated(story):
    result = story.fails(2, 201, "list", "p12:a.p12", "--pin-source", "hunter2")
    assert "hunter2" not in result.err


@claim
def every_command_has_help_with_three_examples(story):
    for command in commands(story):
        result = story.ok("help", *command.split())
        assert result.out.startswith(f"usage: keystow {command}"), result
        assert result.out.count(f"keystow {command}") >= 4, result
        assert story.ok(*command.split(), "--help").out == result.out


@claim
def every_command_has_a_golden_document(story):
    kept = {name[:-5] for name in os.listdir(os.path.join(HERE, "golden"))}
    assert kept == {command.replace(" ", "-") for command in commands(story)}


@claim
def help_prints_a_golden_document(story):
    story.golden("help", "help", "completion")


@claim
def help_explains_every_kind_of_word(story):
    assert "exit code 4" in story.ok("help", "KS-0402").out
    assert story.ok("help", "402").out == story.ok("help", "ks-0402").out
    assert "mutual" in story.ok("help", "profiles").out
    assert "ed25519" in story.ok("help", "types").out
    assert "p12" in story.ok("help", "stores").out
    assert "ca sign" in story.ok("help", "ca").out


@claim
def help_explains_every_code_of_cryptoki_by_name_and_number(story):
    include = subprocess.run(["pkg-config", "--variable=includedir", "p11-kit-1"], capture_output=True, text=True).stdout.strip()
    header = next((f for f in (f"{include}/p11-kit-1/p11-kit/pkcs11.h", "/usr/include/p11-kit-1/p11-kit/pkcs11.h") if os.path.exists(f)), None)
    if not header:
        raise Skip("pkcs11.h of p11-kit is not installed")
    with open(header) as file:
        codes = re.findall(r"#define\s+(CKR_\w+)\s+\(\(?(?:unsigned long\) ?\()?(0x[0-9a-fA-F]+|\d+)", file.read())
    assert len(codes) > 90, codes
    for name, number in codes:
        number = 1 << 31 if name == "CKR_VENDOR_DEFINED" else int(number, 0)
        said = story.ok("help", name)
        assert said.out.startswith(f"{name}  0x{number:08x}"), said
        assert story.ok("help", hex(number)).out == said.out, name
        parts = story.ok("help", name, "--json").json()
        assert all(len(parts[part]) > 5 for part in ("meaning", "causes", "next")), parts
    assert "CKR_VENDOR_DEFINED" in story.ok("help", "0x80001234").out


@claim
def help_explains_every_code_of_keystow(story):
    with open(os.path.join(HERE, "../../include/keystow/keystow.h")) as file:
        codes = re.findall(r"\b(?:KS_E|KS_NO_)\w+ = -(\d+),", file.read())
    assert len(codes) > 40, codes
    for code in codes:
        said = story.ok("help", f"KS-{int(code):04d}", "--json").json()
        assert len(said["title"]) > 5 and len(said["advice"]) > 5, said


@claim
def help_refuses_what_it_does_not_know(story):
    assert "did you mean keystow help CKR_PIN_INCORRECT" in story.fails(2, 201, "help", "CKR_PIN_INCORECT").err
    story.fails(2, 201, "help", "0x77777")
    story.fails(2, 201, "help", "KS-0999")
    assert "did you mean keystow help profiles" in story.fails(2, 201, "help", "profile").err
    story.fails(2, 201, "help", "list", "list", "list")


@claim
def a_full_device_is_an_error_and_not_a_short_answer(story):
    with open("/dev/full", "wb") as full:
        result = story.run("help", stdout=full)
    assert result.code == 8 and "KS-0805" in result.err, result


@claim
def closed_streams_do_no_harm(story):
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"exec {KEYSTOW} help {closed}"], capture_output=True, env=story.env)
        assert done.returncode == (8 if ">&- " in closed + " " and "2>&-" != closed else 0), (closed, done)


@claim
def the_answer_and_the_remark_behind_it_keep_their_order_in_one_file(story):
    story.p12()
    words = f"{KEYSTOW} remove p12:a.p12#web --pin-source file:a.pin --dry-run 2>&1"
    done = subprocess.run(["sh", "-c", words], capture_output=True, env=story.env, cwd=story.dir)
    assert done.stdout.decode().splitlines()[-1].endswith("nothing was changed"), done


@claim
def a_reader_that_leaves_early_causes_no_signal(story):
    done = subprocess.run(["bash", "-c", f"{KEYSTOW} help --json | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, env=story.env)
    assert int(done.stdout) in (0, 8), done


@claim
def the_man_page_mentions_every_command_and_option(story):
    page = story.ok("help", "--man-options").out
    for command in commands(story):
        assert f"*keystow {command}*" in page, command
        for option in options(story, command):
            assert f"*--{option['name']}*" in page, option
    if not shutil.which("scdoc"):
        raise Skip("scdoc is not installed")
    made = os.path.join(os.environ["KEYSTOW_BUILD"], "docs", "keystow.1")
    with open(made, encoding="utf-8") as file:
        text = file.read().replace("\\-", "-")
    for command in commands(story):
        for option in options(story, command):
            assert f"--{option['name']}" in text, option


# ---- the configuration ----

@claim
def a_mistake_in_the_configuration_is_named_with_its_line(story):
    story.write("conf", "[store a]\nuri = p12:a.p12\n\n[defaults]\nwiat = 3\n")
    result = story.fails(2, 203, "list", "--config", "conf")
    assert "conf" in result.err and "5" in result.err and "wait" in result.err, result
    story.write("conf", "[defaults]\nwait = soon\n")
    story.fails(2, 203, "list", "--config", "conf")
    story.fails(3, 301, "list", "--config", "absent")


@claim
def stores_have_names_in_the_configuration(story):
    story.p12()
    story.write("conf", f"[store alice]\nuri = p12:{story.path('a.p12')}\npin-source = file:a.pin\n")
    assert "web" in story.ok("list", "@alice", "--config", "conf").out
    assert "web" in story.ok("show", "@alice#web", "--config", "conf").out
    assert story.run("list", "@alicia", "--config", "conf").code in (2, 3)


# ---- completions ----

def complete(story, *words):
    """What bash would offer for the last of `words`."""
    script = story.write("completion", story.ok("completion", "bash").out)
    quoted = " ".join(f"'{w}'" for w in words)
    done = subprocess.run(["bash", "-c", f"source {script}; COMP_WORDS=(keystow {quoted}); COMP_CWORD={len(words)}; _keystow; "
                           "printf '%s\\n' \"${COMPREPLY[@]}\""], capture_output=True, text=True, cwd=story.dir, env=story.env)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout.split()


@claim
def bash_completes_commands(story):
    assert complete(story, "enr") == ["enroll"]
    assert complete(story, "token", "p") == ["pin"]
    assert set(complete(story, "ca", "")) == {"init", "sign", "list"}


@claim
def bash_completes_the_options_of_the_command_only(story):
    offered = complete(story, "ca", "sign", "--")
    assert set(offered) == {"--" + o["name"] for o in options(story, "ca sign")}
    assert "--profile" in offered and "--adopt" not in offered


@claim
def bash_completes_values(story):
    assert "mutual" in complete(story, "enroll", "--profile", "m")
    assert "ed25519" in complete(story, "generate", "--type", "ed")
    assert complete(story, "completion", "z") == ["zsh"]
    story.write("bundle.pem", "")
    os.mkdir(story.path("bunch"))
    assert complete(story, "merge", "bun") == ["bunch", "bundle.pem"] or set(complete(story, "merge", "bun")) == {"bunch", "bundle.pem"}
    assert complete(story, "ca", "list", "--ca", "bun") == ["bunch"]


@claim
def bash_zsh_and_fish_scripts_parse(story):
    checked = 0
    for shell, check in (("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")):
        script = story.write(shell, story.ok("completion", shell).out)
        if shutil.which(shell):
            story.tool(shell, check, script)
            checked += 1
    assert checked


@claim
def completion_prints_a_golden_document(story):
    document = story.ok("completion", "bash", "--json").json()
    assert document["script"] == story.ok("completion", "bash").out
    story.write("whole", json.dumps(document))
    for option in ("--subject", "--pin-source"):
        assert option in document["script"]
    story.golden("completion", "completion", "csh", code=2)


@claim
def completion_refuses_other_shells(story):
    story.fails(2, 201, "completion", "csh")
    story.fails(2, 201, "completion")
    story.fails(2, 201, "completion", "bash", "zsh")


if __name__ == "__main__":
    tell(sys.modules[__name__])
