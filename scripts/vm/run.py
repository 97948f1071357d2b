#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""run.py MACHINE KERNEL BUILD WORK [SUITE...]: run tests in a machine under QEMU.

KERNEL holds a kernel and a static busybox (see fetch), BUILD what was built for the
machine. Into WORK come its first file system, its console and its results. The tests
are those of Meson's SUITEs that are programs of BUILD, with the same paths, environment,
and time limits that are longer by SLOWER; and, where a machine tests the kernel's
module, the scripts tests/kernel/*.sh: all, or with SUITEs like kernel/benchmark only those.
WORK/meson-logs/testlog.json is like Meson's own log, for tally.py. A machine that does
not come to its end is one more test in there, which failed.

The module is taken from build-kernel/RELEASE, RELEASE being the machine's kernel. A
script finds it in $MODULES. It runs on all machines that test the module, or on those that
a line "# machine: NAME..." in it names.
"""
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tally

X86_64 = {
    "compiler": "gcc",
    "qemu": ["qemu-system-x86_64", "-M", "q35", "-cpu", "max"],
    "console": "ttyS0",
    "results": "ttyS1",
    "libraries": ["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libz.so.1"],
    # The options of the module are for a test, which looks whether they are taken from here.
    "append": "oops=panic panic_on_warn=0 init_on_alloc=0 log_buf_len=1M cpu_alloc.percpu=192K",
    "module": True,
}
NODES = [argument for node, cpus in enumerate(["0-1", "2-3"]) for argument in (
    "-object", f"memory-backend-ram,id=m{node},size=512M",
    "-numa", f"node,nodeid={node},cpus={cpus},memdev=m{node}")]
MACHINES = {
    "aarch64": {
        "compiler": "aarch64-linux-gnu-gcc",
        "qemu": ["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a72", "-smp", "4"],
        "console": "ttyAMA0",
        "results": "ttyS0",
        "libraries": ["ld-linux-aarch64.so.1", "libc.so.6", "libgcc_s.so.1"],
        "append": "",
        "module": False,
    },
    "x86_64": {**X86_64, "qemu": [*X86_64["qemu"], "-smp", "4", *NODES],
               "append": X86_64["append"] + " preempt=full"},
    "x86_64-rt": {**X86_64, "qemu": [*X86_64["qemu"], "-smp", "4"]},
    "x86_64-one": {**X86_64, "qemu": [*X86_64["qemu"], "-smp", "1"]},
}
COMMON = ["-accel", "tcg", "-m", "1G", "-nodefaults", "-display", "none", "-no-reboot"]
SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
BOOT_SECONDS = 120
MACHINE_SECONDS = 1800  # for all of it
SLOWER = 5
MODULES = "/modules"
SCRIPT_SECONDS = 120  # times nothing: meant for these machines
CRASH = r"BUG:|Oops|Kernel panic"
CONSOLE_LINES = 30
CONSOLE_MOST = 200


def release(kernel):
    return next((kernel / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")


def program_tests(build, suites):
    """The tests of these suites, without those that need more than the machine has."""
    if not suites:
        return []
    introspect = json.loads((build / "meson-info/intro-tests.json").read_text())
    chosen = [test for test in introspect
              if any(suite.partition(":")[2] in suites for suite in test["suite"])]
    inside = [test for test in chosen if pathlib.Path(test["cmd"][0]).is_relative_to(build)]
    for test in chosen:
        if test not in inside:
            print(f"left out, no program of {build.name}: {tally.title(test)}")
    return [{
        "title": tally.title(test),
        "protocol": test["protocol"],
        "seconds": test["timeout"] * SLOWER,
        "folder": test["workdir"] or str(build),
        "environment": test["env"],
        "command": test["cmd"],
    } for test in inside]


def runs_on(script, name):
    machines = re.search(r"^# machine: *(.+)$", script.read_text(), re.M)
    return not machines or {"all", name} & set(machines[1].split())


def module_tests(name, suites, environment):
    """The scripts that test the kernel's module in this machine."""
    named = {suite for suite in suites if suite.startswith("kernel/")}
    scripts = sorted(script for script in (SOURCE / "tests/kernel").glob("*.sh")
                     if not named or f"kernel/{script.stem}" in named)
    return [{
        "title": f"kernel / {script.stem}",
        "protocol": "tap",
        "seconds": SCRIPT_SECONDS,
        "folder": "/",
        "environment": {"MODULES": MODULES, **environment},
        "command": ["sh", str(script)],
    } for script in scripts if script.name != "lib.sh" and runs_on(script, name)]


def calls(tests):
    """What the machine runs, see init."""
    lines = []
    for number, test in enumerate(tests):
        environment = [f"{name}={value}" for name, value in test["environment"].items()]
        lines.append(["run_test", str(number), test["title"], str(test["seconds"]),
                      test["folder"], *environment, *test["command"]])
    return "".join(shlex.join(line) + "\n" for line in lines)


def library(machine, name):
    compiler = [machine["compiler"], f"-print-file-name={name}"]
    return subprocess.run(compiler, check=True, capture_output=True, text=True).stdout.strip()


def pack_programs(machine, build, root):
    """What was built is where it is here."""
    shutil.copytree(build, root / build.relative_to("/"), symlinks=True,
                    ignore=shutil.ignore_patterns("*.o", "*.a", "*.p", "meson-*"))
    for name in machine["libraries"]:
        shutil.copy(library(machine, name), root / "lib")


def pack_module(kernel, root):
    folder = root / MODULES.lstrip("/")
    folder.mkdir()
    for path in (SOURCE / "build-kernel" / release(kernel)).glob("*.ko"):
        shutil.copy(path, folder)
    scripts = SOURCE / "tests/kernel"
    shutil.copytree(scripts, root / scripts.relative_to("/"), dirs_exist_ok=True)


def pack(machine, kernel, build, work, tests):
    """The machine's first file system."""
    root = work / "root"
    shutil.rmtree(root, ignore_errors=True)
    for folder in "bin", "lib":
        (root / folder).mkdir(parents=True)
    (root / "lib64").symlink_to("lib")
    if any(test["command"][0].startswith(str(build)) for test in tests):
        pack_programs(machine, build, root)
    if machine["module"]:
        pack_module(kernel, root)
    shutil.copy(kernel / "bin/busybox", root / "bin")
    for name in "init", "log.awk":
        shutil.copy(pathlib.Path(__file__).with_name(name), root)
    (root / "tests").write_text(calls(tests))
    with open(work / "initramfs", "wb") as out:
        subprocess.run("find . | cpio --quiet -o -H newc", shell=True, check=True, cwd=root,
                       stdout=out)


def boot(machine, kernel, work):
    """Run the machine to its end. Returns what QEMU has to say of it, or nothing."""
    append = (f"console={machine['console']} panic=-1 results={machine['results']} "
              f"{machine['append']}")
    for name in "console", "results":
        (work / name).write_bytes(b"")
    # timeout(1) ends it too if this program does not live to do it.
    command = ["timeout", "--foreground", "-k", "5", str(MACHINE_SECONDS), *machine["qemu"],
               *COMMON, "-kernel", kernel / "boot" / f"vmlinuz-{release(kernel)}",
               "-initrd", work / "initramfs", "-append", append,
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
        out, err, log = map(int, sizes)
        if len(data) < out + err + log:
            break
        logged.append({
            "name": tests[int(number)]["title"],
            "protocol": tests[int(number)]["protocol"],
            "result": outcome(int(status), late == "1"),
            "returncode": int(status),
            "duration": float(end) - float(start),
            "stdout": data[:out].decode(errors="replace"),
            "stderr": data[out:out + err].decode(errors="replace"),
            "kernel": data[out + err:out + err + log].decode(errors="replace"),
        })
        data = data[out + err + log:]
    return logged, stage


def end_of_console(lines):
    """From the first sign of a crash in the last test on, if there is one."""
    begun = [n for n, line in enumerate(lines) if re.search(r"\] test \d+: ", line)]
    last = lines[begun[-1]:] if begun else lines
    crash = [n for n, line in enumerate(last) if re.search(CRASH, line)]
    return last[crash[0]:][:CONSOLE_MOST] if crash else lines[-CONSOLE_LINES:]


def machine_failed(work, tests, done, stage, wrong):
    """A test of the log, which says how far the machine came."""
    console = (work / "console").read_text(errors="replace").splitlines()
    print(f"The end of the machine's console ({work}/console):")
    print("\n".join(end_of_console(console)) or "nothing")
    panic = [line for line in console if "Kernel panic" in line]
    wrong = wrong or " ".join(panic) or "ended"
    if not stage:
        where = "before the first test"
    elif done < len(tests):
        where = f"in {tests[done]['title']}"
    else:
        where = "after the last test"
    return {"name": f"the machine, {done} of {len(tests)} tests done: {wrong}, {where}",
            "protocol": "exitcode", "result": "ERROR", "returncode": 1, "stdout": ""}


def show(test):
    """What a test has measured is a comment of two characters, and shown in any case."""
    result = "KERNEL" if test["kernel"] else test["result"]
    print(f"{test['name']:40} {result:8} {test['duration']:6.1f} s")
    if result in ("OK", "SKIP"):
        print("".join(line for line in test["stdout"].splitlines(True) if line.startswith("## ")),
              end="")
    else:
        print(test["stdout"] + test["stderr"] + test["kernel"])


def main(name, kernel, build, work, *suites):
    machine = MACHINES[name]
    kernel, build, work = (pathlib.Path(path).resolve() for path in (kernel, build, work))
    tests = program_tests(build, suites)
    if machine["module"]:
        command = {"CPU_ALLOC_COMMAND": str(build / "tools/cpu-alloc")} if tests else {}
        tests += module_tests(name, suites, command)
    pack(machine, kernel, build, work, tests)
    wrong = boot(machine, kernel, work)
    logged, stage = read_results(tests, (work / "results").read_bytes())
    for test in logged:
        show(test)
    if wrong or stage != "end" or len(logged) < len(tests):
        logged.append(machine_failed(work, tests, len(logged), stage, wrong))
    (work / "meson-logs").mkdir(exist_ok=True)
    (work / "meson-logs/testlog.json").write_text(
        "".join(json.dumps(test) + "\n" for test in logged))


if __name__ == "__main__":
    main(*sys.argv[1:])
