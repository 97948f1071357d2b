#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""names.py SOURCE_FOLDER LIBRARY_FOLDER: what symbol tables say of the library and of
a program: nothing weak on which restartable sequences depend, and names that tell.
"""
import bisect
import collections
import re
import sys

import elf
from programs import Workshop, ends_well
from tap import diag, done, ok, run, skip

shop = Workshop(*sys.argv[1:])


def check_weak():
    """A weak reference resolves to NULL in a static program: silently no sections."""
    name = "glibc's variables are not referred to weakly"
    if run("gcc", "-fsyntax-only", "-include", "sys/rseq.h", "-x", "c", "/dev/null").returncode:
        return skip(name, "no <sys/rseq.h>")
    for options in ["-D", shop.shared], [shop.archive]:
        lines = run("nm", *options).stdout.splitlines()
        kinds = {line.split()[-2] for line in lines if " __rseq_" in line}
        if not ok(kinds == {"U"}, f"{name}, {options[-1].name}"):
            diag(f"kinds {kinds}")


def check_magazines():
    """The allocator's own sections are found by their names, as those of the operations are."""
    for path in shop.shared, shop.archive:
        kinds = {".".join(name.split(".")[:2]) for _, name in elf.symbols(path, elf.DESCRIPTOR)}
        expected = {f"magazine.{what}" for what in ("pop", "push", "claim")}
        if not ok(expected <= kinds, f"{path.name}: sections of magazines have names"):
            diag(str(sorted(kinds)))


def nearest(program):
    """The function that gives the name of the symbol before an address."""
    fields = [line.split() for line in run("nm", "-n", program).stdout.splitlines()]
    symbols = [(int(field[0], 16), field[2]) for field in fields if len(field) == 3]
    addresses = [address for address, _ in symbols]
    return lambda address: symbols[bisect.bisect_right(addresses, address) - 1][1]


def check_profile(compiler):
    """A profiler finds the time of interrupted sections in their abort stubs."""
    program = shop.build("profile", compiler, "-O2", "-fno-pie", "-no-pie", "profile.c",
                         shop.archive)
    if not program:
        return
    told = ends_well(f"{compiler}: a profile", program)
    name_of = nearest(program)
    found = [int(address, 16) for address in re.findall(r"^at 0x(\w+)$", told, re.M)]
    counts = collections.Counter(map(name_of, found))
    stubs = {name for name in counts if re.fullmatch(r"cpu_alloc_rseq_abort\.add\.64\.\d+", name)}
    if not ok(stubs, f"{compiler}: nm names the stub of the operation"):
        diag(str(counts))
    inside = [address for address in found if name_of(address) in stubs]
    told = run("addr2line", "-f", "-e", program, *map(hex, inside[:1])).stdout
    ok("cpu_alloc_rseq_abort.add.64." in told, f"{compiler}: so does addr2line") or diag(told)


check_weak()
check_magazines()
for tool in "gcc", "clang":
    check_profile(tool)
done()
