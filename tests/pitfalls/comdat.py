#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""comdat.py SOURCE_FOLDER LIBRARY_FOLDER: C++ templates and inline functions.

Two translation units have the same functions with critical sections. The linker
drops one copy of each, and must drop its descriptor and abort stub too.
"""
import collections
import shutil
import sys

import elf
from programs import Workshop, ends_well
from tap import diag, done, ok, skip

shop = Workshop(*sys.argv[1:])

COMPILERS = "g++", "clang++"
FLAGS = {"-O0": ["-O0"], "-O2": ["-O2"],
         "-O1 -fno-inline -fno-pie": ["-O1", "-fno-inline", "-fno-pie"],
         "-O2 -ffunction-sections": ["-O2", "-ffunction-sections"]}
SPLIT = "-O2 -ffunction-sections"


def objects(source):
    """@source by each compiler in each way, as {(compiler, way): path}."""
    made = {}
    for compiler in COMPILERS:
        for number, (way, flags) in enumerate(FLAGS.items()):
            name = f"{source}-{compiler}-{number}.o"
            if shutil.which(compiler):
                made[compiler, way] = shop.build(name, compiler, *flags, "-c", source)
    return {key: path for key, path in made.items() if path}


def both_or_none(name, program):
    """Where a function was dropped, so were its descriptors and its stubs."""
    descriptors = collections.Counter(name for _, name in elf.symbols(program, elf.DESCRIPTOR))
    stubs = collections.Counter(name for _, name in elf.symbols(program, elf.STUB))
    if not ok(descriptors and descriptors == stubs, f"{name}: each descriptor has its stub"):
        diag(f"descriptors {sorted(descriptors)}\nabort stubs {sorted(stubs)}")


def check(name, *command):
    program = shop.build("program", *command)
    if program:
        ends_well(f"{name}: links, by sections, exact", program)
        both_or_none(name, program)


for missing in (compiler for compiler in COMPILERS if not shutil.which(compiler)):
    skip(missing, f"no {missing}")
ours, others = objects("comdat.cc"), objects("comdat_other.cc")
for (linker, one), main in ours.items():
    pie = ["-no-pie"] if "-fno-pie" in one else []
    for (compiler, two), other in others.items():
        pies = pie or (["-no-pie"] if "-fno-pie" in two else [])
        check(f"{linker} {one} with {compiler} {two}", linker, *pies, main, other, shop.archive)

for linker in COMPILERS:
    for compiler in COMPILERS:
        both = [ours.get((linker, SPLIT)), others.get((compiler, SPLIT))]
        if None not in both:
            check(f"{linker} with {compiler}, --gc-sections", linker, "-Wl,--gc-sections", *both,
                  shop.archive)
            check(f"{linker} with {compiler}, --gc-sections -static", linker, "-static",
                  "-Wl,--gc-sections", *both, shop.archive)
        for way in "-O0", "-O2":
            if shutil.which(compiler) and shutil.which(linker):
                library = shop.build("libother.so", compiler, way, "-fPIC", "-shared",
                                     "comdat_other.cc", shop.shared)
                check(f"{linker}, {compiler} {way} in a shared library", linker,
                      ours[linker, way], library, shop.shared)
done()
