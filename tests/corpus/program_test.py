#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The program over the corpus: what `keystow list`, `show` and `verify` count, and how they leave, is what the manifest says.

One TAP line a record and command. A record whose file is absent, or is not the one of the manifest, is skipped with that reason.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

KEYSTOW = os.path.abspath(os.environ["KEYSTOW"])
CORPUS = os.environ.get("KEYSTOW_CORPUS") or os.path.join(os.environ["KEYSTOW_SOURCE"], "..", "shared", "corpus")
FORMATS = {"pkcs12", "jks", "jceks", "kdb", "pem_der", "pem", "openssl_trusted", "pkcs7", "csr", "crl"}
COUNTS = {"keys": "keys", "certs": "certificates", "secret": "secret_keys"}
# How the program may refuse a file: its password (4), or damaged or unsupported (7).
REFUSALS = {4, 7}


def records():
    for folder in ("keystores", "bundles"):
        with open(os.path.join(CORPUS, folder, "manifest.json"), encoding="utf-8") as file:
            for record in json.load(file):
                if record["format"] in FORMATS:
                    yield os.path.join(CORPUS, folder, record["file"]), record


def is_that_of(path, record):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest() == record["sha256"]
    except OSError:
        return False


def keystow(home, command, path, record):
    """The document and the exit code of a command; its passwords come from files."""
    argv = [KEYSTOW, command, path, "--json", "--no-input"]
    for known, option in (("password", "--pin-source"), ("key_password", "--key-pin-source")):
        if record.get(known) is not None:
            secret = os.path.join(home, known)
            with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                file.write(record[known] + "\n")
            argv += [option, "file:" + secret]
    environment = {**os.environ, "HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def counted(document, record):
    """What of the manifest's counts the document tells otherwise."""
    counts = document["stores"][0].get("counts", {})
    wanted = {**COUNTS, "trusted": "anchors"} if record["format"] == "kdb" else COUNTS
    return [f"{told} is {counts.get(told)}, the manifest says {record[key]}" for key, told in wanted.items()
            if isinstance(record.get(key), int) and counts.get(told) != record[key]]


def refused(code, document):
    """What a refusal lacks: an exit code of the table, and a sentence with a code."""
    if code not in REFUSALS:
        return [f"exit {code} is no refusal of a file"]
    return [] if any(problem["text"] for problem in document["problems"]) else ["it is refused without a word"]


def listed(code, document, record):
    """What is wrong with the answer of `list` or `show`."""
    expect = record["expect"]
    if document["stores"][0]["exit"] != code:
        return [f"exit {code}, but the document says {document['stores'][0]['exit']}"]
    if expect == "ok":
        wanted = {"csr": "requests", "crl": "crls"}.get(record["format"])
        wrong = [] if code == 0 else [f"exit {code}"]
        if wanted and document["stores"][0].get("counts", {}).get(wanted) != 1:
            wrong.append(f"not one of {wanted}")
        return wrong + counted(document, record)
    if expect in ("reject", "no-key-no-cert"):
        return refused(code, document)
    if expect == "public-key-only":
        return [] if code == 0 and document["stores"][0]["counts"]["public_keys"] == 1 else [f"exit {code}"]
    if expect == "ok-needs-legacy-or-other-password":
        return [] if code == 0 and document["stores"][0]["counts"]["keys"] == 1 else [f"exit {code}"]
    if expect == "partial":
        return counted(document, record) if code == 0 else [f"exit {code}"]
    if code == 0 and expect in ("policy", "reject-or-partial"):
        return [] if document["problems"] else counted(document, record)
    return [] if code == 0 else refused(code, document)  # policy, reject-or-partial, no-crash


def entries_shown(code, document, record):
    """`show` tells each entry that the counts promise, and each with what it is."""
    wrong = listed(code, document, record)
    if code == 0 and not wrong:
        entries = document["stores"][0]["entries"]
        wrong += ["an entry without a kind"] if any("kind" not in entry for entry in entries) else []
        keys = sum(entry["kind"] == "private-key" for entry in entries)
        if record["expect"] == "ok" and isinstance(record.get("keys"), int) and keys != record["keys"]:
            wrong.append(f"{keys} entries are private keys, the manifest says {record['keys']}")
    return wrong


def verified(code, document, record):
    """`verify` may say no (old keys, old dates), but only of what it could read; what cannot be read is refused as by `list`."""
    if record["expect"] in ("reject", "no-key-no-cert"):
        return refused(code, document)
    if record["expect"] == "ok" and code not in (0, 1):
        return [f"exit {code}"]
    if code in (0, 1):
        said = all(entry["ok"] for entry in document["stores"][0]["entries"])
        return [] if said == (code == 0) else [f"exit {code}, but the entries say {said}"]
    return refused(code, document)


def main():
    if not os.path.isdir(CORPUS):
        print("1..0 # SKIP there is no corpus; KEYSTOW_CORPUS names its folder")
        return 0
    count = failed = 0
    home = tempfile.mkdtemp(prefix="keystow-corpus-")
    try:
        for path, record in records():
            there = is_that_of(path, record)
            for command, judge in (("list", listed), ("show", entries_shown), ("verify", verified)):
                count += 1
                if not there:
                    print(f"ok {count} - {command} {record['file']} # SKIP the file is absent or not the one of the manifest")
                    continue
                code, document = keystow(home, command, path, record)
                wrong = judge(code, document, record)
                failed += bool(wrong)
                print(f"{'not ok' if wrong else 'ok'} {count} - {command} {record['file']}: exit {code}", flush=True)
                for sentence in wrong + ([problem["text"] for problem in document["problems"]] if wrong else []):
                    print(f"# expected {record['expect']}: {sentence}", flush=True)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"1..{count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
