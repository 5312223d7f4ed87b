#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sums what the test programs of one meson run counted: prints "PASSED FAILED SKIPPED".

A program that speaks TAP counts by its lines, any other as one. A program that fails as a whole (crash, time limit,
exit code) counts as one failure more than its lines tell. Every skip is printed with its reason on standard error.
"""
import json
import re
import sys


def tap_counts(text):
    passed = failed = skipped = 0
    for line in text.splitlines():
        line = line.strip()
        if re.match(r"1\.\.0\b.*skip", line, re.I):
            skipped += 1
        elif re.match(r"(not )?ok\b.*# *skip", line, re.I):
            skipped += 1
        elif re.match(r"not ok\b", line):
            failed += 1
        elif re.match(r"ok\b", line):
            passed += 1
    return passed, failed, skipped


def reason(text):
    lines = [line.strip() for line in text.splitlines() if "skip" in line.lower()]
    return lines[-1] if lines else "(no reason given)"


def main():
    total = [0, 0, 0]
    for line in open(sys.argv[1], encoding="utf-8"):
        test = json.loads(line)
        output = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
        counts = list(tap_counts(test.get("stdout") or ""))
        result = test["result"]
        if result == "SKIP" and counts == [0, 0, 0]:
            counts = [0, 0, 1]
        elif result == "FAIL" and test.get("returncode") == 0 and counts[1] == 0 and counts[2]:
            pass  # cmocka 1.1 says `not ok` of a test that skips itself, and meson believes it
        elif result not in ("OK", "SKIP", "EXPECTEDFAIL") and counts[1] == 0:
            counts[1] = 1
        elif sum(counts) == 0:
            counts = [1, 0, 0]
        if counts[2]:
            print(f"skipped in {test['name']}: {reason(output)}", file=sys.stderr)
        total = [a + b for a, b in zip(total, counts)]
    print(*total)


if __name__ == "__main__":
    main()
