# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""The command under test, and a reader of traces that is not its own."""
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

TOOL, TRACES = sys.argv[1], pathlib.Path(sys.argv[2])
RECORDED = sorted(TRACES.glob("*.gz"))
SCRATCH = tempfile.TemporaryDirectory()
TIMES = {"ns_per_alloc", "ns_per_free"}
# Without sections there are no caches, and placement is first fit, exactly.
EXACT = os.environ | {"CPU_ALLOC": "rseq=off"}
LINE = re.compile(r": percpu_(alloc|free)_percpu: (.*)")
AREA = 16 << 20


def tool(*arguments, **options):
    """Run it; the result has .returncode and, as text, .stdout and .stderr."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, "timeout": 100} | options
    result = subprocess.run([TOOL, *arguments], **options)
    result.stdout = (result.stdout or b"").decode()
    result.stderr = (result.stderr or b"").decode(errors="replace")
    return result


def replay_json(*arguments, **options):
    """The objects that `replay --json` prints, and its status."""
    result = tool("replay", "--json", *arguments, **options)
    return [json.loads(line) for line in result.stdout.splitlines()], result.returncode


def file_with(text, name="trace"):
    path = os.path.join(SCRATCH.name, name)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def alloc(ptr, size=16, align=8):
    return f"x-1 [000] ..... 1.000000: percpu_alloc_percpu: size={size} align={align} ptr={ptr:016x}\n"


def free(ptr):
    return f"x-1 [000] d..1. 1.000000: percpu_free_percpu: ptr={ptr:016x}\n"


def module_alloc(ptr, size=16, align=8, name="alloc"):
    return (f"kworker/0:1-12 [000] d..1. 940.438: {name}: call_site=foo+0x2/0x10 [mod] reserved=0 "
            f"is_atomic=0 size={size} align={align} base_addr=0000000012345678 off=78512 "
            f"ptr={ptr:016x} bytes_alloc={size} gfp_flags=GFP_KERNEL|__GFP_ZERO\n")


def module_free(ptr, name="free"):
    return (f"kworker/0:1-12 [000] d..1. 940.438: {name}: base_addr=0000000012345678 off=78512 "
            f"ptr={ptr:016x}\n")


def as_module(text, system=""):
    """The kernel's events in @text, as if they were the module's."""
    return re.sub(r"\bpercpu_(alloc|free)_percpu: ", rf"{system}\1: ", text)


def without_times(result):
    return {key: value for key, value in result.items() if key not in TIMES | {"file"}}


class Area:
    """First fit by plain search in an array of units."""

    def __init__(self):
        self.used = bytearray(AREA // 4)
        self.top = 0

    def take(self, size, align):
        units, step = -(-size // 4), max(align // 4, 1)
        if units <= 64 and units % 2 == 0:  # as those are that go through caches
            step = max(step, 2)
        at = 0
        while True:
            at = self.used.find(bytes(units), at)
            if at % step == 0:
                break
            at += step - at % step
            if not any(self.used[at:at + units]):
                break
        self.used[at:at + units] = b"\1" * units
        self.top = max(self.top, 4 * (at + units))
        return at, units

    def give(self, at, units):
        self.used[at:at + units] = bytes(units)

    def largest_free(self):
        return 4 * max(map(len, self.used.split(b"\1")))


class Expected:
    """What a replay of a recorded trace must find."""

    def __init__(self, text, threads=1):
        self.area, self.live, self.threads, self.ends = Area(), {}, threads, 0
        self.now = dict.fromkeys(("peak_bytes_requested", "padded_bytes", "power_of_two_bytes"), 0)
        self.result = dict.fromkeys((
            "allocs", "frees", "skipped_frees", "lost_frees", "comments", "failures",
            "refused_frees", "unfreed_bytes", "corruptions", "other_lines", "lost_marks",
            "lost_events", "peak_objects", "remote_frees", *self.now), 0)
        for line in text.splitlines():
            if match := LINE.search(line):
                fields = dict(item.split("=", 1) for item in match[2].split() if "=" in item)
                getattr(self, match[1])(fields)
            else:
                self.result["comments" if line.startswith("#") else "other_lines"] += 1
        self.finish()

    def account(self, size, align, sign):
        self.now["peak_bytes_requested"] += sign * size
        self.now["padded_bytes"] += sign * (-(-size // 64) * 64)
        self.now["power_of_two_bytes"] += sign * (1 << (max(size, align) - 1).bit_length())

    def alloc(self, fields):
        number = self.result["allocs"]
        self.result["allocs"] += 1
        if fields["ptr"] in self.live:
            self.result["lost_frees"] += 1
            self.end(fields["ptr"])
        size, align = int(fields["size"]), int(fields["align"])
        self.live[fields["ptr"]] = number, size, align, self.area.take(size, align)
        self.account(size, align, 1)
        if self.now["peak_bytes_requested"] > self.result["peak_bytes_requested"]:
            self.result["peak_objects"] = len(self.live)
        for key, value in self.now.items():
            self.result[key] = max(self.result[key], value)

    def free(self, fields):
        known = fields["ptr"] in self.live
        self.result["frees" if known else "skipped_frees"] += 1
        if known:
            self.end(fields["ptr"])

    def end(self, ptr):
        number, size, align, place = self.live.pop(ptr)
        # Both kinds of events are dealt in turn, each by itself.
        self.result["remote_frees"] += number % self.threads != self.ends % self.threads
        self.ends += 1
        self.account(size, align, -1)
        self.area.give(*place)

    def finish(self):
        result = self.result
        result["events"] = sum(result[key] for key in ("allocs", "frees", "skipped_frees"))
        result["threads"] = self.threads
        result["live_at_end"] = len(self.live)
        result["area_top_bytes"] = self.area.top
        result["largest_free_bytes"] = self.area.largest_free()
        result["packing"] = round(self.area.top / result["peak_bytes_requested"], 3)


def recorded(path):
    with gzip.open(path, "rt") as file:
        return file.read()
