#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills and failing system calls at every point of every verb that writes.

Each verb runs once under strace to learn its system calls. Then it runs again from the same beginning for each of them: killed
at that call, or with that call answering ENOSPC, EIO, EDQUOT or EINTR. Afterwards every store has to be the old one byte for
byte, or the new one by what an independent listing says; exit 0 only with the new one; and the next run of a writer takes away
what a killed one left. Then a full file system, and many writers at once.

usage: crash_test.py KEYSTOW [--verb NAME] [--kills N] [--errors N]     (N = at most so many points of each verb; 0 = all)
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from system_calls import calls_of

ERRORS = ["ENOSPC", "EIO", "EDQUOT", "EINTR"]
# Calls that a disk can fail. Making memory or a thread fail is another test's subject.
DISK_CALLS = set("""open openat creat close read pread64 readv write pwrite64 writev lseek fsync fdatasync ftruncate rename renameat
renameat2 link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir stat lstat fstat newfstatat statx access faccessat
faccessat2 fchmod fchmodat chmod fchown chown fchownat flock fcntl getdents64 flistxattr fgetxattr fsetxattr readlink
fadvise64 getrandom""".split())
NAMING_CALLS = ("openat", "newfstatat", "stat", "lstat", "access", "faccessat", "readlink")
STORE_FILE = re.compile(r"\.(p12|pem|der)$")
IN_PLACE = ("is the new one now", "has been changed")


class Stand:
    """A folder made once for a verb, copied for every run."""

    def __init__(self, keystow, top, name):
        self.keystow, self.name = keystow, name
        self.template = os.path.join(top, name)
        os.makedirs(self.template)
        for pin, word in (("pin", "secret"), ("pin2", "fresh")):
            path = os.path.join(self.template, pin)
            with open(path, "w", encoding="ascii") as file:
                file.write(word)
            os.chmod(path, 0o600)

    def run(self, folder, *arguments, check=True):
        result = subprocess.run([self.keystow, *arguments], cwd=folder, capture_output=True, text=True, timeout=120,
                                stdin=subprocess.DEVNULL, env=environment(folder))
        if check and result.returncode != 0:
            raise RuntimeError(f"{self.name}: {' '.join(arguments)}: exit {result.returncode}: {result.stderr}")
        return result

    def prepare(self, *arguments):
        self.run(self.template, *arguments)


def environment(folder):
    return {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": folder + "/.state",
            **{name: value for name, value in os.environ.items() if name.startswith(("ASAN_", "UBSAN_"))}}


# ---- the verbs: how the folder is made, and the command that is put under fire ----------------------------------------------

PIN = ("--pin-source", "file:pin")


def with_key(stand):
    stand.prepare("new", "p12:s.p12", *PIN)
    stand.prepare("generate", "p12:s.p12#web", *PIN)


def with_certificate(stand):
    with_key(stand)
    with_ca(stand)
    stand.prepare("enroll", "p12:s.p12#site", "--ca", "ca", "--subject", "CN=site", "--profile", "client", *PIN)


def with_ca(stand):
    stand.prepare("ca", "init", "ca", "--subject", "CN=CA", "--no-password")


def with_key_and_ca(stand):
    with_key(stand)
    with_ca(stand)


def with_bundle(stand):
    with_certificate(stand)
    for n in ("1", "2"):
        stand.prepare("ca", "init", "other" + n, "--subject", "CN=Other " + n, "--no-password")
    with open(os.path.join(stand.template, "bundle.crt"), "wb") as out:
        for n in ("1", "2"):
            with open(os.path.join(stand.template, "other" + n, "ca.pem"), "rb") as file:
                out.write(file.read())
    for n in ("1", "2"):
        shutil.rmtree(os.path.join(stand.template, "other" + n))


def with_merged(stand):
    with_bundle(stand)
    stand.prepare("merge", "bundle.crt", "p12:s.p12", *PIN)


def with_pem(stand):
    with_bundle(stand)
    stand.prepare("copy", "ca/ca.pem", "pem:s.pem")


def with_request(stand):
    with_key(stand)
    with_ca(stand)
    stand.prepare("request", "p12:s.p12#web", "--subject", "CN=web", "-o", "web.csr", *PIN)


def with_received(stand):
    with_request(stand)
    stand.prepare("ca", "sign", "web.csr", "--ca", "ca", "--profile", "client", "-o", "web.crt")


VERBS = {
    "new": (None, ["new", "p12:s.p12", *PIN]),
    "generate": (with_key, ["generate", "p12:s.p12#other", *PIN]),
    "generate-new": (None, ["generate", "pem:s.pem#other", *PIN]),
    "copy": (with_certificate, ["copy", "p12:s.p12#site", "p12:t.p12", *PIN, "--to-pin-source", "file:pin2"]),
    "copy-pem": (with_bundle, ["copy", "bundle.crt", "pem:t.pem"]),
    "install": (with_received, ["install", "web.crt", "p12:s.p12", *PIN]),
    "rename": (with_certificate, ["rename", "p12:s.p12#site", "www", *PIN]),
    "remove": (with_certificate, ["remove", "p12:s.p12#site", *PIN]),
    "passwd": (with_merged, ["passwd", "p12:s.p12", *PIN, "--new-pin-source", "file:pin2"]),
    "merge": (with_bundle, ["merge", "bundle.crt", "p12:s.p12", *PIN]),
    "merge-pem": (with_pem, ["merge", "bundle.crt", "pem:s.pem"]),
    "rollback": (with_merged, ["rollback", "p12:s.p12", *PIN]),
    "request": (with_key, ["request", "p12:s.p12#web", "--subject", "CN=web", "-o", "web.csr", *PIN]),
    "ca-sign": (with_request, ["ca", "sign", "web.csr", "--ca", "ca", "--profile", "client", "-o", "web.crt"]),
    "enroll": (with_key_and_ca, ["enroll", "p12:s.p12#site", "--ca", "ca", "--subject", "CN=site", "--profile", "client", *PIN]),
}


# ---- what is there afterwards -----------------------------------------------------------------------------------------------

def contents(folder):
    """Every file in the folder itself, by name; a CA is looked at by its own test."""
    found = {}
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isfile(path) and not os.path.islink(path):
            with open(path, "rb") as file:
                found[name] = file.read()
    return found


def look(stand, folder, name):
    """What a store holds, as far as two runs of one verb agree on it: password, integrity, entries; or why it does not open."""
    for pin in ("pin", "pin2"):
        result = stand.run(folder, "list", "--all", "--json", name, "--pin-source", "file:" + pin, check=False)
        if result.returncode in (0, 1):
            store = json.loads(result.stdout)["stores"][0]
            entries = [(entry["kind"], entry.get("label"), entry.get("subject"), entry.get("key")) for entry in store["entries"]]
            return pin, store.get("integrity"), sorted(entries, key=repr)
        if result.returncode != 4:
            break
    return "", f"exit {result.returncode} with {pin}: {result.stderr.strip()}", []


def names_a_file_here(call, arguments):
    """An ordinary user's strace cannot read names any more once the program forbids looking into it; what comes then counts."""
    return call in NAMING_CALLS and re.match(r'(AT_FDCWD|\d+), ("[^/"]|0x)', arguments) is not None


class Verb:
    def __init__(self, keystow, top, name, verb=None):
        prepare, self.command = verb or VERBS[name]
        self.stand = Stand(keystow, top, name)
        self.program = [] if verb else [keystow]
        self.name = name
        if prepare:
            prepare(self.stand)
        self.before = contents(self.stand.template)
        with tempfile.TemporaryDirectory(dir=top) as folder:
            shutil.copytree(self.stand.template, folder, dirs_exist_ok=True)
            log = os.path.join(top, name + ".strace")
            result = self.traced(folder, ["-o", log])
            if result.returncode != 0:
                raise RuntimeError(f"{name}: exit {result.returncode}: {result.stderr}")
            self.after = contents(folder)
            self.views = {store: look(self.stand, folder, store) for store in self.after if STORE_FILE.search(store)}
        self.started = {store: look(self.stand, self.stand.template, store)[2] for store in self.before
                        if STORE_FILE.search(store)}
        closed = [store for store, view in self.views.items() if not view[0]]
        if closed:
            raise RuntimeError(f"{name}: what it wrote does not open: {[self.views[store] for store in closed]}")
        self.calls = calls_of(log, names_a_file_here)

    def traced(self, folder, options):
        command = ["strace", "-f", "-qq", *options, "--", *self.program, *self.command]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
                              env=environment(folder))

    # ---- one run ----

    def state_of(self, folder, name, now):
        """"old", "new" or a description of what is wrong with a file."""
        if now.get(name) == self.before.get(name):
            return "old"
        if name not in now:
            return "new" if name not in self.after else "gone"
        if name == "s.p12.keystow" or not STORE_FILE.search(name.removesuffix(".old")):
            return "new" if name in self.after and now[name] else "empty"
        if name.endswith(".old"):
            return "new" if now[name] in (self.before.get(name.removesuffix(".old")), self.after.get(name)) else "strange"
        view = look(self.stand, folder, name)
        if view == self.views[name]:
            return "new"
        if self.is_step(name, view[2]):
            return "begun"
        again = look(self.stand, folder, name)
        return f"neither old nor new: {view}" + (f"; but looked at again: {again}" if again != view else "")

    def is_step(self, name, entries):
        """enroll keeps the key it made when it has to stop before the certificate is there."""
        return self.name == "enroll" and entries == sorted(self.started[name] + [("private-key", "site", None, None)], key=repr)

    def ledger(self, folder):
        """No certificate leaves the CA before its row is durable, and no serial is given twice."""
        if not os.path.isdir(os.path.join(folder, "ca")) or self.name not in ("enroll", "ca-sign"):
            return []
        result = self.stand.run(folder, "ca", "list", "--ca", "ca", "--json", check=False)
        if result.returncode != 0:
            return [f"the ledger does not open: {result.stderr.strip()}"]
        rows = json.loads(result.stdout)["certificates"]
        serials = [row["serial"] for row in rows]
        complaints = [] if len(serials) == len(set(serials)) else ["a serial stands in the ledger twice"]
        issued = {row["serial"] for row in rows if row["state"] == "issued"}
        for name, store in (("web.crt", "web.crt"), ("s.p12", "p12:s.p12")):
            if os.path.exists(os.path.join(folder, name)):
                listed = self.stand.run(folder, "list", "--json", "--all", store, *PIN, check=False)
                for entry in json.loads(listed.stdout)["stores"][0].get("entries", []):
                    if entry.get("issuer") == "CN=CA" and entry.get("serial") not in issued:
                        complaints.append(f"{name} holds serial {entry.get('serial')}, which the ledger does not know")
        return complaints

    def changed_files(self):
        return [name for name in sorted(set(self.before) | set(self.after)) if self.before.get(name) != self.after.get(name)]

    def stores(self):
        """The files that decide whether the verb was done."""
        return [name for name in self.changed_files() if not name.endswith((".old", ".keystow"))]

    def judge(self, folder, result):
        now = contents(folder)
        complaints = []
        states = {name: self.state_of(folder, name, now) for name in self.changed_files()}
        complaints += [f"{name} is {state}" for name, state in states.items() if state not in ("old", "begun", "new")]
        complaints += self.ledger(folder)
        complaints += [f"{name} was changed" for name in self.before if name not in states and now.get(name) != self.before[name]]
        done = all(states[name] == "new" for name in self.stores())
        if result.returncode == 0 and not done:
            complaints.append(f"exit 0, but {states}")
        if result.returncode >= 128 or (result.returncode < 0 and result.returncode != -9):
            complaints.append(f"exit {result.returncode}")
        if result.returncode > 0 and self.stores() and done and not any(words in result.stderr for words in IN_PLACE):
            complaints.append(f"exit {result.returncode} with the new store and no word of it: {result.stderr.strip()}")
        if result.returncode > 0 and not result.stderr.strip():
            complaints.append(f"exit {result.returncode} without a word")
        return complaints + self.sweep(folder, now)

    def sweep(self, folder, now):
        """What a killed run left is gone after the next writer."""
        known = set(self.before) | set(self.after) | {name + suffix for name in self.after for suffix in (".old", ".keystow")}
        if not set(now) - known:
            return []
        if self.name in ("request", "ca-sign"):
            self.stand.run(folder, *self.command, "--replace", check=False)
        if not self.stores():
            self.stand.run(folder, *self.command, check=False)
        for store in self.stores():
            if STORE_FILE.search(store) and os.path.exists(os.path.join(folder, store)):
                for pin in ("pin", "pin2"):
                    self.stand.run(folder, "rename", store + "#no-such-label", "x", "--pin-source", "file:" + pin, check=False)
            else:
                self.stand.run(folder, *self.command, check=False)
        left = set(contents(folder)) - known
        return [f"left after the next run: {sorted(left)}"] if left else []

    def shot(self, top, call, injection):
        with tempfile.TemporaryDirectory(dir=top) as folder:
            shutil.copytree(self.stand.template, folder, dirs_exist_ok=True)
            log = folder + ".log"
            options = ["-o", log, "-e", "trace=" + call[0], "-e", f"inject={call[0]}:{injection}:when={call[1]}"]
            # With a filter strace 6.1 delivers errors but no signals.
            if injection.startswith("error"):
                options.insert(0, "--seccomp-bpf")
            try:
                result = self.traced(folder, options)
            except subprocess.TimeoutExpired:
                return [f"{call[0]} {call[1]} {injection}: hangs"]
            complaints = self.judge(folder, result)
            if not self.happened(log, result, injection):
                complaints.append("it did not happen")
            os.unlink(log)
            return [f"{call[0]} {call[1]} {injection}: {complaint}" for complaint in complaints]

    @staticmethod
    def happened(log, result, injection):
        if injection.startswith("signal"):
            return result.returncode == -9
        with open(log, encoding="utf-8", errors="replace") as file:
            return "INJECTED" in file.read()


# ---- the tests ---------------------------------------------------------------------------------------------------------------

class Tap:
    def __init__(self):
        self.count = self.failures = 0

    def tell(self, claim, complaints):
        self.count += 1
        self.failures += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {self.count} - {claim}", flush=True)
        for complaint in complaints[:12]:
            print(f"# {complaint}")
        if len(complaints) > 12:
            print(f"# and {len(complaints) - 12} more")

    def skip(self, claim, why):
        self.count += 1
        print(f"ok {self.count} - {claim} # skip {why}", flush=True)


def thinned(points, most):
    if not most or len(points) <= most:
        return points
    return [points[i * len(points) // most] for i in range(most)]


def fire(pool, verb, top, points):
    complaints = []
    for found in pool.map(lambda point: verb.shot(top, point[0], point[1]), points):
        complaints += found
    return complaints


def sweep_verb(tap, pool, keystow, top, name, kills, errors):
    verb = Verb(keystow, top, name)
    points = thinned([(call, "signal=KILL") for call in verb.calls], kills)
    tap.tell(f"{name}: killed at {len(points)} system calls, the store is the old or the new one", fire(pool, verb, top, points))
    calls = [call for call in verb.calls if call[0] in DISK_CALLS]
    failing = thinned([(call, "error=" + error) for call in calls for error in ERRORS], errors)
    tap.tell(f"{name}: {len(failing)} failing calls never give exit 0 with a wrong result", fire(pool, verb, top, failing))
    return len(points), len(failing)


def with_two(stand):
    with_key(stand)
    stand.prepare("copy", "p12:s.p12", "p12:t.p12", *PIN, "--to-pin-source", "file:pin")
    stand.prepare("generate", "p12:t.p12#more", *PIN)


def notices(tap, pool, keystow, top):
    """A sweep that could not find anything would be worth nothing: cp truncates and writes in place."""
    verb = Verb(keystow, top, "cp", (with_two, ["cp", "t.p12", "s.p12"]))
    found = fire(pool, verb, top, [(call, "signal=KILL") for call in verb.calls])
    found += fire(pool, verb, top, [(call, "error=ENOSPC") for call in verb.calls if call[0] == "write"])
    tap.tell("the sweep finds that cp loses the store", [] if any("neither old nor new" in line for line in found) else found or
             ["nothing was found"])


def fill(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, b"x" * 4096)
    except OSError:
        pass
    os.close(file)


def full_disk(tap, keystow, top):
    claim = "a full file system leaves every store as it was"
    if os.geteuid() != 0:
        tap.skip(claim, "mounting needs root")
        return
    mount = os.path.join(top, "full")
    os.makedirs(mount)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mount], capture_output=True).returncode != 0:
        tap.skip(claim, "a tmpfs cannot be mounted here")
        return
    complaints = []
    try:
        for name in VERBS:
            verb = Verb(keystow, os.path.join(top, "full-verbs"), name)
            folder = os.path.join(mount, name)
            shutil.copytree(verb.stand.template, folder)
            fill(os.path.join(mount, "filler"))
            result = verb.stand.run(folder, *verb.command, check=False)
            os.unlink(os.path.join(mount, "filler"))
            complaints += [f"{name}: {complaint}" for complaint in verb.judge(folder, result)]
            if result.returncode == 0 and verb.stores() and name not in ("rollback", "remove"):
                complaints.append(f"{name}: exit 0 on a full file system")
            shutil.rmtree(folder)
    finally:
        subprocess.run(["umount", mount], check=False)
    tap.tell(claim, complaints)


def many_writers(tap, keystow, top, writers=16, rounds=4):
    stand = Stand(keystow, top, "writers")
    with_key(stand)
    folder = stand.template

    def writer(number):
        said = []
        for turn in range(rounds):
            result = stand.run(folder, "generate", f"p12:s.p12#w{number}-{turn}", "--wait", "120", *PIN, check=False)
            if result.returncode != 0:
                said.append(f"writer {number}, round {turn}: exit {result.returncode}: {result.stderr.strip()}")
        return said

    with concurrent.futures.ThreadPoolExecutor(writers) as pool:
        complaints = [line for said in pool.map(writer, range(writers)) for line in said]
    view = look(stand, folder, "s.p12")
    labels = {entry[1] for entry in view[2]}
    missing = {f"w{number}-{turn}" for number in range(writers) for turn in range(rounds)} - labels
    if missing:
        complaints.append(f"lost: {sorted(missing)}")
    left = set(os.listdir(folder)) - {"pin", "pin2", "s.p12", "s.p12.old", ".state"}
    if left:
        complaints.append(f"left over: {sorted(left)}")
    tap.tell(f"{writers} writers of {rounds} rounds lose nothing", complaints)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("keystow")
    parser.add_argument("--verb", action="append", choices=VERBS)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--errors", type=int, default=0)
    options = parser.parse_args()
    keystow = os.path.abspath(options.keystow)
    if not shutil.which("strace"):
        print("1..0 # skip strace is not installed")
        return 0
    tap, kills, errors = Tap(), 0, 0
    with tempfile.TemporaryDirectory(prefix="keystow-crash-") as top, \
            concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for name in options.verb or VERBS:
            done = sweep_verb(tap, pool, keystow, top, name, options.kills, options.errors)
            kills, errors = kills + done[0], errors + done[1]
        notices(tap, pool, keystow, top)
        if not options.verb:
            tap.tell(f"{kills} kill points in all, at least 1,000", [] if kills >= 1000 else [f"only {kills}"])
            os.makedirs(os.path.join(top, "full-verbs"))
            full_disk(tap, keystow, top)
            many_writers(tap, keystow, top)
    print(f"1..{tap.count}")
    print(f"# {kills} kills, {errors} failing calls")
    return 1 if tap.failures else 0


if __name__ == "__main__":
    sys.exit(main())
