#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""tally.py LOG[=N]...: add up the checks in Meson's testlog.json of several runs.

Counted are TAP points; a test that only has an exit status is one, and so is one
that Meson does not know, such as a machine to run tests in. Meson's own sums do
not serve: it takes a TAP program that prints no plan, or nothing at all, for a
good one, and adds expected failures to the passed.

    passed    ok
    failed    not ok; ok of a check that is marked as expected to fail; a
              program that crashed, timed out, broke off or printed no plan,
              or of which the kernel complained
    expected  not ok, marked "# TODO reason"
    skipped   ok, marked "# SKIP reason"

Fewer than N passed in a log are one more failure.
"""
import json
import pathlib
import re
import sys

POINT = re.compile(r"(not )?ok\b *(\d*)\s*(?:- )?(.*?)(?: # *(TODO|SKIP)\b *(.*))?$", re.I)
PLAN = re.compile(r"1\.\.(\d+)")


class Tally:
    def __init__(self):
        self.passed = self.skipped = 0
        self.failed, self.expected = [], []

    def add(self, other):
        self.passed += other.passed
        self.skipped += other.skipped
        self.failed += other.failed
        self.expected += other.expected

    def __str__(self):
        return (f"{self.passed} passed, {len(self.failed)} failed, {self.skipped} skipped, "
                f"{len(self.expected)} expected to fail")


def count_point(tally, bad, name, mark, reason):
    """One line of TAP. @bad: it begins with "not"."""
    if mark == "TODO" and bad:
        tally.expected.append(f"{name} ({reason})")
    elif mark == "TODO":
        tally.failed.append(f"{name}: expected to fail ({reason}), but passed")
    elif bad:
        tally.failed.append(name)
    elif mark == "SKIP":
        tally.skipped += 1
    else:
        tally.passed += 1


def count_tap(tally, output):
    """Count the points of @output; returns what is wrong with it as a whole."""
    points, plan = 0, None
    for line in output.splitlines():
        if match := POINT.match(line):
            bad, number, name, mark, reason = match.groups()
            points += 1
            count_point(tally, bad, name or number, (mark or "").upper(), reason)
        elif match := PLAN.match(line):
            plan = int(match[1])
    if plan == 0 and points == 0:
        tally.skipped += 1
    elif plan is None:
        return f"no plan, broke off after {points} checks"
    elif plan != points:
        return f"{plan} checks planned, {points} made"
    return ""


def count_test(test):
    tally, status, protocol = Tally(), test["returncode"], test["protocol"]
    wrong = count_tap(tally, test["stdout"]) if protocol == "tap" else ""
    if test["result"] == "TIMEOUT":
        wrong = "timed out"
    elif test.get("kernel"):
        wrong = "the kernel complained"
    elif protocol == "tap":
        # Status 1 with a check that failed is how a TAP program ends.
        if status != 0 and not (status == 1 and tally.failed):
            wrong = f"ended with status {status}" + (wrong and f", {wrong}")
    elif test["result"] == "SKIP":
        tally.skipped += 1
    elif test["result"] == "OK":
        tally.passed += 1
    else:
        wrong = f"ended with status {status}"
    if wrong:
        tally.failed.append(wrong)
    return tally


def title(test):
    """How Meson's log names a test."""
    project = test["suite"][0].partition(":")[0]
    suites = "+".join(s.partition(":")[2] for s in test["suite"] if ":" in s)
    return f"{project}:{suites} / {test['name']}" if suites else f"{project} / {test['name']}"


def protocols(build):
    """Meson's log does not have them."""
    tests = json.loads((build / "meson-info/intro-tests.json").read_text())
    return {title(test): test["protocol"] for test in tests}


def count_log(log, at_least):
    """@log: FOLDER/meson-logs/NAME.json. A run that left no log has failed."""
    tally, build = Tally(), log.parent.parent
    run = build.name + log.stem.removeprefix("testlog").replace("-", " under ")
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    if not tests:
        tally.failed.append(f"{run}: no tests ran")
        return run, tally
    if not all("protocol" in test for test in tests): # a machine's log has them
        protocol = protocols(build)
        tests = [{"protocol": protocol.get(test["name"], "exitcode"), **test} for test in tests]
    for test in tests:
        one = count_test(test)
        one.failed = [f"{run}: {test['name']}: {text}" for text in one.failed]
        tally.add(one)
    if tally.passed < at_least:
        tally.failed.append(f"{run}: only {tally.passed} passed, at least {at_least} are due")
    return run, tally


def by_numbers(text):
    """A key that sorts 9 before 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)]


def main(*logs):
    total = Tally()
    print()
    for log in logs:
        path, _, at_least = log.partition("=")
        run, tally = count_log(pathlib.Path(path), int(at_least or 0))
        print(f"{run}: {tally}")
        total.add(tally)
    for text in sorted(set(total.expected), key=by_numbers):
        print(f"expected to fail: {text}")
    for text in total.failed:
        print(f"FAILED: {text}")
    print(f"{total.passed} passed, {len(total.failed)} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
