# SPDX-License-Identifier: MIT OR GPL-2.0-only
"""What the drivers here share: programs that are compiled, linked and run."""
import os
import pathlib
import shutil
import tempfile

from tap import diag, ok, run, skip

HERE = pathlib.Path(__file__).parent
COMMON = ["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread"]
for name in "CPU_ALLOC", "GLIBC_TUNABLES":
    os.environ.pop(name, None)


class Workshop:
    """A temporary folder, and the library: its source tree, and the folder it was built in."""

    def __init__(self, source, library):
        self.source, self.library = pathlib.Path(source), pathlib.Path(library)
        self.include = f"-I{self.source / 'include'}"
        self.archive = self.library / "libcpu_alloc.a"
        self.shared = self.library / "libcpu_alloc.so"
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        os.environ["LD_LIBRARY_PATH"] = f"{self.library}:{self.path}"

    def build(self, name, *command):
        """Compile or link @name. Returns its path, or None after a failed point or a skip."""
        path = self.path / name
        path.unlink(missing_ok=True)
        if not shutil.which(command[0]):
            return skip(f"{command[0]}: {name}", f"no {command[0]}")
        result = run(*command, *COMMON, self.include, "-o", path, cwd=HERE)
        if result.returncode == 0:
            return path
        ok(False, f"{' '.join(map(str, command))}: builds")
        diag(result.stdout[-3000:])
        return None


def ends_well(name, program, *arguments, path="rseq"):
    """@program exits with 0 and says that it works by @path. Returns what it printed."""
    result = run(program, *arguments)
    if not ok(result.returncode == 0 and f"path: {path}" in result.stdout, name):
        diag(f"status {result.returncode}\n{result.stdout[-2000:]}")
    return result.stdout


def linker_flags(name):
    """How to ask for another linker, None if there is no such."""
    return [f"-fuse-ld={name}"] if shutil.which(f"ld.{name}") else None
