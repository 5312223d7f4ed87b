#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a token is asked grows with what is on it, and no faster: never one search for each key.

SoftHSM looks at every object for every search, so a search a key made others take half an hour over 10,000 objects.
"""
import stand

stand.need("softhsm2-util")
tap = stand.Tap()
FEW, MANY = 4, 24


def calls(result, name):
    return sum(call.name == name for call in result.calls)


def asked(at, entries, *args):
    """What a command that works asked of the token, when `entries` keys with certificates are on it."""
    got = at.ks(*args)
    if got.rc:
        tap.ok(False, f"{args[0]} works on {entries} entries", got)
    return calls(got, "C_FindObjectsInit"), calls(got, "C_GetAttributeValue"), calls(got, "C_OpenSession")


with stand.Stand("walnut") as at:
    at.configure()
    walnut = "pkcs11:token=walnut"
    at.run([at.keystow, "ca", "init", at.path("ca"), "--subject", "CN=Test CA"])
    commands = {"list": ["list", "--all", walnut], "show": ["show", walnut + ";object=key-1"], "find": ["find", "key-1", walnut],
                "verify": ["verify", walnut + ";object=key-1"], "diff": ["diff", walnut, walnut]}
    seen = {}
    for entries in (FEW, MANY):
        at.write("list", "".join(f"key-{n}\tCN=user {n}\n" for n in range(1, entries + 1)))
        made = at.ks("enroll", walnut, "--from", at.path("list"), "--ca", at.path("ca"), "--profile", "client")
        if entries == MANY:
            per_key = calls(made, "C_FindObjectsInit")
            tap.ok(made.rc == 0 and per_key < MANY / 2, f"enrolling {MANY - FEW} keys searches the token {per_key} times", made)
        for name, command in commands.items():
            seen[name, entries] = asked(at, entries, *command)
    for name in commands:
        few, many = seen[name, FEW], seen[name, MANY]
        tap.ok(few[0] == many[0] > 0, f"{name}: {many[0]} searches, however many keys there are", seen)
        tap.ok(few[2] == many[2], f"{name}: {many[2]} sessions, however many keys there are", seen)
        # Key, public key and certificate of each entry, read in one batch, and once more where a value is longer than expected;
        # a command that looks at two stores looks twice.
        tap.ok((many[1] - few[1]) <= many[0] * 2 * 3 * (MANY - FEW), f"{name}: at most two reads an object", seen)
tap.done()
