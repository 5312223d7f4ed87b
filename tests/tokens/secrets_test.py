#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where a PIN or password can be seen while keystow works and after: nowhere but in the one read that fetches it.

Every secret is a unique text of 32 bytes, looked for as it is, in hexadecimal and in base64: in /proc of the program and its
children, in what it prints (with --trace and -vv), in what it leaves on the disk, in its system calls and in its core image.
"""
import base64
import os
import re
import secrets
import struct
import subprocess
import sys
import threading
import time

import pexpect

import jobs
import stand

if os.geteuid() != 0:
    stand.skip("only root may look into a program that forbids it")
stand.need("strace", "gcore", "gdb", "openssl", "pkcs11-tool", "softhsm2-util")
tap = stand.Tap()


def canary():
    return "Zq" + secrets.token_hex(15)


def faces(secret):
    """How a secret could look in a file or message. Base64 without its last group, which depends on what follows."""
    raw = secret.encode()
    return [raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)[:40], raw.decode().encode("utf-16-be")]


def hits(data, wanted):
    return sum(data.count(face) for secret in wanted for face in faces(secret))


class Watch(threading.Thread):
    """
    Looks at /proc of a program and its children as often as it can until the program ends. A secret that the parent put into
    the program's own environment is there from the start: `wiped` is set by the first look that does not find it any more, and
    whatever is found afterwards, or elsewhere, counts.
    """

    def __init__(self, pid, wanted, given=False):
        super().__init__()
        self.pid, self.wanted, self.samples, self.found, self.given, self.wiped = pid, wanted, 0, [], given, False

    def family(self, pid):
        yield pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                for child in file.read().split():
                    yield from self.family(int(child))
        except OSError:
            return

    def look(self, path, data):
        seen = hits(data, self.wanted)
        self.samples += 1
        if self.given and path == f"/proc/{self.pid}/environ" and data and not (seen and self.wiped):
            self.wiped = not seen
        elif seen:
            self.found.append(path)

    def run(self):
        while os.path.exists(f"/proc/{self.pid}"):
            for pid in self.family(self.pid):
                for part in ("cmdline", "environ", "maps"):
                    try:
                        with open(f"/proc/{pid}/{part}", "rb") as file:
                            self.look(file.name, file.read())
                    except OSError:
                        pass  # it ended while it was looked at


def watched(at, argv, wanted, schedule=None, answers=None, given=None):
    """Runs a program under Watch, with the variables `given`; gives (rc, everything it printed, watch)."""
    env = {**at.env, **(given or {}), "BALKY_LOG": at.path("log"), "TERM": "dumb"}
    if schedule:
        env["BALKY_SCHEDULE"] = at.write("schedule", schedule + "\n")
    at.write("log", "")
    if answers:
        return typed(at, argv, env, wanted, answers)
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          cwd=at.dir) as program:
        watch = Watch(program.pid, wanted, bool(given))
        watch.start()
        out = program.communicate(timeout=stand.SAFETY)[0]
    watch.join()
    return program.returncode, out, watch


def typed(at, argv, env, wanted, answers):
    program = pexpect.spawn(argv[0], argv[1:], env=env, cwd=at.dir, timeout=stand.SAFETY)
    watch = Watch(program.pid, wanted)
    watch.start()
    out = b""
    for answer in answers:
        program.expect(rb"(PIN|[Pp]assword)[^\n]*: ?$")
        out += program.before + program.after
        program.sendline(answer)
    program.expect(pexpect.EOF)
    program.close()
    watch.join()
    return program.exitstatus, out + program.before, watch


def left_behind(at, wanted):
    """Files under the stand that hold a secret, apart from those the test put there itself."""
    own = {at.path("pin"), at.path("so-pin"), at.path("password"), at.path("wrong"), at.path("new-pin"), at.path("ca-password")}
    found = []
    for folder, _, names in os.walk(at.dir):
        for path in (os.path.join(folder, name) for name in names):
            if path in own or folder.startswith(at.path("kept")):
                continue
            with open(path, "rb") as file:
                if hits(file.read(), wanted):
                    found.append(path)
    return found


def system_calls(at, argv, schedule=None, given=None):
    """The system calls of a run with all their bytes: [(pid, line)]."""
    log = at.path("strace")
    watched(at, ["strace", "-f", "-v", "-s", "65535", "-xx", "-o", log, *argv], ["-"], schedule, given=given)
    with open(log) as file:
        return [line.rstrip("\n").split(None, 1) for line in file]


def in_calls(calls, secret):
    bare = "".join(f"\\x{byte:02x}" for byte in secret.encode())
    return [(pid, line) for pid, line in calls if bare in line]


# ---- core images ----

def segments(core):
    """(address, bytes) of the memory in an ELF core file."""
    with open(core, "rb") as file:
        head = file.read(64)
        offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        for i in range(count):
            file.seek(offset + i * size)
            kind, _, at, address, _, length = struct.unpack_from("<IIQQQQ", file.read(size))
            if kind == 1 and length:
                file.seek(at)
                yield address, file.read(length)


def places(core, maps, secret):
    """The mappings in which copies of a secret live: [(address, mapping)]."""
    areas = []
    for line in maps.splitlines():
        word = line.split(None, 5)
        low, high = (int(part, 16) for part in word[0].split("-"))
        areas.append((low, high, word[5] if len(word) > 5 else "anonymous " + word[0]))
    found = []
    for address, data in segments(core):
        for face in faces(secret):
            at = data.find(face)
            while at >= 0:
                where = next((name for low, high, name in areas if low <= address + at < high), "?")
                found.append((address + at, where))
                at = data.find(face, at + 1)
    return found


def core_while_hanging(at, argv, schedule):
    """Starts a program, waits until the scheduled call hangs, takes its core and its map, ends it."""
    at.write("log", "")
    env = {**at.env, "BALKY_LOG": at.path("log"), "BALKY_SCHEDULE": at.write("schedule", schedule + "\n")}
    function = schedule.split()[0]
    with subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          cwd=at.dir) as program:
        give_up = time.monotonic() + stand.SAFETY
        while f" {function} " not in at.read("log") and time.monotonic() < give_up and program.poll() is None:
            time.sleep(0.01)
        with open(f"/proc/{program.pid}/maps") as file:
            maps = file.read()
        got = subprocess.run(["gcore", "-o", at.path("core"), str(program.pid)], capture_output=True, text=True)
        program.kill()
    core = at.path(f"core.{program.pid}")
    return (core, maps) if os.path.exists(core) else sys.exit(f"gcore made no core image\n{got.stdout}{got.stderr}")


def core_at_exit(at, argv):
    """Runs a program under gdb and takes its core in its last system call, with the locked memory that cores leave out."""
    core, maps = at.path("core-at-exit"), at.path("maps-at-exit")
    script = at.write("gdb", "set pagination off\nset confirm off\nset startup-with-shell off\nset breakpoint pending on\n"
                      "handle SIGALRM nostop noprint pass\n"
                      "catch syscall exit_group\nrun > /dev/null 2>&1\n"
                      f"python\nimport gdb\nopen({maps!r}, 'w').write(open(f'/proc/{{gdb.selected_inferior().pid}}/maps').read())\nend\n"
                      f"set dump-excluded-mappings on\ngcore {core}\nkill\n")
    got = subprocess.run(["gdb", "-q", "-batch", "-nx", "-x", script, "--args", *argv], env={**at.env, "BALKY_LOG": at.path("log")},
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=at.dir, timeout=4 * stand.SAFETY)
    return (core, at.read("maps-at-exit")) if os.path.exists(core) else sys.exit(f"gdb made no core image\n{got.stdout}{got.stderr}")


def planted():
    """The test can find what it looks for, in each of the places where it looks."""
    with stand.Stand() as at:
        plant = canary()
        _, _, watch = watched(at, ["sh", "-c", "sleep 0.3; :", plant], [plant])
        tap.ok(watch.found, "a secret planted in argv is found")
        at.env["PLANT"] = plant
        _, _, watch = watched(at, ["sleep", "0.3"], [plant])
        del at.env["PLANT"]
        _, _, watch = watched(at, ["sleep", "0.3"], [plant], given={"PLANT": plant})
        tap.ok(not watch.wiped and not watch.found, "a variable that stays in the environment is not taken for a wiped one")
        _, _, watch = watched(at, ["sh", "-c", "sleep 0.3; :"], [plant], given={"PLANT": plant})
        tap.ok(watch.found, "a variable that is handed on to a child is found")
        tap.ok(any("environ" in path for path in watch.found), "a secret planted in the environment is found")
        at.write("pin", plant)
        _, out, watch = watched(at, ["sh", "-c", "sh -c 'sleep 0.3; :' $(cat pin); cat pin"], [plant])
        tap.ok(watch.found and hits(out, [plant]), "a secret planted in a child, and in the output, is found")
        at.write("message", base64.b64encode(plant.encode()).decode())
        tap.ok(left_behind(at, [plant]) == [at.path("message")], "a secret planted in a file as base64 is found")
        calls = in_calls(system_calls(at, ["cat", "pin"]), plant)
        tap.ok([line.split("(")[0] for _, line in calls] == ["read", "write"], "a secret planted in system calls is found", calls)
        at.write("schedule", "")
        half = len(plant) // 2
        holder = ["python3", "-c", f"import time; x = {plant[:half]!r} + {plant[half:]!r}; "
                  "open('log', 'w').write('> 1 1 C_Plant 1\\n'); time.sleep(60)"]
        core, maps = core_while_hanging(at, holder, "C_Plant * hang")
        tap.ok(places(core, maps, plant), "a secret planted in memory is found in the core image")


def stocked(at, pin, password):
    """A token whose PIN is a canary, with a key; a CA; a .p12 with a key under a password that is a canary."""
    at.configure()
    at.write("password", password + "\n")
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "walnut", "--so-pin", stand.SO_PIN, "--pin", pin],
                   env=at.env, check=True, capture_output=True)
    at.write("pin", pin + "\n")
    os.mkdir(at.path("files"))
    jobs.check(at.ks("generate", jobs.WALNUT + ";object=key", "--type", "p256"), "generate")
    jobs.check(at.ks("ca", "init", at.path("files/ca"), "--subject", "CN=Test CA", pin=None), "ca init")
    jobs.certificate(at.path("files/one.pem"), "one")
    # Many rounds, so that there is time to look while the program works with the password.
    subprocess.run(["openssl", "pkcs12", "-export", "-nokeys", "-in", at.path("files/one.pem"), "-iter", "400000",
                    "-out", at.path("files/a.p12"), "-passout", "file:" + at.path("password")],
                   check=True, capture_output=True)
    with open(at.path("files/a.p12"), "rb") as file:
        sound = file.read()
    with open(at.path("files/bad.p12"), "wb") as file:
        file.write(sound[:len(sound) // 2] + bytes([sound[len(sound) // 2] ^ 1]) + sound[len(sound) // 2 + 1:])


def scenes(at):
    """(name, exit or None for any failure, argv, schedule, secrets in use)."""
    token, p12 = jobs.WALNUT, "p12:" + at.path("files/a.p12")
    pin, password = "file:" + at.path("pin"), "file:" + at.path("password")
    wrong = "file:" + at.path("wrong")
    yield "listing a token", 0, ["list", token, "--pin-source", pin], "C_Logout * sleep 100"
    yield "making a key in a token", 0, ["generate", token + ";object=new", "--pin-source", pin], "C_Logout * sleep 100"
    yield "enrolling", 0, ["enroll", token + ";object=done", "--subject", "CN=done", "--profile", "client", "--ca",
                           at.path("files/ca"), "--pin-source", pin], "C_Logout * sleep 100"
    yield "reading a .p12", 0, ["list", p12, "--pin-source", password], None
    yield "merging into a .p12", 0, ["merge", at.path("files/ca/ca.pem"), p12, "--to-pin-source", password], None
    yield "a secret from a program", 0, ["list", p12, "--pin-source", "cmd:cat " + at.path("password")], None
    yield "a wrong PIN", 4, ["list", token, "--pin-source", wrong], "C_Finalize * sleep 100"
    yield "a locked token", 5, ["list", token, "--pin-source", pin], "C_Login * answer PIN_LOCKED"
    yield "a token removed after login", 8, ["show", token + ";object=key", "--pin-source", pin], "C_FindObjectsInit 1+ answer DEVICE_REMOVED"
    yield "a call that hangs after login", 8, ["request", token + ";object=key", "--subject", "CN=x", "-o", at.path("x.csr"),
                                               "--pin-source", pin], "C_Sign * hang"
    yield "a key that is not there", 3, ["show", token + ";object=none", "--pin-source", pin], None
    yield "a wrong password", 4, ["list", p12, "--pin-source", wrong], None
    yield "a damaged .p12", None, ["list", "p12:" + at.path("files/bad.p12"), "--pin-source", password], None
    yield "a folder that is not there", None, ["request", token + ";object=key", "--subject", "CN=x", "-o", at.path("no/x.csr"),
                                               "--pin-source", pin], None


def descriptor(path, argv):
    """The command with the file open as its descriptor 3."""
    return ["sh", "-c", f'exec "$0" "$@" 3<{path}', *argv, "--pin-source", "fd:3"]


def environment_scenes(at):
    """As scenes(), with the secret in the variable CANARY."""
    p12, second = "p12:" + at.path("files/a.p12"), jobs.WALNUT + "?pin-source=cmd:sleep 0.2; cat " + at.path("pin")
    source = ["--pin-source", "env:CANARY"]
    yield "a PIN from the environment", 0, ["list", jobs.WALNUT, *source], "C_Logout * sleep 200", "pin"
    yield "a password from the environment, then a child", 0, ["list", p12, second, *source], "C_Logout * sleep 200", "password"
    yield "a wrong PIN from the environment", 4, ["list", jobs.WALNUT, *source], "C_Finalize * sleep 200", "wrong"
    yield "a PIN from the environment for a key that is not there", 3, ["show", jobs.WALNUT + ";object=none", *source], \
        "C_Logout * sleep 200", "pin"


def judge(at, wanted, name, rc, argv, schedule, given=None):
    """One scene, watched and then traced; with `given` the parent put the secret into the environment."""
    at.back()
    got, out, watch = watched(at, [*argv, "--trace", "-v", "-v"], wanted, schedule, given=given)
    expected = got == rc if rc is not None else 0 < got < 128
    seen = watch.found or not watch.samples or (given and not watch.wiped)
    tap.ok(expected and not seen and not hits(out, wanted) and not left_behind(at, wanted),
           f"{name}: no secret in /proc ({watch.samples} looks), messages, traces or files",
           f"exit {got}\n{watch.found}\n{left_behind(at, wanted)}\n{out.decode(errors='replace')}")
    at.back()
    calls = system_calls(at, [*argv, "--trace"], schedule, given)
    main_pid = calls[0][0]
    used = list(given.values()) if given else wanted
    seen = [re.match(r"(?:<\.\.\. )?(\w+)", line)[1] for secret in used for pid, line in in_calls(calls, secret)
            if pid == main_pid or given or "from a program" not in name]
    tap.ok(seen == (["execve"] if given else ["read"]),
           f"{name}: the secret is in one {'execve' if given else 'read'} and in no other system call", seen)


def main():
    planted()
    pin, password, wrong = canary(), canary(), canary()
    wanted = [pin, password, wrong]
    with stand.Stand() as at:
        stocked(at, pin, password)
        at.write("wrong", wrong + "\n")
        at.configure(call_deadline_ms=3000, long_deadline_ms=10000)
        at.keep()
        for name, rc, argv, schedule in scenes(at):
            judge(at, wanted, name, rc, [at.keystow, *argv], schedule)
        values = {"pin": pin, "password": password, "wrong": wrong}
        for name, rc, argv, schedule, which in environment_scenes(at):
            judge(at, wanted, name, rc, [at.keystow, *argv], schedule, {"CANARY": values[which]})
        p12 = "p12:" + at.path("files/a.p12")
        judge(at, wanted, "a PIN from a descriptor", 0, descriptor(at.path("pin"), [at.keystow, "list", jobs.WALNUT]),
              "C_Logout * sleep 100")
        judge(at, wanted, "a password from a descriptor", 0, descriptor(at.path("password"), [at.keystow, "list", p12]), None)
        judge(at, wanted, "a wrong PIN from a descriptor", 4, descriptor(at.path("wrong"), [at.keystow, "list", jobs.WALNUT]),
              "C_Finalize * sleep 100")

        at.back()
        got, out, watch = watched(at, [at.keystow, "list", jobs.WALNUT, "--pin-source", "prompt", "--trace"], wanted, None, [pin])
        tap.ok(got == 0 and not watch.found and not hits(out, wanted), "a PIN typed at the terminal is not shown", out)

        at.back()
        use = [at.keystow, "request", jobs.WALNUT + ";object=key", "--subject", "CN=x", "-o", at.path("x.csr"),
               "--pin-source", "file:" + at.path("pin")]
        core, maps = core_while_hanging(at, use, "C_SignInit * hang")
        report("after login", core, maps, pin)
        at.back()
        report("at exit", *core_at_exit(at, use), pin)
        at.back()
        report("at exit, of the password of a .p12",
               *core_at_exit(at, [at.keystow, "list", "p12:" + at.path("files/a.p12"), "--pin-source", "file:" + at.path("password")]),
               password)
        at.back()
        report("at exit, of a password from a descriptor",
               *core_at_exit(at, descriptor(at.path("password"), [at.keystow, "list", p12])), password)
        at.env["CANARY"] = pin
        at.back()
        core, maps = core_while_hanging(at, [at.keystow, "request", jobs.WALNUT + ";object=key", "--subject", "CN=x",
                                             "-o", at.path("x.csr"), "--pin-source", "env:CANARY"], "C_SignInit * hang")
        report("after login, of a PIN from the environment", core, maps, pin)
    tap.done()


def report(when, core, maps, secret):
    found = places(core, maps, secret)
    modules = [place for place in found if re.search(r"softhsm", place[1])]
    ours = [place for place in found if place not in modules]
    tap.ok(not ours, f"the core image {when} has no copy of the secret in our memory", ours)
    tap.say(f"core image {when}: {len(ours)} copies in our memory, {len(modules)} in the module's {sorted(set(p[1] for p in modules))}")


main()
