# SPDX-License-Identifier: Apache-2.0
"""The commands that keystow prints for a SmartCard-HSM, which wraps keys by a way of its own: a person pastes them, so a test does."""
import re

import pexpect

import rig

SHARE = bytes(range(32))
PASSWORD = "a long pass word"


def at_terminal(at, command, *answers):
    """Runs a pasted command on a terminal, where it asks for its secrets: exit status and what was said."""
    argv = at.inside(["sh", "-c", command])
    program = pexpect.spawn(argv[0], argv[1:], env={**at.env, "TERM": "dumb"}, cwd=at.dir, timeout=5 * rig.SAFETY, encoding="utf-8")
    said = ""
    for answer in answers:
        if program.expect([r": ?$", pexpect.EOF]) == 1:
            break
        said += program.before + str(program.after)
        program.sendline(answer)
    program.expect(pexpect.EOF)
    program.close()
    return program.exitstatus, said + program.before


def printed(at, tap):
    """What a backup says of a key that stays: the commands in their order."""
    at.ks("generate", at.entry("stays"), "--type", "p256")
    got = at.ks("token", "backup", at.device.uri, "-o", at.path("b"))
    commands = re.findall(r"((?:sc-hsm-tool|pkcs15-tool) --[^;\[\n]+)", got.err.split("next: ")[-1])
    tap.ok(got.rc == 6 and len(commands) == 6 and "keystow token twin" in got.err,
           "a backup of a card's keys is refused, and prints the twin and the card's own way", got)
    return [command.strip() for command in commands]


def public_key(at, uri, label):
    """The key's public half, out of a request that it signed; openssl verifies that first."""
    path = at.path(f"{label}.csr")
    at.ks("request", f"{uri};object={label}", "--subject", "CN=x", "-o", path, "--replace")
    said = at.openssl("req", "-in", path, "-verify", "-noout", "-pubkey")
    return said.out if "verify OK" in said.err else None


def travel(at, tap, shares_in_files):
    """
    A key goes from one card to another by the printed commands and no others; one card is in a reader at a time. sc-hsm-tool derives a
    password for twenty seconds of a processor; without `shares_in_files` the cards get their share directly.
    """
    device, other = at.device, at.device.again()
    create, init, take, look, wrap, unwrap = printed(at, tap)

    def step(command, *answers):
        status, said = at_terminal(at, command, *answers)
        return said if tap.ok(status == 0, f"it runs: {command}", said) else said

    def share(one):
        if shares_in_files:
            step(take, PASSWORD)
        else:
            at.run("opensc-tool", "--reader", str(one.reader), "--send-apdu", ":".join(f"{b:02x}" for b in (0x80, 0x52, 0, 0, 32, *SHARE, 0)))

    other.pull()
    if shares_in_files:
        step(create, PASSWORD, PASSWORD)
    step(init.replace("NAME", device.label), device.so_pin, device.pin)
    share(device)
    for label in ("first", "traveller"):
        at.ks("generate", at.entry(label), "--type", "p256")
    before = public_key(at, device.uri, "traveller")
    number = re.search(r"\[traveller\](?:.|\n)*?Key ref\s+: (\d+)", step(look))[1]
    step(wrap.replace(" N", " " + number), device.pin)
    device.pull()
    other.push()
    step(init.replace("NAME", other.label), other.so_pin, other.pin)
    share(other)
    step(unwrap.replace(" N", " " + number), other.pin)
    after = public_key(at, other.uri, "traveller")
    tap.ok(before and before == after, "the other card has the same key: openssl verifies what it signed there", f"{before}\n{after}")
    device.push()
