#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""Traces that are split over threads: the same objects and the same peak, and packed as tightly."""
import collections
import os
import random
import re
import resource
import subprocess
import time
import xml.etree.ElementTree

import tap
from tool import (EXACT, LINE, RECORDED, SCRATCH, TOOL, Expected, alloc, file_with, free, recorded,
                  replay_json, tool)

CPUS = len(os.sched_getaffinity(0))
CACHED = 2 << 10  # bytes of the top that caches may have, on each CPU
PLACES = {"area_top_bytes", "packing", "largest_free_bytes"}  # these depend on who comes first
SVG = "{http://www.w3.org/2000/svg}"


def check_split(path, text, threads, env, where):
    name = f"{path.name}, {threads} threads, {where}"
    expected = Expected(text, threads).result
    results, status = replay_json("--threads", str(threads), path, env=env)
    if not tap.ok(status == 0 and len(results) == 1, f"{name}: status {status}"):
        return
    found = results[0]
    wrong = {key: (found[key], expected[key]) for key in expected.keys() - PLACES
             if found[key] != expected[key]}
    tap.ok(not wrong, f"{name}: as the trace says {wrong or ''}")
    tap.ok(found["area_top_bytes"] <= 1.05 * found["peak_bytes_requested"] + CACHED * CPUS,
           f"{name}: {found['area_top_bytes']} bytes for {found['peak_bytes_requested']}, "
           f"{found['cached_bytes']} in caches at the end")


def check_recorded():
    for path in RECORDED:
        text = recorded(path)
        for threads in sorted({1, 2, 3, CPUS, 4 * CPUS}):
            check_split(path, text, threads, os.environ, "caches")
        check_split(path, text, CPUS, EXACT, "rseq=off")
        check_split(path, text, CPUS, os.environ | {"CPU_ALLOC": "index=cid"}, "index=cid")


def events_of(path):
    """(name, size, align) of an allocation, (name,) of a free; names are numbers from 1."""
    names, events = {}, []
    for match in map(LINE.search, recorded(path).splitlines()):
        if match:
            fields = dict(item.split("=", 1) for item in match[2].split() if "=" in item)
            name = names.setdefault(fields["ptr"], len(names) + 1)
            shape = (int(fields["size"]), int(fields["align"])) if match[1] == "alloc" else ()
            events.append((name, *shape))
    return events


def trace_of(events):
    return file_with("".join(alloc(*e) if len(e) > 1 else free(*e) for e in events))


def backwards(events):
    """Time runs the other way: a free allocates what it freed."""
    shapes, result = {}, []
    for event in events:
        if len(event) > 1:
            shapes[event[0]] = event
            result.append(event[:1])
        else:
            result.append(shapes.get(event[0], event))
    return result[::-1]


def at_once(events, others):
    """Both in one, each event at its share of the way."""
    placed = [(i / len(events), e) for i, e in enumerate(events)]
    placed += [(i / len(others), (e[0] + (1 << 40), *e[1:])) for i, e in enumerate(others)]
    return [event for _, event in sorted(placed, key=lambda p: p[0])]


def other_shapes(events, seed):
    """The same sizes, of other objects."""
    shapes = [e[1:] for e in events if len(e) > 1]
    random.Random(seed).shuffle(shapes)
    return [(e[0], *shapes.pop()) if len(e) > 1 else e for e in events]


def check_other(name, path, alike=True):
    """
    Where first fit alone is above the bound, caches add no more than is theirs; a twentieth where
    sizes and lifetimes no longer belong together.
    """
    first_fit = replay_json(path, env=EXACT)[0][0]
    peak, least = first_fit["peak_bytes_requested"], first_fit["area_top_bytes"]
    for threads, cpus, factor in (1, 1, 1.02), (CPUS, CPUS, 1.05):
        results, status = replay_json("--threads", str(threads), path)
        top = results[0]["area_top_bytes"]
        tap.ok(status == 0 and results[0]["peak_bytes_requested"] == peak
               and top <= max(factor * peak, least if alike else 1.05 * least) + CACHED * cpus,
               f"{name}, {threads} threads: {top} bytes for {peak}, first fit {least}")


def check_others():
    """Traces like those that were recorded."""
    one, two = map(events_of, RECORDED)
    check_other("both at once", trace_of(at_once(one, two)))
    for path, events in zip(RECORDED, (one, two)):
        check_other(f"{path.name} backwards", trace_of(backwards(events)))
        check_other(f"{path.name} twice at once", trace_of(at_once(events, events)))
        for seed in 1, 2:
            check_other(f"{path.name}, shapes shuffled by seed {seed}",
                        trace_of(other_shapes(events, seed)), alike=False)


def check_several_and_small():
    results, status = replay_json("--threads", "3", *RECORDED, "-")
    tap.ok(status == 0 and [r["threads"] for r in results] == [3, 3, 3], "several files")
    for text, remote in ((alloc(1) + free(1), 0), (alloc(1) + alloc(2) + free(2) + free(1), 2),
                         (2 * alloc(1) + free(1), 0), (alloc(1) + alloc(2) + free(2), 1)):
        found = replay_json("--threads", "2", file_with(text))[0][0]
        tap.ok(found["remote_frees"] == remote, f"{found['remote_frees']} remote frees of {remote}")


def check_long_stretch():
    """More than is dealt at once."""
    n = 10000
    text = "".join(alloc(i, 4, 4) for i in range(n)) + "".join(free(i) for i in range(n))
    results, status = replay_json("--threads", "3", file_with(text))
    found = results[0]
    tap.ok(status == 0 and (found["peak_objects"], found["peak_bytes_requested"], found["frees"],
                            found["remote_frees"]) == (n, 4 * n, n, 0), f"{n} objects in a row")


def check_failures():
    results, status = replay_json("--threads", "2", "--percpu", "4K", RECORDED[0])
    found = results[0]
    tap.ok(status == 1 and found["failures"] > 0 and found["corruptions"] == 0
           and found["unfreed_bytes"] == 0, "an area that is too small")
    results, status = replay_json("--threads", "2", "--percpu", "128K", RECORDED[0])
    tap.ok(status == 0 and results[0]["failures"] == 0, "an area that is just large enough")
    untouched = replay_json("--threads", "2", "--no-touch", RECORDED[0])[0][0]
    tap.ok(untouched["resident_bytes"] == 0, "--no-touch makes nothing resident")


def check_picture():
    path = os.path.join(SCRATCH.name, "picture.svg")
    result = tool("replay", "--json", "--threads", "3", "--svg", path, RECORDED[0])
    extents = []
    for title in xml.etree.ElementTree.parse(path).getroot().iter(SVG + "title"):
        if match := re.match(r"(?:object|free), (\d+) bytes at 0x(\w+)", title.text):
            extents.append((int(match[2], 16), int(match[1])))
    extents.sort()
    ends = [at + size for at, size in extents]
    tap.ok(result.returncode == 0 and len(extents) > 1000
           and [at for at, _ in extents] == [0] + ends[:-1], "svg: objects and gaps, none overlaps")
    result = tool("replay", "--threads", "3", "--map", RECORDED[0])
    tap.ok(result.returncode == 0 and "the area at its peak: 1,027 objects" in result.stdout, "map")


def masks_of(pid):
    """The CPUs that each thread of a process may use, the first thread's apart."""
    masks = {}
    for thread in map(int, os.listdir(f"/proc/{pid}/task")):
        masks[thread] = tuple(sorted(os.sched_getaffinity(thread)))
    return masks.pop(pid), collections.Counter(masks.values())


def check_cpus(allowed):
    """One more thread than two for each CPU, while they wait for the trace."""
    count = 2 * len(allowed) + 1
    expected = collections.Counter((allowed[i % len(allowed)],) for i in range(count))
    process = subprocess.Popen([TOOL, "replay", "--threads", str(count), "-"],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               preexec_fn=lambda: os.sched_setaffinity(0, allowed))
    end, first, others = time.monotonic() + 20, None, None
    while others != expected and time.monotonic() < end:
        time.sleep(0.01)
        try:
            first, others = masks_of(process.pid)
        except ProcessLookupError:  # a thread that has just ended, or not the command yet
            pass
    tap.ok(others == expected and first == tuple(allowed),
           f"{count} threads on {len(allowed)} CPUs: {dict(others)}")
    process.stdin.close()
    tap.ok(process.wait(timeout=60) == 0, f"{count} threads without work end")


def check_no_threads():
    """Stacks that no machine has room for."""
    huge = 1 << 50
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        tap.skip("no room for threads", "the size of stacks is limited")
        return
    result = tool("replay", "--threads", "2", RECORDED[0],
                  preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (huge, huge)))
    tap.ok((result.returncode, result.stdout) == (2, "") and
           result.stderr == "cpu-alloc: cannot start 2 threads: Resource temporarily unavailable\n",
           f"no room for threads: {result.stderr.strip()}")


check_recorded()
check_others()
check_several_and_small()
check_long_stretch()
check_failures()
check_picture()
usable = sorted(os.sched_getaffinity(0))
for some in {tuple(usable), (usable[-1],)}:
    check_cpus(some)
check_no_threads()
tap.done()
