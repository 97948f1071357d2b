#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""libraries.py SOURCE_FOLDER LIBRARY_FOLDER: sections in several libraries, and in one
that is unloaded after its section ran.
"""
import signal
import sys

from programs import Workshop, ends_well
from tap import diag, done, ok, run

shop = Workshop(*sys.argv[1:])
PLUGIN = ["-O2", "-fPIC", "-shared", "plugin.c", "-x", "none", shop.shared]


def check_copies():
    for compiler, other in ("gcc", "clang"), ("clang", "gcc"):
        parts = [shop.build("libone.so", compiler, *PLUGIN, "-DPREFIX=one"),
                 shop.build("libtwo.so", other, *PLUGIN, "-DPREFIX=two")]
        if None in parts:
            continue
        for way in "-O2", "-O0":
            program = shop.build("program", compiler, way, "copies.c", *parts, shop.shared)
            if program:
                ends_well(f"{compiler} {way}: a program and two libraries add, exact", program)


def unload(name, program, flags, manner, mapped):
    """The plugin goes, or stays mapped, and signals do no harm."""
    plugin = shop.build("libplugin.so", "gcc", *PLUGIN, *flags)
    if program and plugin:
        told = ends_well(name, program, plugin, manner)
        ok(f"plugin mapped: {mapped}" in told, f"{name}: mapped afterwards: {mapped}")


def check_limit(program):
    """The documented limit, and that the others above are spared for a reason."""
    name = "a plugin that does not clear its section: SIGSEGV after dlclose()"
    plugin = shop.build("libplugin.so", "gcc", *PLUGIN)
    if not program or not plugin:
        return
    result = run(program, plugin, "stay")
    if not ok(result.returncode == -signal.SIGSEGV, name):
        diag(f"status {result.returncode}\n{result.stdout}")


check_copies()
host = shop.build("unload", "gcc", "-O2", "unload.c", shop.shared)
unload("cpu_alloc_rseq_clear() before dlclose()", host, [], "leave", "no")
unload("-z nodelete", host, ["-Wl,-z,nodelete"], "stay", "yes")
unload("this_cpu_add2_64() in place of the macro", host, ["-DBY_SYMBOL"], "stay", "no")
check_limit(host)
done()
