# SPDX-License-Identifier: Apache-2.0
"""The commands that talk to a token, each with what it may leave behind when it is disturbed at any point."""
from collections import Counter
import os
import re
import subprocess

import stand

WALNUT = "pkcs11:token=walnut"
BLANK = "pkcs11:slot-id=2"  # SoftHSM counts: behind two tokens the free slot is the third
ANY_TOKEN = "walnut|acorn|" + re.escape(BLANK) + "|balky"
NEW_PIN = "1357924680"


class Job:
    """
    `gone` and `come`: objects with labels that start so may disappear, or appear, by this command. `good` is its exit when
    nothing is wrong. `names` is what a sentence about trouble must contain: the token, or the module where no token is named.
    `option` says whose PIN the stand's PIN is; None gives no PIN. `schedule` are rows that go with each run, behind those of a
    disturbance. `told` is how its answer itself tells trouble; no such way when None. `tokens` are those that it names.
    """

    def __init__(self, name, argv, gone=(), come=(), option="--pin-source", good=0, names="walnut", schedule=None, told=None,
                 tokens=("walnut",)):
        self.name, self.argv, self.gone, self.come, self.option, self.good, self.names = name, argv, gone, come, option, good, names
        self.schedule, self.told, self.tokens = schedule, told, tokens
        self.writes = bool(gone or come) or name in ("token pin", "token pin --unblock", "token backup")

    def command(self, at):
        """Its row in the table of commands."""
        words = self.argv(at)
        return " ".join(words[:2] if words[0] in ("token", "ca") else words[:1])

    def rows(self, schedule=None):
        return "\n".join(filter(None, (schedule, self.schedule)))

    def run(self, at, schedule=None):
        return at.ks(*self.argv(at), schedule=self.rows(schedule), pin="pin" if self.option else None, option=self.option)


def unable(*turns):
    """Rows by which the token does not make the keys that it is asked for in these turns."""
    return "\n".join(f"C_GenerateKeyPair {turn} answer MECHANISM_INVALID" for turn in turns)


JOBS = [
    Job("list", lambda at: ["list", WALNUT]),
    Job("show", lambda at: ["show", WALNUT + ";object=key"]),
    Job("find", lambda at: ["find", "key", WALNUT]),
    Job("diff", lambda at: ["diff", WALNUT, at.path("files/bundle.pem")], good=1),
    Job("copy from", lambda at: ["copy", WALNUT, "pem:" + at.path("files/out.pem")]),
    Job("list of all", lambda at: ["list"], option=None, names=ANY_TOKEN),
    Job("token list", lambda at: ["token", "list"], option=None, names=ANY_TOKEN),
    Job("verify", lambda at: ["verify", WALNUT + ";object=key"]),
    Job("lint", lambda at: ["lint", WALNUT]),
    Job("request", lambda at: ["request", WALNUT + ";object=bare", "--subject", "CN=bare", "-o", at.path("out.csr"), "--replace"]),
    Job("token info", lambda at: ["token", "info", WALNUT]),
    Job("token register", lambda at: ["token", "register", WALNUT, "-o", at.path("files/glue"), "--replace"]),
    Job("token pin", lambda at: ["token", "pin", WALNUT, "--new-pin-source", "file:" + at.path("new-pin")]),
    Job("token pin --unblock", lambda at: ["token", "pin", WALNUT, "--unblock", "--so-pin-source", "file:" + at.path("so-pin"),
                                           "--new-pin-source", "file:" + at.path("new-pin")], option=None),
    Job("token init", lambda at: ["token", "init", BLANK, "--label", "fresh", "--so-pin-source", "file:" + at.path("so-pin")],
        come=["fresh"], names="fresh|slot-id=2|slot 2"),
    Job("ca sign", lambda at: ["ca", "sign", at.path("files/bare.csr"), "--ca", at.path("files/hsm-ca"), "--profile", "client",
                               "-o", at.path("files/signed.pem")], option="--ca-pin-source"),
    Job("ca init", lambda at: ["ca", "init", at.path("files/new-ca"), "--subject", "CN=New CA", "--key", WALNUT + ";object=fresh"],
        come=["fresh", "New CA"], option="--ca-pin-source"),
    Job("copy into", lambda at: ["copy", at.path("files/bundle.pem"), WALNUT], come=["one", "two"], option="--to-pin-source"),
    Job("generate", lambda at: ["generate", WALNUT + ";object=fresh", "--type", "p256"], come=["fresh"]),
    Job("enroll", lambda at: ["enroll", WALNUT + ";object=fresh", "--type", "p256", "--ca", at.path("files/ca"),
                              "--subject", "CN=fresh", "--profile", "client"], come=["fresh", "Test CA"]),
    Job("enroll --from", lambda at: ["enroll", WALNUT, "--from", at.path("list"), "--type", "p256", "--ca", at.path("files/ca"),
                                     "--profile", "client"], come=["fresh", "next", "Test CA"]),
    Job("install", lambda at: ["install", at.path("files/bare.pem"), WALNUT], come=["bare"], option="--to-pin-source"),
    Job("remove", lambda at: ["remove", WALNUT + ";object=bare"], gone=["bare"]),
    Job("rename", lambda at: ["rename", WALNUT + ";object=key", "moved"], gone=["key"], come=["moved"]),
    # Two of the five kinds, without the slow ones; for the same reason a signature that is measured takes its time.
    Job("token doctor --write", lambda at: ["token", "doctor", WALNUT, "--write"], come=["keystow token doctor"], good=1,
        schedule=unable(1, 3, 4), told=r"^care |: no: |half-made pair may have stayed"),
    Job("token bench --write", lambda at: ["token", "bench", WALNUT, "--write", "--seconds", "1"], come=["keystow token bench"],
        schedule=unable(1, 3, 4) + "\nC_Sign 5+ sleep 50"),
    Job("token backup", lambda at: ["token", "backup", WALNUT + ";object=loose", "-o", at.path("files/new-backup")]),
    Job("token restore", lambda at: ["token", "restore", at.path("files/backup"), "--to", WALNUT, *(
        word for n in (1, 3, 5) for word in ("--share", at.path(f"files/backup.share-{n}")))], come=["spare"], option="--to-pin-source"),
    Job("token twin", lambda at: ["token", "twin", WALNUT + ";object=key", "pkcs11:token=acorn", "--to-pin-source", "file:" + at.path("pin")],
        good=1, names="walnut|acorn", tokens=("walnut", "acorn")),
    Job("merge", lambda at: ["merge", at.path("files/bundle.pem"), WALNUT], come=["one", "two"], option="--to-pin-source"),
]


def check(result, what, good=0):
    if result.rc != good:
        raise SystemExit(f"cannot prepare the test: {what}\n{result}")


def certificate(path, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={name}", "-keyout", "/dev/null", "-out", path], check=True, capture_output=True)


def prepare():
    """A stand with the token walnut: `key` with a certificate, `bare` without one, a CA, bare's certificate and a bundle."""
    stand.need("pkcs11-tool", "openssl")
    at = stand.Stand("walnut", "acorn")
    at.configure()
    subprocess.run(["mkdir", at.path("files")], check=True)
    ca = at.path("files/ca")
    check(at.ks("ca", "init", ca, "--subject", "CN=Test CA", pin=None), "ca init")
    check(at.ks("enroll", WALNUT + ";object=key", "--type", "p256", "--ca", ca, "--subject", "CN=key", "--profile", "client"),
          "enroll")
    check(at.ks("generate", WALNUT + ";object=bare", "--type", "p256"), "generate")
    check(at.ks("request", WALNUT + ";object=bare", "--subject", "CN=bare", "-o", at.path("files/bare.csr")), "request")
    check(at.ks("ca", "sign", at.path("files/bare.csr"), "--ca", ca, "--profile", "client", "-o", at.path("files/bare.pem"),
                pin=None), "ca sign")
    check(at.ks("ca", "init", at.path("files/hsm-ca"), "--subject", "CN=Root", "--key", WALNUT + ";object=root",
                option="--ca-pin-source"), "ca init in a token")
    check(at.ks("generate", WALNUT + ";object=loose", "--type", "p256", "--allow-extractable"), "generate")
    check(at.ks("generate", WALNUT + ";object=spare", "--type", "p256", "--allow-extractable"), "generate")
    check(at.ks("token", "backup", WALNUT + ";object=spare", "-o", at.path("files/backup")), "token backup")
    check(at.ks("remove", WALNUT + ";object=spare"), "remove")
    for name in ("one", "two"):
        certificate(at.path(f"files/{name}.pem"), name)
    with open(at.path("files/bundle.pem"), "w") as bundle:
        bundle.write(at.read("files/one.pem") + at.read("files/two.pem"))
    at.keep()
    return at


def furnish(at):
    """What a stand needs beside its tokens; for fresh copies too."""
    at.write("new-pin", NEW_PIN + "\n")
    at.write("list", "fresh\tCN=fresh\nnext\tCN=next\n")
    return at


# Commands that cannot reach a token: they take no address of one, or only that of a store which is a file.
TOKENLESS = {"new", "passwd", "rollback", "ca list", "help", "completion"}


def forgotten(at):
    """Commands of keystow's own table that no job runs."""
    said = subprocess.run([at.keystow, "help"], capture_output=True, text=True, check=True).stdout
    table = re.findall(r"(?m)^  ([a-z]+(?: [a-z]+)?)  +\S", said.split("\nOptions of every command")[0])
    return sorted(set(table) - TOKENLESS - {job.command(at) for job in JOBS})


OFTEN = ("C_OpenSession", "C_CloseSession", "C_SignInit", "C_Sign")


def asked(argv):
    """`[--every N] [JOB...]`: N, and the jobs (all when none is named). Every N-th point of a sweep is taken, so that with an odd N, where
    kinds of trouble take turns at each call, all kinds are met and only not each at each call."""
    every = int(argv[1]) if argv[:1] == ["--every"] else 1
    names = argv[2:] if argv[:1] == ["--every"] else argv
    return every, [job for job in JOBS if not names or job.name in names]


def points(calls):
    """The calls to disturb: all, but of a function that is called again and again in one way only the first ones and the last."""
    last = {call.name: call.nth for call in calls}
    return [call for call in calls if call.name not in OFTEN or call.nth <= 6 or call.nth == last[call.name]]


def state(at, job):
    """What is on the token, with whichever PIN opens it."""
    seen = at.objects("walnut")
    if seen is None and job.name.startswith("token pin"):
        return at.objects("walnut", NEW_PIN)
    if seen is not None and job.name == "token init" and at.objects("fresh") is not None:
        return seen + [("token", "fresh", "")]
    return seen


def named(at, label, said):
    """Is the object told to the user: by the command that left it, or by token info?"""
    return label in said or label in at.ks("token", "info", WALNUT).out


def judge(at, job, before, now, said):
    """What is wrong with the token after the job was disturbed: a list of sentences."""
    wrong = []
    gone, come = Counter(before) - Counter(now), Counter(now) - Counter(before)
    wrong += [f"{kind} {label!r} was lost" for kind, label, _ in gone if not label.startswith(tuple(job.gone) or "\0")]
    wrong += [f"{kind} {label!r} came from nowhere" for kind, label, _ in come
              if not label.startswith(tuple(job.come) or "\0")]
    keys = {}
    for kind, label, ident in now:
        if kind in ("private key", "public key"):
            keys.setdefault(ident or label, []).append((kind, label))
    if os.path.exists(at.path("files/new-backup")):
        wrong += [f"share {n} of the backup is missing" for n in range(1, 6) if not os.path.exists(at.path(f"files/new-backup.share-{n}"))]
    halves = {pair[0][1] for pair in keys.values() if sorted(kind for kind, _ in pair) != ["private key", "public key"]}
    return wrong + [f"half a pair, {label!r}, is not named" for label in halves if not named(at, label, said)]
