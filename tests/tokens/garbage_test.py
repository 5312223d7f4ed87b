#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A token that signs garbage: what comes back is verified before anything is made of it, for each kind of key."""
import os

import stand

stand.need("openssl")
tap = stand.Tap()

with stand.Stand("walnut") as at:
    at.configure()
    token = "pkcs11:token=walnut"
    ca = at.path("ca")
    made = at.ks("ca", "init", ca, "--subject", "CN=Test CA", pin=None)
    tap.ok(made.rc == 0, "a CA is there", made)
    for kind in ("p256", "rsa:2048", "ed25519"):
        name = kind.split(":")[0]
        csr = at.path(name + ".csr")
        made = at.ks("generate", f"{token};object={name}", "--type", kind)
        got = at.ks("request", f"{token};object={name}", "--subject", "CN=a", "-o", csr, schedule="C_Sign * garbage")
        tap.ok(made.rc == 0 and got.rc != 0 and "walnut" in got.err and not os.path.exists(csr),
               f"{kind}: no request is made of it, and the sentence names the token", got)
        got = at.ks("enroll", f"{token};object={name}", "--ca", ca, "--subject", "CN=a", "--profile", "client",
                    schedule="C_Sign * garbage")
        listed = at.ks("ca", "list", "--ca", ca, pin=None)
        tap.ok(got.rc != 0 and "CN=a" not in listed.out and listed.rc == 0, f"{kind}: the CA never hears of it", listed)
        got = at.ks("request", f"{token};object={name}", "--subject", "CN=a", "-o", csr)
        tap.ok(got.rc == 0 and at.run(["openssl", "req", "-in", csr, "-verify", "-noout"]).rc == 0,
               f"{kind}: when the token signs again, openssl verifies the request", got)

tap.done()
