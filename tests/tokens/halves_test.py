#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Half a key pair: taken away while the token answers, else named together with the command that takes it away."""
import re
import shlex

import stand

stand.need("pkcs11-tool", "softhsm2-util")
tap = stand.Tap()
WALNUT = "pkcs11:token=walnut"

with stand.Stand("walnut") as at:
    at.configure()
    at.keep()
    for half in ("public", "private"):
        at.back()
        got = at.ks("generate", WALNUT + ";object=fresh", "--type", "p256", schedule=f"C_GenerateKeyPair 1 half {half}")
        tap.ok(got.rc == 8 and "walnut" in got.err and at.objects("walnut") == [],
               f"a {half} key that is left alone is removed while the token answers", f"{got}\n{at.objects('walnut')}")

        at.back()
        got = at.ks("generate", WALNUT + ";object=fresh", "--type", "p256",
                    schedule=f"C_GenerateKeyPair 1 half {half}\nC_DestroyObject * answer DEVICE_REMOVED")
        left = at.objects("walnut")
        tap.ok(got.rc == 8 and "keystow remove" in got.err and [kind for kind, _, _ in left] == [half + " key"],
               f"a {half} key that cannot be removed is told, with the command for it", f"{got}\n{left}")
        info = at.ks("token", "info", WALNUT)
        command = re.search(r"(?m)half-made.*fresh.*; (keystow remove .*)$", info.out)
        tap.ok(info.rc == 0 and command, f"token info names the {half} key and the command that removes it", info)
        if command:
            gone = at.ks(*shlex.split(command[1])[1:])
            tap.ok(gone.rc == 0 and at.objects("walnut") == [], f"that command removes the {half} key", gone)

    at.back()
    at.ks("generate", WALNUT + ";object=dear", "--type", "p256")
    dear = at.objects("walnut")
    for half in ("public", "private"):
        got = at.ks("generate", WALNUT + ";object=fresh", "--type", "p256",
                    schedule=f"C_GenerateKeyPair 1 half {half}\nC_FindObjectsInit * wide")
        tap.ok(got.rc == 8 and len(dear) == 2 and at.objects("walnut") == dear,
               f"a search that finds too much costs no other key when a {half} key is removed", f"{got}\n{at.objects('walnut')}")

tap.done()
