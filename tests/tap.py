# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""TAP for tests in Python: what tap.h is for those in C."""
import subprocess
import sys

count = failed = 0


def ok(passed, name):
    global count, failed
    count += 1
    failed += not passed
    print(f"{'' if passed else 'not '}ok {count} - {name}", flush=True)
    return passed


def diag(text):
    for line in text.splitlines():
        print(f"# {line}", flush=True)


def skip(name, reason):
    ok(True, f"{name} # SKIP {reason}")


def run(*command, **options):
    """Run a command; its result has .returncode, and all output in .stdout."""
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                          timeout=100, **options)


def ok_run(name, *command, **options):
    """The command succeeds; if not, the end of what it printed is shown."""
    result = run(*command, **options)
    if not ok(result.returncode == 0, name):
        diag(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout[-2000:]}")
    return result.stdout


def done():
    print(f"1..{count}")
    sys.exit(failed != 0)
