# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What readelf says of a file, and where the parts of a file lie in a process."""
import re

from tap import run

DESCRIPTOR, STUB = "cpu_alloc_rseq_cs.", "cpu_alloc_rseq_abort."


def symbols(path, prefix):
    """(address, name) of the symbols that begin with @prefix, which is cut off."""
    lines = run("readelf", "-sW", path).stdout.splitlines()
    fields = [line.split() for line in lines]
    return [(int(line[1], 16), line[7].removeprefix(prefix)) for line in fields
            if len(line) == 8 and line[7].startswith(prefix)]


def segments(path, kind):
    """(start, end) of the segments of that kind, as linked."""
    lines = run("readelf", "-lW", path).stdout.splitlines()
    fields = [line.split() for line in lines if line.split()[:1] == [kind]]
    return [(int(line[2], 16), int(line[2], 16) + int(line[5], 16)) for line in fields]


def mappings(maps, path):
    """(start, end, permissions) of what /proc/self/maps, in @maps, says of @path."""
    found = re.findall(rf"^(\w+)-(\w+) (\S+) .* {re.escape(str(path))}$", maps, re.M)
    return [(int(start, 16), int(end, 16), permissions) for start, end, permissions in found]


def permissions_of(address, path, maps):
    """Of the page that @address, as linked, lies in at run time; "" if it is not mapped."""
    mapped = mappings(maps, path)
    if not mapped:
        return ""
    moved = mapped[0][0] - (segments(path, "LOAD")[0][0] & ~0xfff)
    for start, end, permissions in mapped:
        if start <= address + moved < end:
            return permissions
    return ""
