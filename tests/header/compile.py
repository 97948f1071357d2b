#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""compile.py INCLUDE_FOLDER: what compilers and sparse say of cpu_alloc.h.

use.c and ops.c must be clean in every dialect, misuse.c must not be, and what
operations do not take, compilers must refuse, and say why.
"""
import itertools
import pathlib
import re
import shutil
import sys
import tempfile

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
DOORS = ["-DCPU_ALLOC_FIRST", "-DOPS_FIRST", "-DIN_EXTERN_C"]
GNU = ["-D_GNU_SOURCE", "-U_GNU_SOURCE"]


# What is refused: the statement, and the words of compilers, a pattern.
TAKEN = "this_cpu operations take integers and pointers of 1, 2, 4 or 8 bytes"
NATURAL = "this_cpu operations need natural alignment"
NUMBER = "only integers can be added to"
PAIR = "this needs 16 bytes, of a type that is aligned to 16"
SCALAR = f"{TAKEN}|non-scalar type|arithmetic or pointer type|cast to union type|array type"
FIELDS = """
struct pair { uint64_t first, second; };
struct aligned_pair { uint64_t first, second; } __attribute__((aligned(16)));
enum colour { RED, GREEN };
struct fields {
	float real;
	double long_real;
	const volatile float fixed_real;
	struct { int only; } record;
	struct pair pair;
	struct aligned_pair aligned;
	union { int integer; float real; } either;
	char text[4];
	uint64_t array[2];
	bool flag;
	enum colour colour;
	int bits : 3;
	int integer;
	int *pointer;
	unsigned __int128 wide;
};
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wpacked-not-aligned"
#endif
struct packed {
	char first;
	uint32_t second;
	struct aligned_pair third;
} __attribute__((packed));
"""
WRONG = [
    ("(void)this_cpu_read(f->real)", TAKEN),
    ("this_cpu_write(f->long_real, 1)", TAKEN),
    ("this_cpu_add(f->real, 1)", TAKEN),
    ("(void)this_cpu_read(f->fixed_real)", TAKEN),
    ("(void)cpu_sum(f->real)", TAKEN),
    ("(void)this_cpu_read(f->record)", SCALAR),
    ("this_cpu_write(f->either, f->either)", SCALAR),
    ("(void)this_cpu_read(f->text)", SCALAR + "|" + NATURAL),
    ("this_cpu_add(f->array, 1)", TAKEN),
    ("this_cpu_add(f->pair, 1)", TAKEN),
    ("(void)this_cpu_read(f->wide)", TAKEN),
    ("this_cpu_inc(((struct packed *)f)->second)", NATURAL),
    ("this_cpu_inc(f->flag)", NUMBER),
    ("(void)this_cpu_add_return(f->flag, true)", NUMBER),
    ("(void)cpu_sum(f->flag)", NUMBER),
    ("this_cpu_inc(f->pointer)", NUMBER),
    ("__this_cpu_add(f->flag, true)", NUMBER),
    ("this_cpu_add2(f->pair, 1, 1)", PAIR),
    ("this_cpu_add2(f->array, 1, 1)", PAIR),
    ("this_cpu_read2(f->pair, n, n)", PAIR),
    ("this_cpu_add2(((struct packed *)f)->third, 1, 1)", PAIR),
    ("(void)this_cpu_cmpxchg128(f->array[0], 0, 1)", PAIR),
    ("(void)this_cpu_try_cmpxchg(f->integer, n, 1)",
     "pointer type mismatch|cannot convert|cannot initialize"),
    ("this_cpu_read2(f->aligned, &f->integer, n)",
     "incompatible.pointer.type|cannot convert|no matching function|cannot initialize"),
    ("cpu_sum_array(f->array, 2, &f->integer)",
     "pointer type mismatch|cannot convert|cannot initialize"),
    ("this_cpu_write(f->pointer, n)",
     "incompatible.pointer.type|incompatible pointer|cannot convert|invalid conversion|"
     "cannot initialize"),
    ("this_cpu_write(f->integer, *n)", "conversion from|loses integer precision"),
    ("this_cpu_inc(f->bits)", "bit-field"),
    ("this_cpu_inc(f->integer + 1)", "lvalue required|address of an rvalue"),
]


def language(compiler):
    return ["-x", "c++" if "++" in compiler else "c"]


def clean(compiler, standard):
    """With <sched.h> before, after or not at all, and with and without GNU's names."""
    name = f"{compiler} -std={standard}: clean"
    if not shutil.which(compiler):
        return skip(name, f"no {compiler}")
    wrong = ""
    ways = [*itertools.product(["use.c"], ORDERS, GNU),
            *zip(itertools.repeat("ops.c"), ORDERS, DOORS), ("ops.c", "-O0")]
    for source, *options in ways:
        result = run(compiler, *language(compiler), f"-std={standard}", *STRICT, *COMPILE,
                     *options, HERE / source)
        if result.returncode or result.stdout:
            wrong += f"{source} {options}:\n{result.stdout}"
    ok(not wrong, name)
    diag(wrong)


def says(compiler, statement):
    """What a compiler says of a statement; "" if it has nothing against it."""
    with tempfile.NamedTemporaryFile("w") as source:
        source.write(f"#include <cpu_alloc.h>\n{FIELDS}"
                     "void statement(struct fields *f, uint64_t *n);\n"
                     "void statement(struct fields *f, uint64_t *n)\n"
                     f"{{\n\t(void)f, (void)n;\n\t{statement};\n}}\n")
        source.flush()
        return run(compiler, *language(compiler), "-Werror", "-Wall", "-Wextra", "-Wconversion",
                   INCLUDE, "-fsyntax-only", source.name).stdout


def refused(statement, words):
    """By all compilers, for that reason."""
    compilers = [compiler for compiler in ("gcc", "clang", "g++", "clang++")
                 if shutil.which(compiler)]
    other = {compiler: said for compiler in compilers
             if not re.search(words, said := says(compiler, statement)) or "error:" not in said}
    ok(compilers and not other, f"refused: {statement}")
    for compiler, said in other.items():
        diag(f"{compiler}: {said[:1500] or 'taken'}")


def taken(statement):
    """What surrounds the statements above is right."""
    for compiler in filter(shutil.which, ("gcc", "clang", "g++", "clang++")):
        said = says(compiler, statement)
        ok(not said, f"{compiler} takes: {statement}") or diag(said)


def warns(tool, *arguments, expected):
    """misuse.c is warned of; the same check is silent on use.c and ops.c."""
    if not shutil.which(tool):
        return skip(f"{tool}: dereference", f"no {tool}")
    bad = run(tool, *arguments, HERE / "misuse.c").stdout
    good = "".join(run(tool, *arguments, HERE / name).stdout for name in ("use.c", "ops.c"))
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
taken("this_cpu_inc(f->integer)")
for wrong_use in WRONG:
    refused(*wrong_use)
warns("sparse", INCLUDE, expected="dereference of noderef expression")
warns("clang++", "-x", "c++", *COMPILE, expected="was declared with a 'noderef' type")
architecture("x86_64", "x86_64-linux-gnu")
architecture("aarch64", "aarch64-linux-gnu")
architecture("generic", "riscv64-linux-gnu")
done()
