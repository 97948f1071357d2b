#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""symbols.py INCLUDE_FOLDER MAP LIBRARY PROGRAM: one list of symbols, in four places.

What the headers declare, the symbol map lists, the shared library exports, and
the program, which must touch them all, takes from it.
"""
import pathlib
import re
import sys
import tempfile

from tap import diag, done, ok, run


def declared(include):
    """gcc names the functions, a pattern finds the variables."""
    with tempfile.NamedTemporaryFile() as list_file:
        run("gcc", "-fsyntax-only", "-aux-info", list_file.name, "-x", "c", include / "cpu_alloc.h")
        functions = [line for line in pathlib.Path(list_file.name).read_text().splitlines()
                     if line.startswith(f"/* {include}/") and "static" not in line]
    names = {re.search(r"(\w+) \(", line)[1] for line in functions}
    for header in include.rglob("*.h"):
        names |= set(re.findall(r"^extern [^();]*\b(\w+);", header.read_text(), re.M))
    return names


def mapped(symbol_map):
    text = re.sub(r"#.*|/\*.*?\*/", "", symbol_map.read_text())
    exported = text.partition("global:")[2].partition("local:")[0]
    return set(re.findall(r"(\w+);", exported))


def dynamic(path, *options):
    lines = run("nm", "-D", *options, path).stdout.splitlines()
    return {line.split()[-1].partition("@")[0] for line in lines if line.split()[-2] != "A"}


def compare(name, found, expected):
    if not ok(found == expected, name):
        diag(f"only here: {sorted(found - expected)}, missing: {sorted(expected - found)}")


include, symbol_map, library, program = (pathlib.Path(path).resolve() for path in sys.argv[1:])
promised = declared(include)
ok({"cpu_alloc", "this_cpu_add_64", "cpu_alloc_index_offset"} <= promised,
   "the headers can be read")
compare("the symbol map lists what the headers declare", mapped(symbol_map), promised)
compare("the shared library exports just that", dynamic(library, "--defined-only"), promised)
compare("and a program touches all of it", dynamic(program) & promised, promised)
done()
