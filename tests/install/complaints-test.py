#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""complaints-test.py LOG_AWK: of a kernel's log, what it complains of and nobody announced."""
import pathlib
import sys
import tempfile

from tap import diag, done, ok, run

MARK = "test 7: the one"


def report(text):
    return ["-----------[ cut here ]------------", text, "Call Trace:", " <TASK>",
            "---[ end trace 0000000000000000 ]---"]


# Name; what is announced; lines of the log; those of them that are due.
CASES = [
    ("nothing", [], ["usb 1-1: new device"], []),
    ("a warning", [], report("WARNING: CPU: 1 at a.c:7"), report("WARNING: CPU: 1 at a.c:7")),
    ("announced", ["WARNING: .* at a[.]c"], report("WARNING: CPU: 1 at a.c:7"), []),
    ("another announced", ["at b[.]c"], report("WARNING: at a.c:7"), report("WARNING: at a.c:7")),
    ("the second of three", ["at [ac][.]c"],
     report("WARNING: at a.c") + report("WARNING: at b.c") + report("WARNING: at c.c"),
     report("WARNING: at b.c")),
    ("a report without an end", [], report("WARNING: at a.c")[:2], report("WARNING: at a.c")[:2]),
    ("announced, then something else", ["at a[.]c"], report("WARNING: at a.c") + ["BUG: b"],
     ["BUG: b"]),
    ("alone", [], ["a", "BUG: scheduling while atomic: sh/1/0x2", "c"],
     ["BUG: scheduling while atomic: sh/1/0x2", "c"]),
    ("alone, announced", ["BUG: .*while atomic", "Call Trace"],
     ["BUG: scheduling while atomic", "Call Trace:"], []),
    ("rcu", [], ["rcu: INFO: rcu_preempt self-detected stall on CPU"],
     ["rcu: INFO: rcu_preempt self-detected stall on CPU"]),
    ("soft lockup", [], ["watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [sh:1]"],
     ["watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [sh:1]"]),
    ("an oops", [], ["general protection fault: 0000 [#1] PREEMPT SMP"],
     ["general protection fault: 0000 [#1] PREEMPT SMP"]),
    ("programs that fault", [], ["traps: a[7] general protection fault ip:1 sp:2 error:0 in a[3]",
                                 "a[7]: segfault at 0 ip 1 sp 2 error 4 in a[3]"], []),
]


def complaints(folder, announced, log):
    for name, lines in ("announced", announced), ("log", log):
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return run("awk", "-v", f"mark={MARK}", "-f", sys.argv[1], folder / "announced",
               folder / "log").stdout.splitlines()


def check(name, announced, log, due):
    given = complaints(pathlib.Path(temporary), announced, log)
    if not ok(given == due, name):
        diag("\n".join(given))


with tempfile.TemporaryDirectory() as temporary:
    for name, announced, lines, due in CASES:
        before = [f"[    1.000001] {line}" for line in ["BUG: of an earlier test", MARK]]
        stamped = [f"[    2.000000] {line}" for line in lines]
        check(name, announced, before + stamped, [f"[    2.000000] {line}" for line in due])
    check("the mark is gone", [], ["BUG: a"], [f"the log does not reach back to: {MARK}"])
    done()
