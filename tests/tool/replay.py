#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""
The recorded traces through the command, each result against tool.py's own count:
to the byte where placement is first fit, within bounds where caches have a part.
"""
import os
import re

import tap
from tool import (EXACT, RECORDED, Expected, alloc, as_module, file_with, free, module_alloc,
                  module_free, recorded, replay_json, tool, without_times)

OTHER_KEYS = {"file", "resident_bytes", "ns_per_alloc", "ns_per_free", "cached_bytes"}
PLACES = {"area_top_bytes", "packing", "largest_free_bytes"}  # what caches change
SUMS = ("allocs", "frees", "skipped_frees", "lost_frees", "live_at_end", "peak_objects",
        "peak_bytes_requested", "padded_bytes", "power_of_two_bytes")
CACHED = 2 << 10  # bytes of the top that may be theirs, on each CPU


def areas():
    return int(re.search(r"areas +(\d+)", tool("info").stdout)[1]) + 1


def check_results(path, found, expected):
    name = path.name
    for key, value in expected.items():
        tap.ok(found.get(key) == value, f"{name}: {key} is {found.get(key)}, expected {value}")
    tap.ok(set(found) == set(expected) | OTHER_KEYS, f"{name}: no other keys")
    tap.ok(found["file"] == str(path), f"{name}: file")
    tap.ok(found["area_top_bytes"] <= 1.02 * found["peak_bytes_requested"], f"{name}: packing")
    tap.ok(found["cached_bytes"] == 0, f"{name}: no caches")
    tap.ok(all(0 < found[key] < 1e6 for key in ("ns_per_alloc", "ns_per_free")),
           f"{name}: times are sane")
    page = os.sysconf("SC_PAGESIZE")
    pages = -(-found["area_top_bytes"] // page) * page
    tap.ok(page <= found["resident_bytes"] <= areas() * pages,
           f"{name}: {found['resident_bytes']} resident bytes lie in used pages")


def is_packed(found, factor, cpus):
    return found["area_top_bytes"] <= factor * found["peak_bytes_requested"] + CACHED * cpus


def check_caches(path, expected):
    """As anybody runs it."""
    results, status = replay_json(path)
    found = results[0]
    tap.ok(status == 0 and all(found[key] == expected[key] for key in expected.keys() - PLACES),
           f"{path.name}: all but the places is the same with caches")
    tap.ok(is_packed(found, 1.02, 1),
           f"{path.name}: packing with caches: {found['area_top_bytes']} bytes")
    tap.ok(found["cached_bytes"] <= found["area_top_bytes"],
           f"{path.name}: {found['cached_bytes']} bytes in caches")


def check_forms(path, text, found):
    """The same trace in other clothes must give the same."""
    def same(name, trace, **options):
        result = replay_json(trace, env=EXACT, **options)
        tap.ok([without_times(r) for r in result[0]] == [without_times(found)], f"{path.name}: {name}")

    same("plain", file_with(text))
    with open(path, "rb") as stdin:
        same("gzip on standard input", "-", stdin=stdin)
    same("lines that end in CR", file_with(text.replace("\n", "\r\n")))
    same("without the last newline", file_with(text.rstrip("\n")))
    hidden = re.sub(r"\bptr=\w+", "ptr=(____ptrval____)", text)
    same("hidden ptr", file_with(hidden))
    same("all pointers hidden",
         file_with(re.sub(r"\bbase_addr=\w+", "base_addr=(____ptrval____)", hidden)))
    same("0x before pointers", file_with(re.sub(r"ptr=", "ptr=0x", text)))
    same("names with their system", file_with(re.sub(r": (percpu_\w+:)", r": percpu:\1", text)))
    same("the module's events", file_with(as_module(text)))
    same("blanks behind names", file_with(re.sub(r" (alloc|free): ", r" \1:  \t ", as_module(text))))
    same("the module's events, hidden ptr", file_with(as_module(hidden)))
    same("the module's events with their system", file_with(as_module(text, "cpu_alloc:")))


def check_both(path, text, found):
    """Each event twice, the kernel's and then the module's of the same ptr: twice as much."""
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("#")]
    both = "".join(line + as_module(line) for line in lines)
    results, status = replay_json(file_with(both), env=EXACT)
    tap.ok(status == 0 and all(results[0][key] == 2 * found[key] for key in SUMS),
           f"{path.name}: from both allocators at once")


def check_no_touch(path, found):
    untouched = replay_json("--no-touch", path, env=EXACT)[0][0]
    tap.ok(untouched["resident_bytes"] == 0, f"{path.name}: --no-touch makes nothing resident")
    tap.ok(without_times(untouched | {"resident_bytes": found["resident_bytes"]})
           == without_times(found), f"{path.name}: --no-touch changes no other result")


def check_several():
    """Each file is measured on its own, in any order."""
    one_by_one = {path: without_times(replay_json(path, env=EXACT)[0][0]) for path in RECORDED}
    for order in RECORDED, RECORDED[::-1], RECORDED + RECORDED:
        results, status = replay_json(*order, env=EXACT)
        tap.ok(status == 0 and [without_times(r) for r in results]
               == [one_by_one[path] for path in order], f"{len(order)} files in one run")
    aborts = os.environ | {"CPU_ALLOC": "on_error=abort"}
    results, status = replay_json(file_with(alloc(1, 8, 3)), RECORDED[1], env=aborts)
    tap.ok(status == 2 and [r["file"] for r in results] == [str(RECORDED[1])],
           "one that ends the process, and the next")
    small = replay_json(RECORDED[0], file_with(alloc(1)))[0][1]
    tap.ok(small["resident_bytes"] == areas() * os.sysconf("SC_PAGESIZE"),
           "nothing of a large trace is resident in the next")


def check_events():
    """Small traces, for what the recorded ones do not have."""
    for name, text, expected in (
        ("a lost free", alloc(1) + alloc(1, 32) + free(1),
         {"allocs": 2, "frees": 1, "lost_frees": 1, "peak_bytes_requested": 32, "peak_objects": 1,
          "area_top_bytes": 32, "live_at_end": 0}),
        ("a free of something older", free(1) + alloc(1) + free(1),
         {"allocs": 1, "frees": 1, "skipped_frees": 1}),
        ("a double free", alloc(1) + free(1) + free(1), {"frees": 1, "skipped_frees": 1}),
        ("odd sizes are not rounded", alloc(1, 5) + free(1) + alloc(1, 6) + alloc(2, 1, 1),
         {"peak_bytes_requested": 7, "area_top_bytes": 12, "live_at_end": 2}),
        ("a ptr of 64 bits", alloc(2**64 - 1) + free(2**64 - 1), {"frees": 1}),
        ("one ptr, another base_addr", alloc(1)[:-1] + " base_addr=1 off=2\n" + free(1),
         {"frees": 1}),
        ("hidden, other off", "percpu_alloc_percpu: size=4 align=4 base_addr=1 off=0 ptr=(x)\n"
         "percpu_free_percpu: base_addr=1 off=4 ptr=(x)\n", {"skipped_frees": 1}),
        ("hidden, other base_addr", "percpu_alloc_percpu: size=4 align=4 base_addr=1 off=0 ptr=(x)\n"
         "percpu_free_percpu: base_addr=2 off=0 ptr=(x)\n", {"skipped_frees": 1}),
        ("a small hole is filled", alloc(1, 4, 4) + alloc(2, 8, 8) + alloc(3, 4, 4),
         {"area_top_bytes": 16, "peak_bytes_requested": 16, "padded_bytes": 192,
          "power_of_two_bytes": 16}),
        ("a power of two holds its alignment", alloc(1, 5, 32),
         {"power_of_two_bytes": 32, "area_top_bytes": 8, "padded_bytes": 64}),
        ("the module's events", module_alloc(1) + module_alloc(2, 4, 4) + module_free(1),
         {"allocs": 2, "frees": 1, "live_at_end": 1, "area_top_bytes": 20}),
        ("one ptr of two allocators", alloc(1) + module_alloc(1, 32),
         {"allocs": 2, "lost_frees": 0, "live_at_end": 2, "area_top_bytes": 48}),
        ("a free by the module of what is the kernel's", alloc(1) + module_free(1),
         {"frees": 0, "skipped_frees": 1, "live_at_end": 1}),
        ("a free by the kernel of what is the module's", module_alloc(1) + free(1),
         {"frees": 0, "skipped_frees": 1, "live_at_end": 1}),
        ("frees of one ptr of two allocators",
         alloc(1, 8) + module_alloc(1, 16) + module_free(1) + alloc(2, 16) + free(1),
         {"frees": 2, "skipped_frees": 0, "live_at_end": 1, "area_top_bytes": 24}),
        ("no bytes", alloc(1, 0) + free(1), {"failures": 0, "frees": 1, "area_top_bytes": 0}),
        ("no lines", "", {"events": 0, "packing": 0, "ns_per_alloc": 0, "resident_bytes": 0}),
    ):
        results, status = replay_json(file_with(text), env=EXACT)
        found = {key: results[0][key] for key in expected} if results else None
        tap.ok(status == 0 and found == expected, f"{name}: {found}, status {status}")


def check_failures():
    for name, size, align in (("a huge size", 2**63, 8), ("the largest size", 2**64 - 1, 8),
                              ("more than an area", 1 << 25, 8), ("alignment 3", 8, 3),
                              ("alignment 8192", 8, 8192), ("alignment 2^63", 8, 2**63)):
        text = alloc(1) + alloc(2, size, align) + free(2) + alloc(3, 4) + free(1)
        results, status = replay_json(file_with(text))
        found = results[0] if results else {}
        tap.ok(status == 1 and found.get("failures") == 1 and found["peak_bytes_requested"] == 20
               and found["frees"] == 2, f"{name} is a failure, and the rest goes on")
    results, status = replay_json("--percpu", "4K", RECORDED[0])
    tap.ok(status == 1 and results[0]["failures"] > 0 and results[0]["area_top_bytes"] <= 4096
           and results[0]["corruptions"] == 0, "an area that is too small")
    results, status = replay_json("--percpu", "120K", RECORDED[0])
    tap.ok(status == 0 and results[0]["failures"] == 0, "an area that is just large enough")


def main():
    tap.ok(len(RECORDED) == 2, "there are two recorded traces")
    for path in RECORDED:
        text = recorded(path)
        results, status = replay_json(path, env=EXACT)
        expected = Expected(text).result
        if tap.ok(status == 0 and len(results) == 1, f"{path.name}: status {status}"):
            check_results(path, results[0], expected)
            check_caches(path, expected)
            check_forms(path, text, results[0])
            check_no_touch(path, results[0])
            check_both(path, text, results[0])
    check_several()
    check_events()
    check_failures()
    tap.done()


main()
