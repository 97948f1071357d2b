#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""installed.py SOURCE_FOLDER: `make install`, and programs against what it left.

Everything goes into a temporary folder: a build of its own, a PREFIX and a DESTDIR.
"""
import os
import pathlib
import re
import sys
import tempfile

from tap import diag, done, ok, ok_run, run

SOURCE = pathlib.Path(sys.argv[1])
HERE = pathlib.Path(__file__).parent
HEADER_TESTS = HERE.parent / "header"

INSTALLED = {
    "bin/cpu-alloc",
    "include/cpu_alloc.h",
    "include/cpu_alloc/arch.h",
    "include/cpu_alloc/atomic.h",
    "include/cpu_alloc/inline.h",
    "include/cpu_alloc/ops.h",
    "include/cpu_alloc/arch/aarch64.h",
    "include/cpu_alloc/arch/generic.h",
    "include/cpu_alloc/arch/x86_64.h",
    "LIB/libcpu_alloc.a",
    "LIB/libcpu_alloc.so",
    "LIB/libcpu_alloc.so.0",
    "LIB/libcpu_alloc.so.VERSION",
    "LIB/pkgconfig/cpu_alloc.pc",
    "share/man/man1/cpu-alloc.1",
    "share/man/man3/cpu_alloc.3",
    "share/man/man3/this_cpu.3",
}

# How a program may be linked, and how it may be compiled: each with each.
LINKS = {
    "shared": ["-lcpu_alloc"],
    "archive": ["-l:libcpu_alloc.a"],
    "-static": ["-static", "-lcpu_alloc"],
}
WAYS = {
    "C": ["gcc", "-std=c11", "-O2"],
    "C, not optimised": ["gcc", "-std=c11", "-O0"],
    "C, --gc-sections": ["gcc", "-O2", "-ffunction-sections", "-fdata-sections",
                         "-Wl,--gc-sections"],
    "C, -flto": ["gcc", "-O2", "-flto"],
    "C, -no-pie": ["gcc", "-O2", "-fno-pie", "-no-pie"],
    "C, -pie": ["gcc", "-O2", "-fPIE", "-pie"],
    "C, clang": ["clang", "-std=c11", "-O2"],
    "C++": ["g++", "-x", "c++", "-std=c++11", "-O2"],
    "C++, clang": ["clang++", "-x", "c++", "-std=c++11", "-O2"],
}


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


class Tree:
    """What `make install` left below a prefix, and how programs are built with it."""

    def __init__(self, work, prefix):
        self.work, self.prefix = work, prefix
        found = sorted(prefix.rglob("libcpu_alloc.a"))
        self.lib = found[0].parent if found else prefix / "lib"
        self.config("PKG_CONFIG_PATH", self.lib / "pkgconfig")

    @staticmethod
    def config(name, value):
        os.environ[name] = str(value)

    def ask(self, *question):
        return run("pkg-config", *question, "cpu_alloc").stdout.split()

    def compile(self, program, sources, way, link):
        """The command that builds @program: pkg-config says what, @link how."""
        static = ["--static"] if link != LINKS["shared"] else []
        flags = [flag for flag in self.ask("--libs", *static) if flag != "-lcpu_alloc"]
        return [*way, "-Wall", "-Wextra", "-Werror", "-o", self.work / program,
                *self.ask("--cflags"), *sources, "-x", "none", *link, *flags, "-pthread"]

    def build_and_run(self, name, sources, way, link, arguments=()):
        built = run(*self.compile("program", sources, way, link))
        if built.returncode:
            ok(False, name)
            return diag(built.stdout)
        environment = dict(os.environ)
        if link == LINKS["shared"]:
            environment["LD_LIBRARY_PATH"] = str(self.lib)
        ok_run(name, self.work / "program", *arguments, env=environment)


def install(work):
    """As in a fresh clone, but for the build folder: sets up, builds, installs."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "DESTDIR", "PREFIX", "CPU_ALLOC"):
        os.environ.pop(name, None)
    make = ["make", "-C", SOURCE, "install", f"BUILD={work}/build", f"PREFIX={work}/prefix"]
    ok_run("make install PREFIX=", *make)
    ok_run("make install DESTDIR= PREFIX=", *make, f"DESTDIR={work}/stage")
    return work / "prefix"


def check_files(work, tree):
    version = "".join(tree.ask("--modversion"))
    library = str(tree.lib.relative_to(tree.prefix))
    expected = {name.replace("LIB", library).replace("VERSION", version) for name in INSTALLED}
    for name, folder in ("PREFIX", tree.prefix), ("DESTDIR", pathlib.Path(
            f"{work}/stage{tree.prefix}")):
        found = files_below(folder)
        if not ok(found == expected, f"{name}: all files are there, and no others"):
            diag(f"missing {sorted(expected - found)}, more {sorted(found - expected)}")
    header = (tree.prefix / "include/cpu_alloc.h").read_text()
    numbers = re.findall(r"CPU_ALLOC_VERSION_(?:MAJOR|MINOR) (\d+)", header)
    ok(version.split(".")[:2] == numbers, "pkg-config and the header tell one version")
    ok("Library soname: [libcpu_alloc.so.0]" in run("readelf", "-d",
                                                   tree.lib / "libcpu_alloc.so").stdout, "SONAME")


def check_command(tree):
    command = tree.prefix / "bin/cpu-alloc"
    major_minor = ".".join("".join(tree.ask("--modversion")).split(".")[:2])
    told = ok_run("cpu-alloc --version", command, "--version")
    ok(told == f"cpu-alloc {major_minor}\n", "the command tells the same version")
    ok_run("cpu-alloc replay", command, "replay", "--json",
           SOURCE / "traces/process-churn.ftrace.gz")


def check_programs(tree):
    for link_name, link in LINKS.items():
        for way_name, way in WAYS.items():
            tree.build_and_run(f"{link_name}: {way_name}", [HERE / "user.c"], way, link)
    # An archive gives only what is asked for: this asks for the least.
    for link_name, link in LINKS.items():
        tree.build_and_run(f"{link_name}: nothing but cpu_alloc_index()", [HERE / "index.c"],
                           WAYS["C"], link)
    # glibc's names again, as C++ and with the archive, where other symbols bind.
    sets = ["-I", HERE.parent, HEADER_TESTS / "sets.c"]
    for link_name, link in LINKS.items():
        tree.build_and_run(f"{link_name}: beside <sched.h>, C++", sets,
                           ["g++", "-x", "c++", "-std=c++11"], link)


def check_plugins(work, tree):
    """A library whose constructor allocates, with the allocator beside it or inside: then
    it must stay, as the allocator does, since it has critical sections."""
    library = tree.lib / "libcpu_alloc.so.0"
    for name, stays in ("shared", []), ("archive", ["-Wl,-z,nodelete"]):
        plugin = work / f"libplugin-{name}.so"
        way = ["gcc", "-shared", "-fPIC", "-O2", f"-Wl,-rpath,{tree.lib}", *stays]
        ok_run(f"plugin, {name}: built", *tree.compile(plugin.name, [HERE / "plugin.c"], way,
                                                       LINKS[name]))
        linked = [HERE / "linked.c", "-x", "none", plugin, f"-Wl,-rpath,{work}"]
        tree.build_and_run(f"plugin, {name}: linked", linked, ["gcc"], [])
        host = [HERE / "host.c"]
        tree.build_and_run(f"plugin, {name}: opened by threads", host, ["gcc", "-std=gnu11"], [],
                           [library, plugin])
    tree.build_and_run("the library, opened by threads", [HERE / "host.c"], ["gcc", "-std=gnu11"],
                       [], [library])


with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    installed = Tree(folder, install(folder))
    if not files_below(installed.prefix):
        done()
    check_files(folder, installed)
    check_command(installed)
    check_programs(installed)
    check_plugins(folder, installed)
    done()
