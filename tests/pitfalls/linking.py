#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""linking.py SOURCE_FOLDER LIBRARY_FOLDER: compiled and linked in every way.

Critical sections must be what the program works by, not a silent way round
them; sums are exact under signals; and the descriptors of the sections survive,
each beside its abort stub, in memory that cannot be written once the program runs.
"""
import collections
import sys

import elf
from programs import Workshop, ends_well, linker_flags
from tap import diag, done, ok, skip

shop = Workshop(*sys.argv[1:])

WAYS = {
    "-O2": ["-O2"],
    "-O0": ["-O0"],
    "-O2 -fno-pie -no-pie": ["-O2", "-fno-pie", "-no-pie"],
    "-O2 -fPIC": ["-O2", "-fPIC"],
    "--gc-sections": ["-O2", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"],
    "-z now": ["-O2", "-Wl,-z,relro", "-Wl,-z,now"],
}
STATIC = {
    "-static": ["-O2", "-static"],
    "-static --gc-sections": ["-O2", "-static", "-ffunction-sections", "-Wl,--gc-sections"],
    "-static-pie": ["-O2", "-static-pie", "-fPIE"],
}
LTO = {"gcc": ["-O3", "-flto=1"], "clang": ["-O3", "-flto", "-fuse-ld=lld"]}


def check_descriptors(name, path, maps):
    """Of one file in a process: they are there, and out of reach."""
    descriptors = elf.symbols(path, elf.DESCRIPTOR)
    names = collections.Counter(name for _, name in descriptors)
    stubs = collections.Counter(name for _, name in elf.symbols(path, elf.STUB))
    relro = elf.segments(path, "GNU_RELRO")
    outside = [name for address, name in descriptors
               if not any(start <= address and address + 32 <= end for start, end in relro)]
    writable = [name for address, name in descriptors
                if elf.permissions_of(address, path, maps) not in ("r--p", "r-xp")]
    if not ok(names and names == stubs, f"{name}: each abort stub has its descriptor"):
        diag(f"descriptors {sorted(names)}\nabort stubs {sorted(stubs)}")
    if not ok(descriptors and not outside + writable, f"{name}: descriptors are read-only"):
        diag(f"outside of RELRO: {outside}\nwritable at run time: {writable}")


def check(name, program, *files):
    """The program, then the descriptors in it, or in other files of its process."""
    if not program:
        return
    maps = ends_well(f"{name}: by sections, exact", program)
    for path in files or [program]:
        check_descriptors(f"{name}, {path.name}", path.resolve(), maps)


def check_ways(compiler):
    for name, flags in WAYS.items():
        for kind, library in ("archive", shop.archive), ("shared", shop.shared):
            check(f"{compiler} {name}, {kind}",
                  shop.build("program", compiler, *flags, "adds.c", library))
    check(f"{compiler} --gc-sections, and what nobody calls goes",
          shop.build("program", compiler, *WAYS["--gc-sections"], "-Wl,-u,used",
                     "adds.c", "dead.c", shop.archive))
    for name, flags in STATIC.items():
        check(f"{compiler} {name}",
              shop.build("program", compiler, *flags, "adds.c", shop.archive))


def check_linkers(compiler):
    for linker in "lld", "gold":
        flags = linker_flags(linker)
        for kind in "-pie", "-static", "-Wl,--gc-sections":
            name = f"{compiler} {kind}, {linker}"
            if flags:
                check(name, shop.build("program", compiler, "-O2", *flags, kind, "-fPIE",
                                       "-ffunction-sections", "adds.c", shop.archive))
            else:
                skip(name, f"no ld.{linker}")


def check_lto(compiler):
    """The program alone, and the library with it."""
    if compiler == "clang" and not linker_flags("lld"):
        return skip("clang -flto", "no ld.lld")
    library = [f"-I{shop.source / 'src'}", *sorted((shop.source / "src").rglob("*.c"))]
    check(f"{compiler} -flto", shop.build("program", compiler, *LTO[compiler], "adds.c",
                                          shop.archive))
    check(f"{compiler} -flto, library and all",
          shop.build("program", compiler, *LTO[compiler], "adds.c", *library))
    check(f"{compiler} -flto -static, library and all",
          shop.build("program", compiler, *LTO[compiler], "-static", "adds.c", *library))


def check_library(compiler):
    """The operations in a shared library: by way of -fPIC."""
    for name, flags in ("-O2", ["-O2"]), ("-O0", ["-O0"]), ("-z now", ["-O2", "-Wl,-z,now"]):
        adds = shop.build("libadds.so", compiler, *flags, "-fPIC", "-shared", "-DAS_LIBRARY",
                          "adds.c", shop.shared)
        if adds:
            check(f"{compiler} -fPIC -shared {name}",
                  shop.build("program", compiler, "start.c", adds, shop.shared), adds,
                  shop.shared)


for tool in "gcc", "clang":
    check_ways(tool)
    check_linkers(tool)
    check_lto(tool)
    check_library(tool)
done()
