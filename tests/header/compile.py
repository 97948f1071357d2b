#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""compile.py INCLUDE_FOLDER: what compilers and sparse say of cpu_alloc.h.

use.c must be clean in every dialect, misuse.c must not be.
"""
import itertools
import pathlib
import shutil
import sys

from tap import diag, done, ok, ok_run, run, skip

HERE = pathlib.Path(__file__).parent
INCLUDE = f"-I{sys.argv[1]}"
STRICT = ["-Werror", "-Wpedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow"]
COMPILE = [INCLUDE, "-O2", "-c", "-o", "/dev/null"]
DIALECTS = [
    ("gcc", "c11"), ("gcc", "gnu17"), ("g++", "c++11"), ("g++", "c++20"),
    ("clang", "c11"), ("clang", "gnu17"), ("clang++", "c++11"), ("clang++", "c++20"),
]
ORDERS = ["-DSCHED_BEFORE", "-DSCHED_AFTER", "-DSCHED_NOT_INCLUDED"]
GNU = ["-D_GNU_SOURCE", "-U_GNU_SOURCE"]


def language(compiler):
    return ["-x", "c++" if "++" in compiler else "c"]


def clean(compiler, standard):
    """use.c, with <sched.h> before, after or not at all, and with and without GNU's names."""
    name = f"{compiler} -std={standard}: clean"
    if not shutil.which(compiler):
        return skip(name, f"no {compiler}")
    wrong = ""
    for order, gnu in itertools.product(ORDERS, GNU):
        result = run(compiler, *language(compiler), f"-std={standard}", *STRICT, *COMPILE, order,
                     gnu, HERE / "use.c")
        if result.returncode or result.stdout:
            wrong += f"{order} {gnu}:\n{result.stdout}"
    ok(not wrong, name)
    diag(wrong)


def warns(tool, *arguments, expected):
    """misuse.c is warned of; the same check is silent on use.c."""
    if not shutil.which(tool):
        return skip(f"{tool}: dereference", f"no {tool}")
    bad = run(tool, *arguments, HERE / "misuse.c").stdout
    good = run(tool, *arguments, HERE / "use.c").stdout
    if not ok(expected in bad, f"{tool}: warns where a CPU pointer is dereferenced"):
        diag(bad)
    if not ok(good == "", f"{tool}: silent on right use"):
        diag(good)


def architecture(name, target):
    """The header of another architecture, with a compiler for it but without its C library."""
    if not shutil.which("clang"):
        return skip(f"arch/{name}.h", "no clang")
    ok_run(f"arch/{name}.h: clean for {target}", "clang", "-ffreestanding", f"--target={target}",
           "-std=c11", *STRICT, INCLUDE, "-fsyntax-only", "-x", "c",
           "-include", "cpu_alloc/arch.h", "/dev/null")


for dialect in DIALECTS:
    clean(*dialect)
warns("sparse", INCLUDE, expected="dereference of noderef expression")
warns("clang++", "-x", "c++", *COMPILE, expected="was declared with a 'noderef' type")
architecture("x86_64", "x86_64-linux-gnu")
architecture("aarch64", "aarch64-linux-gnu")
architecture("generic", "riscv64-linux-gnu")
done()
