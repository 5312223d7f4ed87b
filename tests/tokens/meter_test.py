#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The PIN meter: every command that logs in, with a wrong PIN, on a token with 3, 2 and 1 tries left, which tells of them or does not.

No command spends the last try, none sends a wrong PIN that was sent before, and a PIN goes to the token that was named and no other. A token
that tells nothing, and whose tries another program spent, cannot be protected by anybody; there the tries are spent by keystow before.
"""
import stand
import jobs

stand.need("openssl", "pkcs11-tool")
tap = stand.Tap()
LIMIT = 3
PINS = ("C_Login", "C_SetPIN", "C_InitPIN")
# The security officer's PIN has tries of its own, and these need no PIN.
METERED = [job for job in jobs.JOBS if job.option and job.name not in ("token init",)]
WRONG = ["864209753", "8642097531", "86420975312"]


def sent(result):
    return [call for call in result.calls if call.name in PINS]


def used(at):
    return int(at.read("log.tries") or "0")


def schedule(tells):
    return f"C_Login * tries {LIMIT}" + ("" if tells else "\nC_GetTokenInfo * silent")


def spend(at, count, tells):
    """Leaves the token with so many tries fewer: by any program when it tells of them, else by keystow, which remembers."""
    if tells:
        at.write("log.tries", f"{count}\n")
        return
    for wrong in WRONG[1:1 + count]:
        at.write("pin", wrong + "\n")
        at.ks("list", jobs.WALNUT, schedule=schedule(tells))


def metered(at, job, left, tells):
    at.back()
    jobs.furnish(at)
    spend(at, LIMIT - left, tells)
    before = used(at)
    at.write("pin", WRONG[0] + "\n")
    got = job.run(at, schedule(tells))
    return got, used(at), before


at = jobs.prepare()
with at:
    jobs.furnish(at)
    lost = jobs.forgotten(at)
    tap.ok(not lost, "every command of the table that may reach a token has a row", lost)
    runs = burnt = 0
    asked = []
    for job in METERED:
        at.back()
        at.write("pin", stand.PIN + "\n")
        honest = job.run(at)
        if sent(honest):
            asked.append(job)
        tap.ok(honest.rc == job.good and {call.token for call in sent(honest)} <= set(job.tokens) and len(sent(honest)) <= 2
               and {call.pin for call in sent(honest)} <= {stand.digest(stand.PIN), stand.digest(stand.SO_PIN), None},
               f"{job.name}: the right PIN goes to the named token and to no other", honest)
    tap.ok(len(asked) >= 21, f"{len(asked)} commands send a PIN", [job.name for job in asked])

    for job in asked:
        bad = []
        for tells in (True, False):
            for left in (3, 2, 1):
                got, after, before = metered(at, job, left, tells)
                runs += 1
                burnt += after >= LIMIT
                others = [call.token for call in sent(got) if call.token != "walnut"]
                most = 1 if left == 3 or (left == 2 and not tells) else 0
                if (after >= LIMIT or len(sent(got)) > most or after - before != len(sent(got)) or others
                        or got.rc not in ((4,) if most else (5,))):
                    bad.append((tells, left, before, after, others, str(got)))
        tap.ok(not bad, f"{job.name}: a wrong PIN with 3, 2, 1 tries left, told and not told: no last try", bad)
    tap.ok(burnt == 0, f"{runs} runs, {burnt} last tries burnt")

    at.back()
    jobs.furnish(at)
    at.write("pin", WRONG[0] + "\n")
    tries = 0
    for n in range(100):
        got = asked[n % len(asked)].run(at, schedule(False))
        tries += len(sent(got))
        if got.rc != 4:
            tap.ok(False, f"run {n}: exit 4", got)
    tap.ok(tries == 1, f"one wrong PIN in 100 runs of {len(asked)} commands is sent {tries} time")

    at.back()
    at.write("pin", stand.PIN + "\n")
    for job in [job for job in jobs.JOBS if not job.option]:
        if "pin" not in job.name and job.name != "token init":
            got = job.run(at)
            tap.ok(not sent(got), f"{job.name}: names no token, so no PIN is sent", got)

tap.done()
