#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A check that can be taken out without a test turning red is not tested: ten checks against lies, each taken out in turn.

The sources are copied and built once; for each row the check is taken out, the program is built again, and the named lie of lies.py
has to be believed, which hostile_test.py must notice. Before and after, with all checks in place, the same lies must not be.
"""
import os
import re
import shutil
import subprocess
import tempfile

import stand

PKCS11 = "engines/pkcs11/"

# (the lie that turns red, file, the check, what stands there without it)
CHECKS = [
    ("length one more than there is room for", PKCS11 + "calls.c", "else if (attributes[i].ulValueLen > rooms[i])",
     "else if (attributes[i].ulValueLen > rooms[i] && !rooms)"),
    ("search gives everything twice", PKCS11 + "calls.c", "if (!rising(found, *count)) {",
     "if (!rising(found, *count) && !found) {"),
    ("search gives handle 0", PKCS11 + "calls.c", "return *count && found[0] == CK_INVALID_HANDLE ? KS_CKR_HANDLE : CKR_OK;",
     "return CKR_OK;"),
    ("C_DestroyObject destroys nothing", PKCS11 + "calls.c",
     "return still.ulValueLen == sizeof(class) && class != CK_UNAVAILABLE_INFORMATION ? KS_CKR_KEPT : CKR_OK;", "return CKR_OK;"),
    ("class of 4 bytes", PKCS11 + "object.c", "told != CK_UNAVAILABLE_INFORMATION && told != 0 && told != size",
     "told != CK_UNAVAILABLE_INFORMATION && told > 8 && told != size"),
    ("login that the session does not show", PKCS11 + "login.c", "rc = login_believe(token, session);", "rc = 0 * !login_believe;"),
    ("C_SetAttributeValue sets nothing", PKCS11 + "apply.c", "rv = name_kept(applying, handle, &attributes[i]);",
     "rv = name_kept ? CKR_OK : CKR_CANCEL;"),
    ("public half of another pair", PKCS11 + "keygen.c", "if (rc == 0 && !private_key->always_authenticate && !making->wish->signs_next)",
     "if (rc == 0 && !private_key)"),
    ("second signature is wrong", PKCS11 + "pkey_sign.c", "return ok || ks_p11_key_raise(signing->key, KS_CKR_SIGNATURE);\n}\n\nstatic int sign_hash",
     "return ok || true;\n}\n\nstatic int sign_hash"),
    ("exit(0) in a call", "src/cli/watchdog.c", "atexit(on_exit_inside);", "if (!on_exit_inside)\n\t\treturn;"),
]


def copied():
    """The sources that git knows, in a folder of their own."""
    root = tempfile.mkdtemp(prefix="keystow-mutations-")
    source = os.environ["KEYSTOW_SOURCE"]
    listed = subprocess.run(["git", "-C", source, "ls-files", "-z"], check=True, capture_output=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if os.path.isfile(os.path.join(source, name)):
            os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
            shutil.copy(os.path.join(source, name), os.path.join(root, name))
    return root


def build(root):
    return subprocess.run(["ninja", "-C", os.path.join(root, "build"), "keystow"], capture_output=True, text=True)


def trial(root, *lies):
    """The lies that were believed, and all that was said of it."""
    env = {**os.environ, "KEYSTOW": os.path.join(root, "build/keystow")}
    test = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile_test.py")
    got = subprocess.run(["python3", test, *lies], env=env, capture_output=True, text=True)
    return [lie for lie in lies if re.search(rf"(?m)^not ok \d+ - {re.escape(lie)} \(", got.stdout)], got.stdout + got.stderr


def without(tap, root, lie, path, check, instead):
    name = os.path.join(root, path)
    with open(name) as file:
        text = file.read()
    if text.count(check) != 1:
        tap.ok(False, f"{lie}: the check stands once in {path}", f"{text.count(check)} times: {check}")
        return
    with open(name, "w") as file:
        file.write(text.replace(check, instead))
    built = build(root)
    believed, said = trial(root, lie) if built.returncode == 0 else ([], built.stdout)
    tap.ok(believed == [lie], f"{lie}: without the check in {path} it is believed, and the test turns red", said)
    with open(name, "w") as file:
        file.write(text)


def main():
    stand.need("meson", "ninja", "git", "pkcs11-tool", "openssl")
    tap = stand.Tap()
    root = copied()
    try:
        made = subprocess.run(["meson", "setup", os.path.join(root, "build"), root], capture_output=True, text=True)
        built = build(root)
        tap.ok(made.returncode == 0 and built.returncode == 0, "the copy is built", made.stdout + built.stdout)
        believed, said = trial(root, *[row[0] for row in CHECKS])
        tap.ok(not believed and "1.." in said, "with all checks in place none of the lies is believed", said)
        for row in CHECKS:
            without(tap, root, *row)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    tap.done()


main()
