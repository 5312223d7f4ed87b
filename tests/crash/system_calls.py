# SPDX-License-Identifier: Apache-2.0
"""The system calls of a program's main thread, as strace wrote them down."""
import re


def calls_of(log, begins):
    """(call, n-th of its name), from the first one on of which begins(call, arguments) is true: before, nothing is at stake."""
    counts, calls, begun, main = {}, [], False, None
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = re.match(r"(\d+)\s+(\w+)\((.*)", line)
            if not match:
                continue
            main = main or match[1]
            if match[1] != main:
                continue
            counts[match[2]] = counts.get(match[2], 0) + 1
            begun = begun or begins(match[2], match[3])
            if begun and match[2] != "exit_group":
                calls.append((match[2], counts[match[2]]))
    return calls
