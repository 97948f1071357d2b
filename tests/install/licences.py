#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""licences.py SOURCE_FOLDER: every tracked file names its licence in its first lines.

A file that cannot, because it is no text, has it in FILE.license beside it. The
texts of the licences are in LICENSES.
"""
import pathlib
import sys

from tap import diag, done, ok, run, skip

SOURCE = pathlib.Path(sys.argv[1])
LICENCE = "SPDX-License-Identifier: MIT OR GPL-2.0-only"


def names_licence(path):
    beside = path.with_name(path.name + ".license")
    head = (beside if beside.exists() else path).read_bytes()[:300]
    return LICENCE.encode() in b"\n".join(head.split(b"\n")[:2])


# Whoever owns the clone: as root, git would refuse that of another.
listed = run("git", "-c", f"safe.directory={SOURCE}", "-C", SOURCE, "ls-files", "-z")
files = [SOURCE / name for name in listed.stdout.split("\0") if name]
if listed.returncode:
    skip("licences", "not a git clone")
else:
    ok(SOURCE / "include/cpu_alloc.h" in files, "git lists the files")
    bad = [str(path.relative_to(SOURCE)) for path in files if path.is_file()
           and path.parent.name != "LICENSES" and not names_licence(path)]
    ok(not bad, f"each of the {len(files)} tracked files names its licence")
    diag("\n".join(bad))
for name in "MIT", "GPL-2.0-only":
    ok((SOURCE / "LICENSES" / f"{name}.txt").is_file(), f"the text of {name} is there")
done()
