# SPDX-License-Identifier: Apache-2.0
"""A row of TAP for each claim, and the programs of other people that are asked about it."""
import subprocess
import sys

told = {"count": 0, "failed": 0}


def ok(good, claim, detail=""):
    told["count"] += 1
    told["failed"] += not good
    print("%sok %d - %s" % ("" if good else "not ", told["count"], claim), flush=True)
    if not good:
        for line in str(detail).splitlines()[:40]:
            print("#", line)


def skip(claim, reason):
    told["count"] += 1
    print("ok %d - %s # SKIP %s" % (told["count"], claim, reason), flush=True)


def end():
    print("1..%d" % told["count"])
    sys.exit(1 if told["failed"] else 0)


def run(*command):
    """What a program did; .text is all that it said."""
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    done.text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    return done


def must(*command):
    """The answer of a program without which the test is worth nothing."""
    done = run(*command)
    if done.returncode:
        sys.exit("%s: exit %d: %s" % (command, done.returncode, done.text))
    return done.stdout.decode(errors="replace")
