#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What people see: the text, the map, the picture, info, help, and bad usage."""
import json
import os
import pty
import re
import subprocess
import time
import xml.etree.ElementTree

import tap
from tool import (EXACT, RECORDED, SCRATCH, TOOL, TRACES, alloc, file_with, free, replay_json,
                  tool)

SVG = "{http://www.w3.org/2000/svg}"
LOCALES = {"C": {"LC_ALL": "C"}, "C.UTF-8": {"LC_ALL": "C.UTF-8"}}


def in_locale(name):
    return os.environ | LOCALES[name]


def check_text():
    result = tool("replay", *RECORDED, env=EXACT)
    found = replay_json(*RECORDED, env=EXACT)[0]
    tap.ok(result.returncode == 0 and not result.stderr, "text: status 0, nothing else is said")
    for one in found:
        for key in ("events", "peak_bytes_requested", "area_top_bytes", "padded_bytes",
                    "power_of_two_bytes", "largest_free_bytes"):
            tap.ok(f" {one[key]:,}" in result.stdout, f"text: {one[key]:,} {key}")
        tap.ok(f" {one['packing']:.3f}\n" in result.stdout, "text: packing")
    sizes = [1, 4, 5, 8, 9, 1024, 1025, 3 << 20]
    result = tool("replay", file_with("".join(alloc(i, size, 4) for i, size in enumerate(sizes))))
    rows = re.findall(r"^ +(\d+ \w*B) +([\d,]+)  #+$", result.stdout, re.M)
    tap.ok(rows == [("1 B", "1"), ("4 B", "1"), ("8 B", "2"), ("16 B", "1"), ("1 KiB", "1"),
                    ("2 KiB", "1"), ("4 MiB", "1")], f"text: sizes {rows}")
    split = tool("replay", "--threads", "2", RECORDED[1])
    remote = re.search(r"^  frees by another thread than allocated +[\d,]+$", split.stdout, re.M)
    tap.ok(re.search(r"^  threads +2$", split.stdout, re.M) and remote, "text: threads")
    tap.ok(all(len(line) <= 80 for shown in (result, split)
               for line in shown.stdout.splitlines()[1:]), "text: 80 columns")


def cells(output):
    return "".join(re.findall(r"^ +0x[0-9a-f]+  (\S{64})$", output, re.M))


def check_map():
    for locale in LOCALES:
        for path in RECORDED:
            output = tool("replay", "--map", path, env=in_locale(locale)).stdout
            tap.ok(max(map(len, output.splitlines()[1:])) <= 80 and cells(output),
                   f"map: {path.name} in 80 columns, {locale}")
    exact = EXACT | LOCALES["C"]
    text = file_with(alloc(1, 12, 4) + alloc(2, 20, 4) + alloc(3, 60, 4) + free(2) + alloc(4, 128, 64))
    output = tool("replay", "--map", text, env=exact).stdout
    # 12 used, 20 free, 60 used, 36 free, 128 used: 4 bytes a cell
    tap.ok(cells(output) == "###....." + 15 * "#" + 9 * "." + 32 * "#", f"map: {cells(output)}")
    output = tool("replay", "--map", file_with(alloc(1, 16 << 10, 4) + alloc(2, 4, 1024)),
                  env=exact).stdout
    tap.ok(cells(output).rstrip(".") == 1024 * "#" + "3",
           "map: a quarter of a cell")
    tap.ok(cells(tool("replay", "--map", file_with("")).stdout), "map: of nothing")


def rectangles(tree, name):
    return [r for r in tree.iter(SVG + "rect") if name in r.get("class").split()]


def check_picture():
    path = os.path.join(SCRATCH.name, "picture.svg")
    for trace in RECORDED:
        result, found = tool("replay", "--svg", path, trace), replay_json(trace)[0][0]
        tree = xml.etree.ElementTree.parse(path).getroot()
        objects = rectangles(tree, "object")
        tap.ok(result.returncode == 0 and len(objects) == found["peak_objects"],
               f"svg: {len(objects)} objects of {found['peak_objects']}")
        width, height = int(tree.get("width")), int(tree.get("height"))
        tap.ok(all(float(r.get("x")) + float(r.get("width")) <= width
                   and float(r.get("y")) + float(r.get("height")) <= height
                   for name in ("object", "rest", "free", "key") for r in rectangles(tree, name)),
               "svg: nothing lies outside")
        used = sum(int(re.match(r"object, (\d+) bytes", r[0].text)[1]) for r in objects)
        tap.ok(found["peak_bytes_requested"] <= used <= found["peak_bytes_requested"] + 3 * len(objects),
               "svg: the sizes of the objects")
    # 12 used, 52 free, 1300 used: that takes 6 rows of 256 bytes
    tool("replay", "--svg", path, file_with(alloc(1, 12, 4) + alloc(2, 1300, 64)), env=EXACT)
    tree = xml.etree.ElementTree.parse(path).getroot()
    tap.ok([len(rectangles(tree, n)) for n in ("object", "rest", "free")] == [2, 5, 1],
           "svg: a large object in several rows")
    tap.ok([r[0].text for r in rectangles(tree, "free")] == ["free, 52 bytes at 0xc"],
           "svg: a gap")
    everything = "".join(alloc(i, 4 << i, 4) for i in range(14))
    tool("replay", "--svg", path, file_with(everything))
    tree = xml.etree.ElementTree.parse(path).getroot()
    tap.ok(len(rectangles(tree, "key")) == 13 and
           all(float(r.get("x")) + 81 <= int(tree.get("width")) for r in rectangles(tree, "key")),
           "svg: the whole legend fits")
    tool("replay", "--svg", path, file_with(""))
    tap.ok(not rectangles(xml.etree.ElementTree.parse(path).getroot(), "object"), "svg: of nothing")
    for bad in ("/dev/full", os.path.join(SCRATCH.name, "no", "x.svg")):
        result = tool("replay", "--svg", bad, RECORDED[1])
        tap.ok(result.returncode == 2 and bad in result.stderr, f"svg: {result.stderr.strip()}")


def check_names():
    """File names with any bytes are told in clean JSON and XML."""
    picture = os.path.join(SCRATCH.name, "picture.svg")
    for name, shown in ((b'quote " back \\ slash', None), (b"tab\tnewline\n\x01", None),
                        ("größe ∑ 🙂".encode(), None), (b"<a&b>", None), (b"\xff", "\ufffd"),
                        (b"cut \xe2\x82", "cut \ufffd\ufffd"), (b"long \xc0\xaf", "long \ufffd\ufffd"),
                        (b"half \xed\xa0\x80", "half \ufffd\ufffd\ufffd")):
        shown = shown or name.decode()
        path = os.path.join(SCRATCH.name.encode(), name)
        os.rename(file_with(alloc(1)), path)
        result = tool("replay", "--json", "--svg", picture, path)
        found = json.loads(result.stdout)["file"]
        tap.ok(found == f"{SCRATCH.name}/{shown}", f"JSON: a file called {name}")
        title = xml.etree.ElementTree.parse(picture).getroot().find(SVG + "title").text
        expected = re.sub(r"[\x00-\x1f]", "\ufffd", f"{SCRATCH.name}/{shown}")
        tap.ok(title == expected, f"XML: a file called {name}")


def check_usage():
    good = str(RECORDED[1])
    for arguments, reason in (
        ([], "no command"),
        (["walk"], "unknown command 'walk'"),
        (["replay"], "replay: no FILE"),
        (["replay", "--frob", good], "unknown option '--frob'"),
        (["replay", "-x", good], "unknown option '-x'"),
        (["replay", good, "--svg"], "option '--svg' needs a value"),
        (["replay", good, "--threads"], "option '--threads' needs a value"),
        (["replay", "--map=3", good], "option '--map=3' takes no value"),
        (["replay", "--json", "--map", good], "--json and --map exclude each other"),
        (["replay", "--svg", "x", good, good], "--svg x: takes one trace, not 2"),
        (["info", "now"], "info: unknown argument 'now'"),
        *((["replay", "--threads", number, good],
           f"--threads: bad number '{number}', not from 1 to 4096")
          for number in ("0", "-1", "+1", "1x", "x", "", " 2", "2 ", "4097", "100000", "9" * 30)),
        *((["replay", "--percpu", size, good], f"--percpu: bad size '{size}'")
          for size in ("0", "3", "-1", "", "64Q", "1T", "16M,rseq=off", "x" * 100)),
    ):
        result = tool(*arguments)
        tap.ok(result.returncode == 2 and not result.stdout and f"cpu-alloc: {reason}\n"
               in result.stderr and result.stderr.endswith("Try 'cpu-alloc --help'.\n"),
               f"usage: {reason}")
    for files in (good,), (good, good):
        with open("/dev/full", "w") as full:
            result = tool("replay", *files, stdout=full)
        tap.ok(result.returncode == 2 and "standard output: No space left" in result.stderr,
               f"usage: nowhere to write, {len(files)} files")


def check_help():
    result = tool("--help")
    tap.ok(result.returncode == 0 and all(word in result.stdout for word in (
        "replay", "info", "--json", "--map", "--svg", "--percpu", "--no-touch", "--threads",
        "--version")),
        "--help names everything")
    tap.ok(max(map(len, result.stdout.splitlines())) <= 80, "--help in 80 columns")
    result = tool("--version")
    tap.ok(result.returncode == 0 and re.fullmatch(r"cpu-alloc \d+\.\d+\n", result.stdout),
           "--version")


def check_manual():
    manual = (TRACES.parent / "man/cpu-alloc.1").read_text()
    for key in replay_json(RECORDED[1])[0][0]:
        tap.ok(re.search(rf"^\.It Va .*\b{key}\b", manual, re.M), f"the manual has {key}")
    for option in re.findall(r"^  --([a-z-]+)", tool("--help").stdout, re.M):
        tap.ok(f"\n.It Fl -{option}" in manual, f"the manual has --{option}")


def cpu_list(name):
    with open(f"/sys/devices/system/cpu/{name}") as file:
        return file.read().strip()


def check_info():
    result = tool("info", env=os.environ | {"CPU_ALLOC": "percpu=64K,cpus=512,rseq=off"})
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in result.stdout.splitlines())
    if os.path.exists("/sys/devices/system/cpu/possible"):
        online, last = cpu_list("online"), re.split("[-,]", cpu_list("possible"))[-1]
        tap.ok(rows["CPUs online"] == online, f"info: CPUs online {online}")
        tap.ok(rows["CPUs possible"] == str(int(last) + 1), f"info: CPUs possible up to {last}")
    for name, expected in (
        ("page", f"{os.sysconf('SC_PAGESIZE'):,} bytes"), ("areas", "512, and one for strays"),
        ("area, percpu=", "65,536 bytes"), ("unit", "4 bytes"),
        ("largest alignment", "4,096 bytes"),
    ):
        tap.ok(rows.get(name) == expected, f"info: {name} {rows.get(name)}")
    tap.ok(rows["concurrency ids"] in ("available", "not available"), "info: concurrency ids")
    tap.ok(rows["operations"] == "atomic: rseq=off", f"info: rseq=off shows: {rows['operations']}")
    stride = int(re.sub(r"\D", "", rows["stride"]))
    least, most = re.findall(r"[\d,]+", rows["percpu= limits"])
    tap.ok(least == "4,096" and int(most.replace(",", "")) == stride - (1 << 20), "info: limits")
    for size in int(most.replace(",", "")), 4096:
        tap.ok(tool("replay", "--percpu", str(size), file_with(alloc(1))).returncode == 0,
               f"info: the limit {size} holds")


def read_all(screen):
    """What was written to a terminal that nobody holds open any more."""
    shown = b""
    try:
        while part := os.read(screen, 10000):
            shown += part
    except OSError:  # that is how Linux tells the end
        pass
    return shown.decode()


def check_progress():
    """On a terminal a long run shows how far it is; elsewhere nothing."""
    screen, terminal = pty.openpty()
    command = subprocess.Popen([TOOL, "replay", "--json", "-"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    for _ in range(3):
        command.stdin.write(4096 * alloc(1).encode())
        command.stdin.flush()
        time.sleep(0.3)
    command.stdin.close()
    command.wait(timeout=60)
    shown = read_all(screen)
    tap.ok("-: 8192 events" in shown and shown.endswith("\x1b[K"), f"progress: {shown!r}")
    tap.ok(tool("replay", file_with(12288 * alloc(1))).stderr == "", "no terminal: no progress")


check_text()
check_map()
check_picture()
check_names()
check_usage()
check_help()
check_manual()
check_info()
check_progress()
tap.done()
