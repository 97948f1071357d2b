#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""manual.py SOURCE_FOLDER LIBRARY: the manual pages are well-formed, leave nothing out, and
their programs run with the shared LIBRARY."""
import os
import pathlib
import re
import shutil
import sys
import tempfile

from tap import diag, done, ok, run, skip

SOURCE, LIBRARY = (pathlib.Path(path).resolve() for path in sys.argv[1:])
CFLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{SOURCE}/include"]


def lint(page):
    name = f"{page.name}: mandoc has nothing to say"
    if not shutil.which("mandoc"):
        return skip(name, "no mandoc")
    result = run("mandoc", "-Tlint", "-Wwarning", page)
    if not ok(result.stdout == "", name):
        diag(result.stdout)


def documented(header):
    """What a header offers.

    The names that begin with cpu_alloc are the library's own: of those, what a comment
    introduces ("name, name - what they do") is public, and the rest is not. All others are public.
    """
    lists = re.findall(r"^(?: \*|/\*) (\w+(?:, \w+)*)(?:\([^)]*\))? - ", header, re.M)
    introduced = [name for names in lists for name in names.split(", ")]
    declared = re.findall(r"^(?!static|typedef|#)\w[\w ]*[ *](\w+)\(", header, re.M)
    macros = re.findall(r"^#define (\w+)", header, re.M)
    return set(introduced) | {name for name in declared + macros
                              if not re.match("(?:__)?cpu_alloc_", name, re.I)}


def for_programs(header):
    """Beside that, cpu_alloc.h has constants, macros, statistics and options of such names."""
    macros = re.findall(r"^#define ((?:CPU_ALLOC|cpu_alloc)\w*)", header, re.M)
    members = re.findall(r"^\tX\((\w+),", header, re.M)
    options = re.findall(r"^ \*\t(\w+)=", header, re.M)
    return {*macros, *members, *options} - {"CPU_ALLOC_H", "CPU_ALLOC_STATS_MEMBER"}


def without_width(names):
    """this_cpu_add_64 is this_cpu_add, by a real symbol."""
    return {re.sub(r"_(8|16|32|64|128)$", "", name) for name in names}


def covers(page, names):
    text = page.read_text().replace("\\-", "-")
    missing = sorted(name for name in names if not re.search(rf"\b{name}\b", text))
    if not ok(names and not missing, f"{page.name}: names all {len(names)} names of the header"):
        diag(f"missing: {missing}")


def program(page, start):
    """The one that a page prints, by how it starts."""
    displays = re.findall(r"^\.Bd -literal\n(.*?)^\.Ed$", page.read_text(), re.M | re.S)
    (source,) = (text.replace("\\e", "\\") for text in displays if text.startswith(start))
    return source


def runs(name, expected, *command):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(LIBRARY.parent)}
    result = run(*command, env=environment)
    if not ok(result.returncode == 0 and result.stdout == expected, name):
        diag(result.stdout)


def check_programs(page, folder):
    source, script, example = (folder / name for name in ("example.c", "example.py", "example"))
    source.write_text(program(page, "#include"))
    script.write_text(program(page, "from ctypes"))
    built = run("gcc", *CFLAGS, "-o", example, source, LIBRARY)
    if not ok(built.returncode == 0, f"{page.name}: its example compiles"):
        diag(built.stdout)
        return
    runs(f"{page.name}: and runs", "2000 requests, the largest of 999 bytes\n", example)
    runs(f"{page.name}: so does that in Python", "42\n", sys.executable, script)


header = (SOURCE / "include/cpu_alloc.h").read_text()
operations = (SOURCE / "include/cpu_alloc/ops.h").read_text()
manual = SOURCE / "man"
for page in sorted(manual.glob("*.[1-9]")):
    lint(page)
covers(manual / "cpu_alloc.3", documented(header) | for_programs(header))
covers(manual / "this_cpu.3", without_width(documented(operations)))
with tempfile.TemporaryDirectory() as name:
    check_programs(manual / "this_cpu.3", pathlib.Path(name))
done()
