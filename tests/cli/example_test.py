#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example of the manual, compiled against the public headers and run against the shared library."""
import os
import subprocess
import sys

from story import DATA, Skip, claim, tell

EXAMPLE = os.environ["KEYSTOW_EXAMPLE"]


def run(story, *argv):
    return subprocess.run([EXAMPLE, *argv], capture_output=True, text=True, cwd=story.dir, env=story.env, timeout=30)


@claim
def the_example_lists_a_store(story):
    done = run(story, os.path.join(DATA, "pem-key-and-chain.pem"))
    assert done.returncode == 0 and done.stdout.startswith("0: "), done


@claim
def the_example_reports_a_failure_in_words(story):
    done = run(story, "p12:absent.p12")
    assert done.returncode == 3 and "absent.p12" in done.stderr, done
    assert run(story, "p13:x").returncode == 2


@claim
def the_example_in_the_readme_is_the_one_that_is_compiled(story):
    top = os.path.join(DATA, "..", "..")
    with open(os.path.join(top, "docs", "example.c"), encoding="utf-8") as file:
        example = file.read().split("\n", 1)[1].strip()
    if not os.path.exists(os.path.join(top, "README.md")):
        raise Skip("there is no README.md")
    with open(os.path.join(top, "README.md"), encoding="utf-8") as file:
        assert example in file.read(), "README.md shows another example than docs/example.c"
    assert story


if __name__ == "__main__":
    tell(sys.modules[__name__])
