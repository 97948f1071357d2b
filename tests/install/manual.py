#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""manual.py SOURCE_FOLDER: the manual pages are well-formed and leave nothing out."""
import pathlib
import re
import shutil
import sys

from tap import diag, done, ok, run, skip

SOURCE = pathlib.Path(sys.argv[1])
INTERNAL = {"cpu_alloc_known_offset", "cpu_alloc_index_offset", "cpu_alloc_index_slow",
            "cpu_alloc_free_set"}


def lint(page):
    name = f"{page.name}: mandoc has nothing to say"
    if not shutil.which("mandoc"):
        return skip(name, "no mandoc")
    result = run("mandoc", "-Tlint", "-Wwarning", page)
    if not ok(result.stdout == "", name):
        diag(result.stdout)


def covers(page, names):
    text = page.read_text().replace("\\-", "-")
    missing = sorted(name for name in names if not re.search(rf"\b{name}\b", text))
    if not ok(names and not missing, f"{page.name}: names all {len(names)} names of the header"):
        diag(f"missing: {missing}")


header = (SOURCE / "include/cpu_alloc.h").read_text()
public = set(re.findall(r"^(?!static)\w[\w ]*[ *](cpu_alloc\w*|cpu_free)\(", header, re.M))
public |= set(re.findall(r"^#define ((?:CPU|THIS|GFP|ZERO|__GFP|__THIS|__percpu|cpu_alloc)\w*)",
                         header, re.M))
public |= set(re.findall(r"^\tX\((\w+),", header, re.M))
public |= set(re.findall(r"^ \*\t(\w+)=", header, re.M))
for manual in sorted(SOURCE.glob("man/*.[1-9]")):
    lint(manual)
covers(SOURCE / "man/cpu_alloc.3", public - INTERNAL - {"CPU_ALLOC_H", "CPU_ALLOC_STATS_MEMBER"})
done()
