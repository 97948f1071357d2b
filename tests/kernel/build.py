#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""build.py ROOT: the kernel module compiles without a warning for every kernel whose headers
are installed; with sparse, where that is installed, it has no address spaces mixed up."""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap

SPARSE_GIVES_UP = "trying to concatenate"  # at the names of all gfp flags, from 6.12 on

root = pathlib.Path(sys.argv[1])
releases = sorted(path.parent.name for path in pathlib.Path("/lib/modules").glob("*/build")
                  if (path / "Makefile").exists())


def check(release):
    built = root / "build-kernel" / release
    shutil.rmtree(built, ignore_errors=True)
    flags = "KCFLAGS=-Werror" + (" C=1" if shutil.which("sparse") else "")
    result = tap.run("env", f"KBUILD_FLAGS={flags}", root / "scripts/module", release)
    modules = all((built / name).exists() for name in ("cpu_alloc.ko", "cpu_alloc_test.ko"))
    if not tap.ok(result.returncode == 0 and modules, f"the module is built for {release}"):
        tap.diag(result.stdout[-2000:])
    warnings = [line for line in result.stdout.splitlines()
                if "warning:" in line and SPARSE_GIVES_UP not in line]
    if not tap.ok(not warnings, f"{release}: without a warning"):
        tap.diag("\n".join(warnings))


for release in releases:
    check(release)
if not releases:
    tap.skip("the module is built", "no kernel's headers are installed")
tap.done()
