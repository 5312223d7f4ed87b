#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ca init killed, or refused by the system, at each of its calls: afterwards the CA is there whole, or not at all.

usage: ca_init_test.py KEYSTOW [--most N]     (N = at most so many points of each kind; 0 = all)
"""
import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

from system_calls import calls_of

ERRORS = ["ENOSPC", "EIO", "EINTR"]
DISK_CALLS = set("""openat read pread64 write pwrite64 fsync fdatasync ftruncate rename renameat renameat2 unlink unlinkat mkdir mkdirat
rmdir fchmod chmod flock getdents64 newfstatat fstat stat lstat access getrandom""".split())
MAKE = ["ca", "init", "ca", "--subject", "CN=crash", "--no-password", "-q"]


class Stand:
    def __init__(self, keystow, top):
        self.keystow, self.top = keystow, top
        for words in (["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "k.pem"],
                      ["openssl", "req", "-new", "-key", "k.pem", "-subj", "/CN=leaf", "-out", "k.csr"]):
            subprocess.run(words, cwd=top, check=True, capture_output=True)

    def run(self, folder, *argv, strace=()):
        env = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8",
               **{n: v for n, v in os.environ.items() if n.startswith(("ASAN_", "UBSAN_"))}}
        return subprocess.run([*strace, self.keystow, *argv], cwd=folder, env=env, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    def calls(self):
        """(call, n-th of its name) of the main thread, from the first look at the place on."""
        with tempfile.TemporaryDirectory(dir=self.top) as folder:
            log = self.top + "/log"
            result = self.run(folder, *MAKE, strace=["strace", "-f", "-qq", "-o", log])
            assert result.returncode == 0, result.stderr
            return calls_of(log, lambda call, arguments: '"ca"' in arguments)

    def whole(self, folder):
        """The CA opens, has its ledger, and signs."""
        shutil.copy(self.top + "/k.csr", folder)
        signed = self.run(folder, "ca", "sign", "k.csr", "--ca", "ca", "--profile", "client", "-o", "k.crt")
        verdict = subprocess.run(["openssl", "verify", "-CAfile", "ca/ca.pem", "k.crt"], cwd=folder, capture_output=True, check=False)
        return signed.returncode == 0 and verdict.returncode == 0

    def shot(self, call, injection):
        with tempfile.TemporaryDirectory(dir=self.top) as folder:
            strace = ["strace", "-f", "-qq", "-o", folder + ".log", "-e", "trace=" + call[0], "-e",
                      f"inject={call[0]}:{injection}:when={call[1]}"]
            result = self.run(folder, *MAKE, strace=strace)
            os.unlink(folder + ".log")
            return [f"{injection} at {call[0]} {call[1]}: {text}" for text in self.judge(folder, result)]

    def judge(self, folder, result):
        there = os.path.lexists(folder + "/ca")
        if result.returncode >= 128:
            yield f"exit {result.returncode}"
        if there and not self.whole(folder):
            yield "the CA is there, but not whole"
        if result.returncode == 0 and not there:
            yield "exit 0 without a CA"
        if result.returncode > 0 and not result.stderr.strip():
            yield f"exit {result.returncode} without a word"
        again = self.run(folder, *MAKE)
        if again.returncode != (9 if there else 0):
            yield f"the next ca init ends with {again.returncode}: {again.stderr.strip()}"
        left = [name for name in os.listdir(folder) if name.startswith(".ca.")]
        if left and not there:
            yield f"left after the next run: {left}"


def thinned(points, most):
    step = max(1, -(-len(points) // most)) if most else 1
    return points[::step]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("keystow")
    parser.add_argument("--most", type=int, default=80)
    options = parser.parse_args()
    for program in ("strace", "openssl"):
        if not shutil.which(program):
            print(f"1..0 # SKIP {program} is not installed")
            sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="keystow-ca-init-") as top:
        stand = Stand(os.path.abspath(options.keystow), top)
        calls = stand.calls()
        kills = thinned([(call, "signal=KILL") for call in calls], options.most)
        errors = thinned([(call, "error=" + error) for call in calls if call[0] in DISK_CALLS for error in ERRORS], options.most)
        failed = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for number, (claim, points) in enumerate((("killed", kills), ("refused by the system", errors)), 1):
                complaints = [text for texts in pool.map(lambda point: stand.shot(*point), points) for text in texts]
                failed += bool(complaints)
                print(f"{'not ok' if complaints else 'ok'} {number} - ca init {claim} at {len(points)} of its calls is whole or nothing")
                print("\n".join("# " + text for text in complaints[:20]), end="\n" if complaints else "")
        print("1..2")
        sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
