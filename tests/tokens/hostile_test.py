#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hostile module: no lie of lies.py crashes a command, hangs it, fills the memory, reaches the terminal or passes for the truth.

hostile_test.py          each lie meets one command that makes the call it is about, another one for each lie
hostile_test.py all      each lie meets every such command
hostile_test.py LIE...   the named lies meet every such command
"""
from concurrent.futures import ThreadPoolExecutor
import json
import queue
import re
import sys

from fault_test import labels, plain, told_in
import jobs
from lies import LIES
import stand

WORKERS = 4
DEADLINE = 400  # milliseconds; commands have others than that of the call to wait for, and a machine is busy
MOST = 256 * 1024  # KiB of memory

EXTRA = [
    jobs.Job("list --json", lambda at: ["list", jobs.WALNUT, "--json"]),
    jobs.Job("token info --json", lambda at: ["token", "info", jobs.WALNUT, "--json"]),
    jobs.Job("request by RSA", lambda at: ["request", jobs.WALNUT + ";object=iron", "--subject", "CN=iron", "-o",
                                           at.path("out.csr"), "--replace"]),
]

HEARD = jobs.JOBS + EXTRA

# The transport key of a backup, and a copy that is tried out, have no name and end with the program: such a lie changes nothing for anybody.
HARMLESS = {
    ("C_CreateObject alters the label", "token backup"): "same",
    ("C_CreateObject alters the id", "token backup"): "same",
    ("C_DestroyObject destroys nothing", "token backup"): "told",
    ("C_DestroyObject destroys nothing", "token restore"): "told",
}

# Line feeds and tabs are ours. What else commands a terminal never comes out, be it from labels or from names.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")


class Work:
    """A job, what it does when nobody lies, and what the token is before and after."""

    def __init__(self, job, at):
        self.job = job
        self.before = jobs.state(at, job)
        self.clean = job.run(at)
        jobs.check(self.clean, job.name, job.good)
        self.after = jobs.state(at, job)
        at.back()


def sentences(got):
    return {line for line in plain(got.err).splitlines() if line.startswith("keystow: ")}


class Judge:
    """One lie against one command."""

    def __init__(self, lie, work, at):
        self.lie, self.work, self.at, self.job = lie, work, at, work.job
        self.good = HARMLESS.get((lie.name, work.job.name), lie.good)
        at.configure(call_deadline_ms=DEADLINE, long_deadline_ms=DEADLINE if "hang" in lie.schedule else 60000)
        self.come = self.job.come[0] if self.job.come else None
        self.got = self.run()
        self.got.out = self.got.out.replace("module says hello\n", "")  # its own words, which nobody can take from it
        # An examination ends well when it can tell what is wrong.
        self.told = sentences(self.got) - sentences(work.clean) or told_in(self.job, self.got, work.clean)
        self.well = self.got.rc == self.job.good or (self.job.told and self.got.rc == 0)

    def run(self):
        if not self.lie.memory:
            return self.job.run(self.at, self.lie.schedule)
        self.at.keystow_command = ["prlimit", f"--as={self.lie.memory << 20}", self.at.keystow]
        try:
            return self.job.run(self.at, self.lie.schedule)
        finally:
            self.at.keystow_command = [self.at.keystow]

    def wrong(self):
        """What is wrong: sentences."""
        yield from self.wrong_end()
        yield from self.wrong_words()
        if self.well:
            yield from self.wrong_success()
        elif not re.search(r"(?m)^keystow: ", self.got.err):
            yield "no word about the failure"
        if self.job.writes and not self.got.hung:
            yield from self.wrong_token()

    def wrong_end(self):
        got = self.got
        if got.hung:
            yield "it hangs"
        elif got.rc >= 128 or (got.rc == 70 and not (self.lie.memory and "[KS-7002]" in got.err)):
            yield f"it ends by exit {got.rc}"
        elif got.rc not in self.lie.codes and not (self.well and (self.good != "never" or self.job.told)):
            yield f"exit {got.rc}, where {sorted(self.lie.codes)} are right"
        if got.memory > MOST:
            yield f"{got.memory} KiB of memory"

    def wrong_words(self):
        """The module's own words on standard error are its own affair; ours are looked at."""
        said = self.got.out + "".join(re.findall(r"(?ms)^(?:keystow:|  next:).*?$", self.got.err))
        if CONTROLS.search(said):
            yield f"a control character comes out: {CONTROLS.search(said)[0]!r}"
        if "--json" in self.job.argv(self.at) and not self.got.hung and self.got.out:
            try:
                json.loads(self.got.out)
            except ValueError as error:
                yield f"not JSON: {error}"

    def wrong_success(self):
        good = self.good
        same = sorted(plain(self.got.out).split("\n")) == sorted(plain(self.work.clean.out).split("\n"))
        if self.job.told and self.told:
            return
        if good == "never":
            yield "the lie is believed"
        elif (good == "same" and not same) or (good == "told" and not same and not self.told):
            yield "success with another answer"

    def wrong_token(self):
        now = jobs.state(self.at, self.job)
        if now is not None and self.lie.good == "shown":
            # New objects may be called as the token calls old ones; nothing may get lost all the same.
            now = [(kind, label, ident) if (kind, label, ident) in self.work.before else (kind, self.come, ident)
                   for kind, label, ident in now] if self.come else now
        if now is None:
            yield "the token cannot be read any more"
            return
        if self.lie.good != "shown" and self.well and not self.told and labels(now) != labels(self.work.after):
            yield f"success, but the token holds {labels(now)}"
        yield from jobs.judge(self.at, self.job, self.work.before, now, self.got.err)


class Court:
    def __init__(self, base):
        self.stands, self.works = queue.Queue(), []
        self.runs, self.memory, self.slowest = 0, 0, 0.0
        for _ in range(WORKERS):
            self.stands.put(jobs.furnish(base.copy()))
        with ThreadPoolExecutor(WORKERS) as pool:
            self.works = list(pool.map(self.work, HEARD))

    def work(self, job):
        at = self.stands.get()
        try:
            return Work(job, at)
        finally:
            self.stands.put(at)

    def met(self, lie):
        return [work for work in self.works if lie.meets(work.clean.calls)]

    def hear(self, lie, work):
        """(exit, what is wrong, the run)"""
        at = self.stands.get()
        try:
            judge = Judge(lie, work, at)
            self.runs += 1
            self.memory = max(self.memory, judge.got.memory)
            self.slowest = max(self.slowest, judge.got.silent)
            return judge.got.rc, list(judge.wrong()), f"{work.job.name}: {judge.got}"
        finally:
            at.back()
            self.stands.put(at)

    def close(self):
        while not self.stands.empty():
            self.stands.get().__exit__()


def prepared():
    """The stand of the other token tests, and an RSA key on it."""
    base = jobs.prepare()
    jobs.check(base.ks("generate", jobs.WALNUT + ";object=iron", "--type", "rsa:2048"), "generate an RSA key")
    base.keep()
    return base


def chosen(court, which):
    """(lie, the commands that shall meet it); those of one lie each are dealt out in turn, so that all commands have some."""
    known = {lie.name for lie in LIES}
    for name in set(which) - known - {"all"}:
        raise SystemExit(f"there is no lie {name}")
    for turn, lie in enumerate(LIES):
        met = court.met(lie)
        if which and which != ["all"]:
            if lie.name in which:
                yield lie, met
        elif which or not met:
            yield lie, met
        else:
            yield lie, [met[turn % len(met)]]


def main():
    tap = stand.Tap()
    with prepared() as base:
        court = Court(base)
        with ThreadPoolExecutor(WORKERS) as pool:
            trials = [(lie, [pool.submit(court.hear, lie, work) for work in works])
                      for lie, works in chosen(court, sys.argv[1:])]
            for lie, hearings in trials:
                heard = [hearing.result() for hearing in hearings]
                exits = {}
                for code, _, _ in heard:
                    exits[code] = exits.get(code, 0) + 1
                blame = [f"{sentence}\n{run}" for _, sentences, run in heard for sentence in sentences]
                tap.ok(heard and not blame, f"{lie.name} ({lie.rule}): {len(heard)} commands", "\n".join(blame) or "no command meets it")
                tap.say(f"exits {dict(sorted(exits.items()))}")
        court.close()
        tap.say(f"{len(LIES)} lies, {len(court.works)} commands, {court.runs} runs; most memory {court.memory} KiB; "
                f"longest silence {court.slowest:.2f} s")
    tap.done()


if __name__ == "__main__":
    main()
