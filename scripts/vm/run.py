#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""run.py MACHINE BUILD WORK SUITE...: run tests of a build folder in a machine under QEMU.

WORK/debian holds the kernel and a static busybox (see fetch); below WORK come the
machine's first file system, its console and its results. The tests are those of
Meson's SUITEs that are programs of the build; with the same paths, environment,
and time limits that are longer by SLOWER. BUILD/meson-logs/testlog-vm.json is like
Meson's own log, for tally.py. A machine that does not come to its end is one more
test in there, which failed.
"""
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tally

MACHINES = {
    "aarch64": {
        "compiler": "aarch64-linux-gnu-gcc",
        "qemu": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72"],
        "console": "ttyAMA0",
        "results": "ttyS0",
        "libraries": ["ld-linux-aarch64.so.1", "libc.so.6", "libgcc_s.so.1"],
    },
}
COMMON = ["-accel", "tcg", "-smp", "4", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot"]
BOOT_SECONDS = 120
MACHINE_SECONDS = 1800  # for all of it
SLOWER = 5
CONSOLE_LINES = 30


def choose(build, suites):
    """The tests of these suites, without those that need more than the machine has."""
    introspect = json.loads((build / "meson-info/intro-tests.json").read_text())
    chosen = [test for test in introspect
              if any(suite.partition(":")[2] in suites for suite in test["suite"])]
    inside = [test for test in chosen if pathlib.Path(test["cmd"][0]).is_relative_to(build)]
    for test in chosen:
        if test not in inside:
            print(f"left out, no program of {build.name}: {tally.title(test)}")
    return inside


def script(build, tests):
    """What the machine runs, see init."""
    lines = []
    for number, test in enumerate(tests):
        environment = [f"{name}={value}" for name, value in test["env"].items()]
        lines.append(["run_test", str(number), str(test["timeout"] * SLOWER),
                      test["workdir"] or str(build), *environment, *test["cmd"]])
    return "".join(shlex.join(line) + "\n" for line in lines)


def library(machine, name):
    compiler = [machine["compiler"], f"-print-file-name={name}"]
    return subprocess.run(compiler, check=True, capture_output=True, text=True).stdout.strip()


def pack(machine, build, work, tests):
    """The machine's first file system; what was built is where it is here."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(build, root / build.relative_to("/"), symlinks=True,
                    ignore=shutil.ignore_patterns("*.o", "*.a", "*.p", "meson-*"))
    for folder in "bin", "lib":
        (root / folder).mkdir()
    for name in machine["libraries"]:
        shutil.copy(library(machine, name), root / "lib")
    shutil.copy(work / "debian/bin/busybox", root / "bin")
    shutil.copy(pathlib.Path(__file__).with_name("init"), root)
    (root / "tests").write_text(script(build, tests))
    with open(work / "initramfs", "wb") as out:
        subprocess.run("find . | cpio --quiet -o -H newc", shell=True, check=True, cwd=root,
                       stdout=out)


def boot(machine, work):
    """Run the machine to its end. Returns what QEMU has to say of it, or nothing."""
    kernel = next((work / "debian/boot").glob("vmlinuz-*"))
    append = f"console={machine['console']} panic=-1 results={machine['results']}"
    for name in "console", "results":
        (work / name).write_bytes(b"")
    # timeout(1) ends it too if this program does not live to do it.
    command = ["timeout", "--foreground", "-k", "5", str(MACHINE_SECONDS), *machine["qemu"],
               *COMMON, "-kernel", kernel, "-initrd", work / "initramfs", "-append", append,
               "-serial", f"file:{work}/console",
               "-chardev", f"file,id=results,path={work}/results",
               "-device", "pci-serial,chardev=results"]
    qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        qemu.wait(BOOT_SECONDS)
    except subprocess.TimeoutExpired:
        if not (work / "results").stat().st_size:
            qemu.terminate()
            qemu.wait()
            return f"not up after {BOOT_SECONDS} s"
    status = qemu.wait()
    if status == 124:
        return f"not ready after {MACHINE_SECONDS} s"
    return f"QEMU ended with status {status}" if status else ""


def outcome(status, late):
    if late:
        return "TIMEOUT"
    return {0: "OK", 77: "SKIP"}.get(status, "FAIL")


def read_results(tests, data):
    """What Meson would log of each test; and how far the machine came: "", start, end."""
    logged, stage = [], ""
    while data:
        line, _, data = data.partition(b"\n")
        if line in (b"start", b"end"):
            stage = line.decode()
            continue
        number, status, late, start, end, *sizes = line.decode().split()[1:]
        out, err = map(int, sizes)
        if len(data) < out + err:
            break
        logged.append({
            "name": tally.title(tests[int(number)]),
            "result": outcome(int(status), late == "1"),
            "returncode": int(status),
            "duration": float(end) - float(start),
            "stdout": data[:out].decode(errors="replace"),
            "stderr": data[out:out + err].decode(errors="replace"),
        })
        data = data[out + err:]
    return logged, stage


def machine_failed(work, tests, done, stage, wrong):
    """A test of the log, which says how far the machine came."""
    console = (work / "console").read_text(errors="replace").splitlines()
    print(f"The end of the machine's console ({work}/console):")
    print("\n".join(console[-CONSOLE_LINES:]) or "nothing")
    panic = [line for line in console if "Kernel panic" in line]
    wrong = wrong or " ".join(panic) or "ended"
    if not stage:
        where = "before the first test"
    elif done < len(tests):
        where = f"in {tally.title(tests[done])}"
    else:
        where = "after the last test"
    return {"name": f"the machine, {done} of {len(tests)} tests done: {wrong}, {where}",
            "result": "ERROR", "returncode": 1, "stdout": ""}


def show(test):
    print(f"{test['name']:40} {test['result']:8} {test['duration']:6.1f} s")
    if test["result"] not in ("OK", "SKIP"):
        print(test["stdout"] + test["stderr"])


def main(name, build, work, *suites):
    machine = MACHINES[name]
    build, work = pathlib.Path(build).resolve(), pathlib.Path(work).resolve()
    tests = choose(build, suites)
    pack(machine, build, work, tests)
    wrong = boot(machine, work)
    logged, stage = read_results(tests, (work / "results").read_bytes())
    for test in logged:
        show(test)
    if wrong or stage != "end" or len(logged) < len(tests):
        logged.append(machine_failed(work, tests, len(logged), stage, wrong))
    (build / "meson-logs/testlog-vm.json").write_text(
        "".join(json.dumps(test) + "\n" for test in logged))


if __name__ == "__main__":
    main(*sys.argv[1:])
