#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What is no trace, or a broken one; and what a trace has besides the events."""
import gzip
import os
import random

import tap
from tool import (RECORDED, SCRATCH, alloc, file_with, free, module_alloc, module_free, recorded,
                  replay_json, tool)

HIDDEN = "(____ptrval____)"
ALLOC, FREE = "percpu_alloc_percpu", "percpu_free_percpu"
SYSTEM_ALLOC, SYSTEM_FREE = "cpu_alloc:alloc", "cpu_alloc:free"

# Fields of the event, and the reason why it is malformed.
MALFORMED = (
    (ALLOC, "align=8 ptr=1", "percpu_alloc_percpu without size"),
    (ALLOC, "size=8 ptr=1", "percpu_alloc_percpu without align"),
    (ALLOC, "size=8 align=8", "percpu_alloc_percpu without ptr"),
    (ALLOC, "size=8 align=8 base_addr=1 off=0", "percpu_alloc_percpu without ptr"),
    (ALLOC, f"size=8 align=8 off=0 ptr={HIDDEN}", "percpu_alloc_percpu without base_addr"),
    (ALLOC, f"size=8 align=8 base_addr=1 ptr={HIDDEN}", "percpu_alloc_percpu without off"),
    (FREE, "base_addr=1 off=0", "percpu_free_percpu without ptr"),
    (FREE, f"off=0 ptr={HIDDEN}", "percpu_free_percpu without base_addr"),
    (FREE, f"base_addr=1 ptr={HIDDEN}", "percpu_free_percpu without off"),
    (FREE, "", "percpu_free_percpu without ptr"),
    (ALLOC, "size= align=8 ptr=1", "size= is not a number"),
    (ALLOC, "size=8x align=8 ptr=1", "size=8x is not a number"),
    (ALLOC, "size=-8 align=8 ptr=1", "size=-8 is not a number"),
    (ALLOC, "size=+8 align=8 ptr=1", "size=+8 is not a number"),
    (ALLOC, "size=8 align=a ptr=1", "align=a is not a number"),
    (ALLOC, "size=8 align=8 ptr=xyz", "ptr=xyz is not a number"),
    (ALLOC, "size=8 align=8 ptr=0x", "ptr=0x is not a number"),
    (ALLOC, "size=18446744073709551616 align=8 ptr=1", "size=18446744073709551616 is too large"),
    (FREE, "ptr=10000000000000000", "ptr=10000000000000000 is too large"),
    (FREE, f"base_addr=g off=0 ptr={HIDDEN}", "base_addr=g is not a number"),
    (FREE, "ptr=\x1b[31m", "ptr=?[31m is not a number"),
    (f"percpu:{ALLOC}", "align=8 ptr=1", "percpu_alloc_percpu without size"),
    (f"percpu:{FREE}", "base_addr=1 off=0", "percpu_free_percpu without ptr"),
    (SYSTEM_ALLOC, "call_site=f align=8 ptr=1", "alloc without size"),
    (SYSTEM_ALLOC, "call_site=f size=8 ptr=1", "alloc without align"),
    (SYSTEM_ALLOC, "call_site=f size=8 align=8 base_addr=1 off=0", "alloc without ptr"),
    (SYSTEM_ALLOC, f"call_site=f size=8 align=8 off=0 ptr={HIDDEN}", "alloc without base_addr"),
    (SYSTEM_FREE, "base_addr=1 off=0", "free without ptr"),
    (SYSTEM_FREE, f"base_addr=1 ptr={HIDDEN}", "free without off"),
    ("alloc", "call_site=f size=8x align=8 base_addr=1 off=0 ptr=1", "size=8x is not a number"),
    ("free", "base_addr=1 off=0 ptr=xyz", "ptr=xyz is not a number"),
)

# Lines that are none of the events, and as what they are counted.
SKIPPED = (
    ("# tracer: nop", "comments"),
    ("##### CPU 1 buffer started ####", "comments"),
    ("CPU:1 [LOST 24 EVENTS]", "lost_marks"),
    ("CPU:0 [LOST EVENTS]", "lost_marks"),
    ("", "other_lines"),
    (" bash-1 [000] d..2. 1.0: sched_switch: prev_comm=bash prev_pid=1 size=1", "other_lines"),
    (" bash-1 [000] d..2. 1.0: percpu_alloc_percpu_fail: reserved=0 size=8 align=8", "other_lines"),
    (" bash-1 [000] d..2. 1.0: tracing_mark_write: 2.0: percpu_alloc_percpu: size=1", "other_lines"),
    (" bash-1 [000] d..2. 1.0: percpu_create_chunk: base_addr=1", "other_lines"),
    ("the quick brown fox", "other_lines"),
    (" bash-1 [000] d..2. 1.0: percpu:sched_switch: size=8 align=8 ptr=1", "other_lines"),
    (f" bash-1 [000] d..2. 1.0: other:{ALLOC}: size=8 align=8 ptr=1", "other_lines"),
    (f" bash-1 [000] d..2. 1.0: cpu_alloc:{FREE}: base_addr=1 off=0 ptr=1", "other_lines"),
    (" bash-1 [000] d..2. 1.0: tracing_mark_write: 2.0: alloc: call_site=f size=8", "other_lines"),
    (" bash-1 [000] d..2. 1.0: alloc: tag=3 bytes=8", "other_lines"),
    (" bash-1 [000] d..2. 1.0: alloc:", "other_lines"),
    (" bash-1 [000] d..2. 1.0: free: ptr=1", "other_lines"),
    (" bash-1 [000] d..2. 1.0: free: base_addr=1", "other_lines"),
    (" bash-1 [000] d..2. 1.0: free:", "other_lines"),
)

# The fields of the module's events under another name, or in the text of another event.
OTHERS = (
    module_alloc(1).replace("alloc:", "fail:"),
    module_alloc(1, name="cpu_alloc:fail"),
    module_alloc(1, name="other:alloc"),
    module_alloc(1, name="percpu:alloc"),
    module_alloc(1, name="cpu_alloc:reset"),
    module_alloc(1, name="alloc_"),
    module_alloc(1, name="tracing_mark_write: 2.0: alloc"),
    module_alloc(1, name="tracing_mark_write: 2.0: cpu_alloc:alloc"),
    module_free(1, name="other:free"),
    module_free(1, name="tracing_mark_write: 2.0: free"),
    module_free(1, name="percpu_free_percpu_"),
)

# Names of a task that have an event's name in them, before an event of the kernel's.
TASKS = "alloc:", "free:", "an alloc: x", "a free: x", "alloc: call", "cpu_alloc:free:"

# What may stand before the event's name: ftrace with its various options, and the kernel's log.
BEFORE = (
    "            bash-16940   [001] .....   940.436809: ",
    "            bash-16940   [001]   940.436809: ",
    "            bash-16940   ( 16940) [001] d..1. 940436809: ",
    "    bash-16940     1d..1. 12345us : ",
    "    a 1: b:-16940   [001] d..1.   940.436809: ",
    "    kworker/u4:1-9   [001] d..1.   940.436809: ",
    "    <...>-9   [001] d..1.   940.436809: ",
    "[    0.000000] ",
    "[    0.000000][    T0] ",
    "",
)


def check_malformed():
    for event, fields, reason in MALFORMED:
        path = file_with(alloc(1) + f"x-1 [0] .. 1.0: {event}: {fields}\n" + free(1))
        result = tool("replay", "--json", path)
        tap.ok((result.returncode, result.stdout, result.stderr)
               == (2, "", f"cpu-alloc: {path}:2: {reason}\n"), f"{event}: {fields!r}: {reason}")

    bad = file_with(f"{FREE}: off=1\n", "bad")
    results, status = replay_json(RECORDED[0], bad, RECORDED[1])
    tap.ok(status == 2 and [r["file"] for r in results] == [str(p) for p in RECORDED],
           "a malformed file between two good ones")
    svg = os.path.join(SCRATCH.name, "no.svg")
    tool("replay", "--svg", svg, bad)
    tap.ok(not os.path.exists(svg), "a malformed file leaves no picture")


def counts(text, *keys):
    """These results of a trace, nothing if it is refused."""
    results, status = replay_json(file_with(text))
    return tuple(results[0][key] for key in keys) if status == 0 else None


def check_skipped():
    kinds = "comments", "lost_marks", "other_lines"
    for line, key in SKIPPED:
        expected = tuple(int(kind == key) for kind in kinds)
        tap.ok(counts(alloc(1) + line + "\n" + free(1), *kinds, "frees") == (*expected, 1),
               f"{line!r} is one of {key}")
    for line in OTHERS:
        tap.ok(counts(line, "events", "other_lines") == (0, 1), f"{line.strip()!r} is another event")
    results, _ = replay_json(file_with("CPU:1 [LOST 24 EVENTS]\nCPU:0 [LOST 5 EVENTS]\n"))
    tap.ok(results[0]["lost_events"] == 29, "the lost events are added up")


def check_incomplete():
    """The module's events alone by name, each needed field less."""
    for line, fields in ((module_alloc(2), ("call_site", "size", "align", "base_addr", "off", "ptr")),
                         (module_free(1), ("base_addr", "off", "ptr"))):
        for field in fields:
            less = line.replace(f" {field}=", " x=")
            tap.ok(counts(module_alloc(1) + less, "events", "other_lines") == (1, 1),
                   f"{less.strip()!r} is another event")


def check_tasks():
    for task in TASKS:
        for before in f" {task}-9 [001] d..1. 940.4: ", f" {task} 9 [001] 940.4: percpu:":
            kernel = before + alloc(1).split(": ", 1)[1] + before + free(1).split(": ", 1)[1]
            tap.ok(counts(alloc(2) + kernel, "allocs", "frees", "other_lines") == (2, 1, 0),
                   f"a task called {task!r}, {before!r}")


def check_before():
    for before in BEFORE:
        text = f"{before}{ALLOC}: size=8 align=8 ptr=1\n{before}{FREE}: ptr=1\n"
        tap.ok(counts(text, "frees", "other_lines") == (1, 0), f"an event after {before!r}")
        for system in "", "cpu_alloc:":
            lines = module_alloc(1, name=f"{system}alloc"), module_free(1, name=f"{system}free")
            text = "".join(before + line.split(": ", 1)[1] for line in lines)
            tap.ok(counts(text, "frees", "other_lines") == (1, 0),
                   f"the module's after {before!r}, by the name of {system!r}")


def ends(path, reason, name):
    result = tool("replay", path)
    tap.ok(result.returncode == 2 and not result.stdout and result.stderr.startswith("cpu-alloc: ")
           and result.stderr.endswith(f"{reason}\n") and result.stderr.count("\n") == 1,
           f"{name}: {result.stderr.strip()}")


def check_files():
    packed = RECORDED[1].read_bytes()
    ends(file_with(packed[:len(packed) // 2]), "the compressed data ends too early", "half a gzip")
    ends(file_with(packed[:-1]), "the compressed data ends too early", "gzip without its end")
    for at, what in (2, "method"), (-6, "checksum"):
        damaged = bytearray(packed)
        damaged[at] ^= 0xff
        ends(file_with(bytes(damaged)), "the compressed data is damaged", f"gzip with a wrong {what}")
    ends(os.path.join(SCRATCH.name, "none"), ": No such file or directory", "no file")
    ends(SCRATCH.name, ": Is a directory", "a directory")
    ends(file_with(random.Random(1).randbytes(100000)), ": binary data, not the text of a trace",
         "random bytes")
    ends(file_with(alloc(1) + "x" * 16385), ":2: a line of more than 16384 bytes", "a long line")
    ends(file_with("\n" * 9 + "a\0b\n"), ":10: binary data, not the text of a trace", "a zero byte")
    results, status = replay_json(file_with("x" * 16383 + "\n" + alloc(1)))
    tap.ok(status == 0 and results[0]["allocs"] == 1, "the longest line")
    twice = replay_json(file_with(2 * gzip.compress((alloc(1) + free(1)).encode())))[0][0]
    tap.ok(twice["frees"] == 2, "two gzip members in a row")
    one, text = replay_json(RECORDED[1])[0][0], recorded(RECORDED[1])
    tap.ok(one["comments"] + one["events"] == text.count("\n"), "each line is counted")


check_malformed()
check_skipped()
check_incomplete()
check_tasks()
check_before()
check_files()
tap.done()
