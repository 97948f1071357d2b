#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""tally-test.py TALLY: the sum of `make check` does not overlook anything."""
import json
import pathlib
import sys
import tempfile

from tap import diag, done, ok, run

# Name, protocol, result and status as Meson logs them, output; then the sum that
# is due, and a text that the answer must show.
CASES = [
    ("good", "tap", "OK", 0, "ok 1 - a\nok 2 - b\n1..2\n", "2 passed, 0 failed", ""),
    ("plan first", "tap", "OK", 0, "1..1\nok 1\n", "1 passed, 0 failed", ""),
    ("a failure", "tap", "ERROR", 1, "ok 1 - a\nnot ok 2 - b\n1..2\n", "1 passed, 1 failed", ": b"),
    ("skipped", "tap", "OK", 0, "ok 1 - a\nok 2 - b # SKIP no\n1..2\n", "1 passed, 0 failed",
     "1 skipped"),
    ("all skipped", "tap", "SKIP", 0, "1..0 # SKIP no\n", "0 passed, 0 failed", "1 skipped"),
    ("expected", "tap", "OK", 0, "ok 1 - a\nnot ok 2 - b # TODO 21\n1..2\n", "1 passed, 0 failed",
     "expected to fail: b (21)"),
    ("unexpected", "tap", "ERROR", 1, "ok 1 - a # TODO 21\n1..1\n", "0 passed, 1 failed",
     "expected to fail (21), but passed"),
    ("no output", "tap", "SKIP", 0, "", "0 passed, 1 failed", "no plan"),
    ("no plan", "tap", "OK", 0, "ok 1 - a\n", "1 passed, 1 failed", "after 1 checks"),
    ("plan broken", "tap", "ERROR", 0, "1..3\nok 1 - a\n", "1 passed, 1 failed", "3 checks"),
    ("crash", "tap", "ERROR", -11, "ok 1 - a\n1..1\n", "1 passed, 1 failed", "status -11"),
    ("valgrind", "tap", "ERROR", 99, "ok 1 - a\n1..1\n", "1 passed, 1 failed", "status 99"),
    ("status 1 alone", "tap", "ERROR", 1, "ok 1 - a\n1..1\n", "1 passed, 1 failed", "status 1"),
    ("time-out", "tap", "TIMEOUT", -15, "ok 1 - a\n", "1 passed, 1 failed", "timed out"),
    ("exit status 0", "exitcode", "OK", 0, "", "1 passed, 0 failed", ""),
    ("exit status 1", "exitcode", "FAIL", 1, "", "0 passed, 1 failed", "status 1"),
    ("not Meson's", None, "ERROR", 1, "", "0 passed, 1 failed", "not Meson's: ended with status 1"),
]


def tally(folder, cases, at_least=""):
    """A build folder as Meson leaves it, and what tally.py says of it."""
    for below in "meson-logs", "meson-info":
        (folder / below).mkdir(exist_ok=True)
    tests = [{"name": name, "suite": ["p:s"], "protocol": protocol}
             for name, protocol, *_ in cases if protocol]
    (folder / "meson-info/intro-tests.json").write_text(json.dumps(tests))
    log = folder / "meson-logs/testlog.json"
    log.write_text("".join(
        json.dumps({"name": f"p:s / {name}", "result": result, "returncode": status,
                    "stdout": output}) + "\n"
        for name, _, result, status, output, *_ in cases))
    return run(sys.argv[1], f"{log}{at_least}")


def tally_machine(folder, complaint):
    """The same of a machine's log, with one test that was good but for what the kernel says."""
    log = folder / "machine/meson-logs/testlog.json"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(json.dumps({"name": "a test", "protocol": "tap", "result": "OK", "returncode": 0,
                               "stdout": "ok 1 - a\n1..1\n", "kernel": complaint}) + "\n")
    return run(sys.argv[1], log)


def check(name, result, line, text):
    bad = " 0 failed" not in line or line.startswith("0 ")
    good = (result.stdout.endswith(f"\n{line}\n") and text in result.stdout
            and result.returncode == int(bad))
    if not ok(good, name):
        diag(result.stdout)


with tempfile.TemporaryDirectory() as temporary:
    build = pathlib.Path(temporary)
    for case in CASES:
        check(case[0], tally(build, [case]), case[5], case[6])
    check("the sum", tally(build, CASES), "13 passed, 11 failed", "")
    check("enough", tally(build, CASES[:1], "=2"), "2 passed, 0 failed", "")
    check("too few", tally(build, CASES[:1], "=3"), "2 passed, 1 failed",
          f"FAILED: {build.name}: only 2 passed, at least 3 are due")
    check("a machine", tally_machine(build, ""), "1 passed, 0 failed", "machine: 1 passed")
    check("the kernel complained", tally_machine(build, "BUG: a\n"), "1 passed, 1 failed",
          "FAILED: machine: a test: the kernel complained")
    check("no tests", tally(build, []), "0 passed, 1 failed", "no tests ran")
    (build / "meson-logs/testlog.json").unlink()
    check("no log", run(sys.argv[1], build / "meson-logs/testlog.json"), "0 passed, 1 failed",
          "no tests ran")
    done()
