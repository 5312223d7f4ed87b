#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An NSS database from the command line, set up as docs/tokens.md says; certutil reads the result. Two databases are kept apart."""
import os
import re

import rig
import stand

tap = stand.Tap()


def documented(at, folder):
    """The example of docs/tokens.md for the database in that folder."""
    with open(os.path.join(os.environ["KEYSTOW_SOURCE"], "docs/tokens.md")) as file:
        example = re.search(r"```ini\n(.*?)```", file.read(), re.S)[1]
    return example.replace("/usr/lib/x86_64-linux-gnu/libsoftokn3.so", at.device.module).replace("/home/me/nss", folder)


with rig.Rig("nss-sql") as at:
    other = at.device.again()
    folders = [at.device.path("sql"), other.path("sql")]
    first = documented(at, folders[0])
    second = documented(at, folders[1]).replace("[module nss]", "[module nss2]").replace("[store nss]", "[store nss2]").replace(
        "module-name=nss", "module-name=nss2")
    at.write("config/keystow/config", first + second)
    at.ks("ca", "init", at.path("ca"), "--subject", "CN=CA", pin=None)
    got = at.ks("enroll", "@nss#key", "--type", "p256", "--ca", at.path("ca"), "--subject", "CN=me", "--profile", "client")
    tap.ok(got.rc == 0 and "issued" in got.out, "the documented configuration makes a database a token", got)
    got = at.run("certutil", "-L", "-d", "sql:" + folders[0])
    tap.ok(re.search(r"(?m)^key\s+u,u,u\s*$", got.out), "certutil lists the certificate as one with a private key", got)
    got = at.run("certutil", "-K", "-d", "sql:" + folders[0], "-f", at.path("pin"))
    tap.ok(re.search(r"\bec\b.*\bkey$", got.out, re.M), "certutil lists the key", got)

    at.write("wrong", "999999\n")
    said = at.ks("list", "@nss", "--trace", pin="wrong")
    tap.ok(said.rc == 4 and "C_Login(" in said.err, "a wrong PIN is sent to the one database", said)
    said = at.ks("list", "@nss2", "--trace", pin="wrong")
    tap.ok(said.rc == 4 and "C_Login(" in said.err, "and is not held back from the other, which has the same label and serial number", said)
    said = at.ks("list", "@nss2", "--trace", pin="wrong")
    tap.ok(said.rc == 4 and "C_Login(" not in said.err, "where it is known from then on", said)

    got = at.ks("copy", "@nss#key", "@nss2", "--trace", option="--to-pin-source")
    tap.ok(got.rc == 6 and "other init-args" in got.err, "a command over both is refused", got)
    tap.ok("C_Login(" not in got.err, "and no PIN went anywhere", got)
    got = at.ks("list", "@nss2")
    tap.ok(got.rc == 0 and "key" not in got.out, "the other database is empty", got)
tap.done()
