#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Build the core alone, and fail if it needs or keeps anything of its own:
# an undefined symbol (libc, libgcc, what a compiler makes of a loop), or data
# that can be written (a global).
#
#	freestanding.sh OUTPUT COMPILER... -- SOURCE...
set -eu

output=$1
shift
compiler=
while [ "$1" != -- ]; do
	compiler="$compiler $1"
	shift
done
shift

# gcc makes memset and memcpy of loops in spite of -fno-builtin.
flags='-std=gnu11 -O2 -ffreestanding -fno-builtin -fno-pic -fno-stack-protector'
if ! $compiler --version | grep -q clang; then
	flags="$flags -fno-tree-loop-distribute-patterns"
fi

parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
for source; do
	$compiler $flags -c "$source" -o "$parts/$(basename "$source" .c).o"
done
$compiler -nostdlib -r "$parts"/*.o -o "$parts/core"

undefined=$(nm -u "$parts/core")
globals=$(nm "$parts/core" | grep -i ' [bcdgs] ' || true)
if [ -n "$undefined$globals" ]; then
	echo "the core is not freestanding: undefined symbols or global data:" >&2
	echo "$undefined$globals" >&2
	exit 1
fi
mv "$parts/core" "$output"
