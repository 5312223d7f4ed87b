#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A kill between any two Cryptoki calls: afterwards each object is absent, complete, or named by `token info`.

What SoftHSM does to its own files when it is killed inside a call is not ours; a token that it cannot read any more is counted
apart. The kills here fall between calls, before and after each: kill_test.py [--every N] [JOB...].
"""
import sys

import jobs
import stand


def main():
    tap = stand.Tap()
    points = lost = 0
    every, chosen = jobs.asked(sys.argv[1:])
    with jobs.prepare() as base:
        for job in (job for job in chosen if job.writes):
            at = jobs.furnish(base.copy())
            before = jobs.state(at, job)
            clean = job.run(at)
            jobs.check(clean, job.name, job.good)
            wrong = []
            moments = [(call, moment) for call in jobs.points(clean.calls) for moment in ("kill-before", "kill-after")][::every]
            for call, moment in moments:
                at.back()
                got = job.run(at, f"{call.name} {call.nth} {moment}")
                points += 1
                if got.rc != 137:
                    wrong.append(f"{moment} {call.n} {call.name}: it was not killed\n{got}")
                    continue
                now = jobs.state(at, job)
                if now is None:
                    lost += 1
                    continue
                wrong += [f"{moment} {call.n} {call.name}: {sentence}" for sentence in jobs.judge(at, job, before, now, "")]
            tap.ok(not wrong, f"{job.name}: {len(moments)} kills around {len(clean.calls)} calls", "\n".join(wrong))
            at.__exit__()
    tap.say(f"{points} kills; SoftHSM lost its token in {lost} of them")
    tap.done()


main()
