#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""count.py SOURCE_FOLDER LIBRARY_FOLDER: what compilers make of an addition.

From the loading of the descriptor to the commit no more instructions than are
promised; in a loop nothing else but the loop's own, and no other access to memory:
the two offsets were loaded in front of it.
"""
import re
import sys

from programs import HERE, Workshop
from tap import diag, done, ok, run, skip

shop = Workshop(*sys.argv[1:])

LOOP_CONTROL = 3 # add, compare, branch
FUNCTIONS = "add_one", "add_value", "add_small", "add_loop"
CROSS = "aarch64-linux-gnu"
WAYS = {"-fPIC": ["-fPIC"], "-fPIE": ["-fPIE"], "-fno-pie": ["-fno-pie"]}
TARGETS = {
    # the compiler, its tools, how a descriptor is loaded, the most instructions
    "gcc": (["gcc"], "", "lea", 9),
    "clang": (["clang"], "", "lea", 9),
    f"{CROSS}-gcc": ([f"{CROSS}-gcc"], f"{CROSS}-", "adrp", 11),
    f"clang --target={CROSS}": (["clang", f"--target={CROSS}"], f"{CROSS}-", "adrp", 11),
}


class Instruction:
    def __init__(self, address, text):
        self.address, self.text, self.relocation = address, text, ""

    def touches_memory(self):
        return bool(re.search(r"[(\[]|%fs:", self.text)) and not self.text.startswith(
            ("lea", "nop", "prfm"))

    def target(self):
        """Of a conditional jump."""
        jump = re.match(r"(?:j(?!mp)\w+|b\.\w+|cbn?z\s+\w+,)\s+([0-9a-f]+) <", self.text)
        return int(jump[1], 16) if jump else None


def disassembled(tools, path):
    """{function: [instruction]}"""
    functions, now = {}, []
    for line in run(f"{tools}objdump", "-dr", "--no-show-raw-insn", "-j", ".text",
                    path).stdout.splitlines():
        if begin := re.match(r"[0-9a-f]+ <(\w+)>:$", line):
            now = functions[begin[1]] = []
        elif relocation := re.match(r"\s+[0-9a-f]+: (R_\w+\s+.*)", line):
            now[-1].relocation += relocation[1]
        elif code := re.match(r"\s+([0-9a-f]+):\s+(.*)", line):
            now.append(Instruction(int(code[1], 16), code[2]))
    return functions


def sections(tools, path):
    """(start, end) of the critical sections, as their descriptors tell, each in a part of its own."""
    found = []
    for table in run("readelf", "-rW", path).stdout.split("Relocation section '.rela")[1:]:
        part = table.partition("'")[0]
        start = re.search(r"^0*8 .* \.text \+ ([0-9a-f]+)$", table, re.M)
        if start and part.startswith(".data.rel.ro.cpu_alloc_rseq_cs"):
            dump = run(f"{tools}objdump", "-s", "-j", part, path).stdout
            words = re.findall(r"^ [0-9a-f]+ ((?:[0-9a-f]+ ){1,4}) ", dump, re.M)
            length = int.from_bytes(bytes.fromhex("".join(words))[16:24], "little")
            found.append((int(start[1], 16), int(start[1], 16) + length))
    return found


def between(code, first, end):
    return [instruction for instruction in code if first <= instruction.address < end]


def listing(code):
    return "\n".join(f"{i.address:x} {i.text} {i.relocation}" for i in code)


def section_of(code, ranges, load):
    """The instructions from the load of the descriptor to the commit, if there is one section."""
    inside = [(start, end) for start, end in ranges if between(code, start, end)]
    loads = [i.address for i in code
             if i.text.startswith(load) and "cpu_alloc_rseq_cs" in i.relocation]
    if len(inside) != 1 or len(loads) != 1 or loads[0] >= inside[0][0]:
        return []
    return between(code, loads[0], inside[0][1])


def loop_around(code, section):
    """The instructions of the loop that the section is in."""
    for instruction in code:
        target = instruction.target()
        if (section and instruction.address > section[-1].address and target is not None
                and target <= section[0].address):
            return [*between(code, target, instruction.address), instruction]
    return []


def check(name, tools, load, most, path):
    functions, ranges = disassembled(tools, path), sections(tools, path)
    for function in FUNCTIONS:
        code = functions.get(function, [])
        section = section_of(code, ranges, load)
        if not ok(0 < len(section) <= most,
                  f"{name}, {function}: at most {most} instructions up to the commit"):
            diag(f"{len(section)}:\n{listing(section or code)}")
    loop = loop_around(code, section)
    if not ok(0 < len(loop) <= len(section) + LOOP_CONTROL,
              f"{name}: a loop is the section and {LOOP_CONTROL} more"):
        diag(listing(loop or code))
    accesses = sum(i.touches_memory() for i in section)
    if not ok(0 < accesses == sum(i.touches_memory() for i in loop),
              f"{name}: it loads nothing that could be loaded in front of it"):
        diag(listing(loop or code))


def check_veneers(name, tools, load, path):
    """Between the descriptor and the commit, and behind it, nobody counts on x16 and x17."""
    code = disassembled(tools, path)["across"]
    loads = [i.address for i in code if i.text.startswith(load) and "rseq_cs" in i.relocation]
    behind = [i for i in code if loads and i.address > loads[0]]
    if not ok(behind and not re.search(r"\b[xw]1[67]\b", listing(behind)),
              f"{name}: veneers may have x16 and x17"):
        diag(listing(code))


def can(compiler, tools):
    """Are the compiler, what it includes, and the disassembler there?"""
    try:
        return (run(f"{tools}objdump", "--version").returncode == 0 and
                run(*compiler, "-fsyntax-only", "-include", "sched.h", "-x", "c",
                    "/dev/null").returncode == 0)
    except FileNotFoundError:
        return False


for target, (compiler, tools, load, most) in TARGETS.items():
    for way, flags in WAYS.items():
        if not can(compiler, tools):
            skip(f"{target} {way}", f"no {target}, or not its headers or objdump")
        elif made := shop.build("count.o", *compiler, "-O2", *flags, "-c", HERE / "count.c"):
            check(f"{target} {way}", tools, load, most, made)
            if tools and (made := shop.build("veneers.o", *compiler, "-O2", *flags, "-c",
                                             HERE / "veneers.c")):
                check_veneers(f"{target} {way}", tools, load, made)
done()
