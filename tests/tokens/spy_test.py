#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The spy module: what another program asks of its module is told call by call, and the secrets that OpenSC's spy writes are not."""
import base64
import os
import re
import stat
import subprocess

import stand

stand.need("pkcs11-tool", "openssl", "softhsm2-util")
tap = stand.Tap()
SPY = os.environ["KEYSTOW_SPY"]
OPENSC = next((p for p in ("/usr/lib/x86_64-linux-gnu/pkcs11/pkcs11-spy.so", "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so",
                           "/usr/lib/pkcs11/pkcs11-spy.so") if os.path.exists(p)), None)
PIN, NEW_PIN = "Zq7w-canary-91", "Zq8x-canary-37"


def faces(data):
    raw = data if isinstance(data, bytes) else data.encode()
    spaced = re.sub("(..)", r"\1 ", raw.hex()).strip()
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), spaced.encode(), spaced.upper().encode(), base64.b64encode(raw)[:-4]]


def shows(path, data):
    with open(path, "rb") as file:
        text = file.read()
    return any(face in text for face in faces(data))


def plain(line):
    """A line without time, thread and duration, which differ from run to run."""
    return re.sub(r", \d+ us", "", re.sub(r"^(trace: )?\S+ \d+ ", "", line)).split(" token ")[0]


with stand.Stand() as at:
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "walnut", "--so-pin", stand.SO_PIN, "--pin", PIN],
                   env=at.env, check=True, capture_output=True)
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-outform", "DER",
                    "-out", at.path("key.der")], check=True, capture_output=True)
    text = subprocess.run(["openssl", "pkey", "-inform", "DER", "-in", at.path("key.der"), "-noout", "-text"],
                          check=True, capture_output=True, text=True).stdout
    scalar = bytes.fromhex(re.sub(r"[\s:]", "", re.search(r"priv:(.*?)pub:", text, re.S)[1]))[-32:]
    at.write("message", "a message to sign")

    def tool(module, *args):
        env = {**at.env, "KEYSTOW_SPY_MODULE": stand.SOFTHSM, "KEYSTOW_SPY_OUTPUT": at.path("ours"),
               "PKCS11SPY": stand.SOFTHSM, "PKCS11SPY_OUTPUT": at.path("theirs")}
        return subprocess.run(["pkcs11-tool", "--module", module, "--token-label", "walnut", *args], env=env, cwd=at.dir,
                              capture_output=True, text=True, timeout=stand.SAFETY)

    def work(module, pin, new):
        """A login, a key made, one brought along, a signature, and a change of the PIN."""
        yield tool(module, "--login", "--pin", pin, "--keypairgen", "--key-type", "EC:prime256v1", "--label", "made", "--id", "01")
        yield tool(module, "--login", "--pin", pin, "--write-object", at.path("key.der"), "--type", "privkey", "--label", "brought",
                   "--id", "02")
        yield tool(module, "--login", "--pin", pin, "--sign", "--mechanism", "ECDSA", "--id", "01",
                   "-i", at.path("message"), "-o", at.path("signature"))
        yield tool(module, "--login", "--pin", pin, "--change-pin", "--new-pin", new)

    done = list(work(SPY, PIN, NEW_PIN))
    tap.ok(all(run.returncode == 0 for run in done), "pkcs11-tool works through the spy as it does without",
           [(run.args, run.stderr) for run in done if run.returncode])
    told = at.read("ours")
    tap.ok(all(f"{name}(" in told and f"{name} = CKR_OK" in told for name in
               ("C_Initialize", "C_OpenSession", "C_Login", "C_GenerateKeyPair", "C_CreateObject", "C_SignInit", "C_SetPIN")),
           "every call is told, before and after", told)
    tap.ok("CKU_USER, PIN)" in told and "CKA_VALUE=masked" in told and "CKM_ECDSA" in told and "C_SetPIN(session 1, PIN, PIN)" in told,
           "PINs and key material are masked, the rest is by name", told)
    tap.ok(not any(shows(at.path("ours"), secret) for secret in (PIN, NEW_PIN, scalar, scalar[:16])),
           "no PIN and no private key in the trace, in any spelling")
    tap.ok(stat.S_IMODE(os.stat(at.path("ours")).st_mode) == 0o600, "the trace has mode 0600")
    if OPENSC:
        theirs = list(work(OPENSC, NEW_PIN, PIN))
        tap.ok(theirs[0].returncode == 0 and shows(at.path("theirs"), NEW_PIN) and shows(at.path("theirs"), scalar[:16]),
               "OpenSC's spy writes PIN and private key on the same work, so they would have been found")
    else:
        tap.say("OpenSC's pkcs11-spy is not installed: no comparison")

    # keystow through the spy: what --trace tells and what the spy tells are the same words.
    at.write("pin", PIN if OPENSC else NEW_PIN)
    os.unlink(at.path("ours"))
    got = at.run([at.keystow, "list", "pkcs11:token=walnut", "--module", SPY, "--pin-source", "file:" + at.path("pin"), "--trace"],
                 env={"KEYSTOW_SPY_MODULE": stand.SOFTHSM, "KEYSTOW_SPY_OUTPUT": at.path("ours")})
    own = [plain(line) for line in got.err.splitlines() if line.startswith("trace: ") and "C_GetFunctionList" not in line]
    seen = [plain(line) for line in at.read("ours").splitlines()]
    lacking = [line for line in own if line not in seen and not line.startswith("C_Initialize(")]
    tap.ok(got.rc == 0 and len(own) > 20 and not lacking, "--trace and the spy tell the same call in the same words", (lacking, got))

    def without(**env):
        got = subprocess.run(["pkcs11-tool", "--module", SPY, "-L"], env={**at.env, **env}, capture_output=True, text=True,
                             timeout=stand.SAFETY)
        return got.returncode, got.stderr

    for name, env, words in (("no module", {}, "KEYSTOW_SPY_MODULE must be"), ("a relative path", {"KEYSTOW_SPY_MODULE": "x.so"}, "absolute"),
                             ("a module that is not there", {"KEYSTOW_SPY_MODULE": "/none.so"}, "cannot be loaded"),
                             ("itself", {"KEYSTOW_SPY_MODULE": SPY}, "no PKCS#11 module to look into")):
        code, err = without(**env)
        tap.ok(0 < code < 128 and words in err, f"{name} is refused with a sentence", (code, err))

tap.done()
