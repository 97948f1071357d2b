#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""sanitizers.py SOURCE_FOLDER LIBRARY_FOLDER: programs built with sanitizers, the
library without.

ThreadSanitizer does not see into assembly. So its programs work by atomic
instructions: they are exact, make no report, and a true race is still found.
"""
import platform
import sys

from programs import Workshop, ends_well
from tap import diag, done, ok, run

shop = Workshop(*sys.argv[1:])
LIBRARIES = {"archive": shop.archive, "shared": shop.shared}
RACE = "WARNING: ThreadSanitizer: data race"

# Where addresses are more random than the run-time can bear.
FIXED = ["setarch", platform.machine(), "-R"]
try:
    PREFIX = FIXED if run(*FIXED, "true").returncode == 0 else []
except FileNotFoundError:
    PREFIX = []


def check_threads(compiler, way):
    for kind, library in LIBRARIES.items():
        name = f"{compiler} {way} -fsanitize=thread, {kind}"
        program = shop.build("program", compiler, way, "-g", "-fsanitize=thread", "adds.c",
                             library)
        if program:
            told = ends_well(f"{name}: by atomic instructions, exact", *PREFIX, program,
                             path="atomic: ThreadSanitizer")
            ok("WARNING" not in told, f"{name}: no report")
        program = shop.build("race", compiler, way, "-g", "-fsanitize=thread", "race.c", library)
        if program:
            result = run(*PREFIX, program)
            if not ok(RACE in result.stdout, f"{name}: a race is reported"):
                diag(f"status {result.returncode}\n{result.stdout[-2000:]}")


def check_memory(compiler, way):
    for kind, library in LIBRARIES.items():
        program = shop.build("program", compiler, way, "-fsanitize=address,undefined",
                             "-fno-sanitize-recover=all", "adds.c", library)
        if program:
            ends_well(f"{compiler} {way} -fsanitize=address,undefined, {kind}: clean, exact",
                      program)


for tool in "gcc", "clang":
    for optimisation in "-O0", "-O2":
        check_threads(tool, optimisation)
        check_memory(tool, optimisation)
done()
