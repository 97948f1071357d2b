#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Run all benchmarks one after another; CSV to standard output.
#
#	run.sh BUILD-FOLDER
set -eu

build=$1
here=$(dirname "$0")
bench=$build/bench/bench

machine()
{
	sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1
}

cat <<EOT
# machine: $(machine), $(nproc) CPUs
# kernel: $(uname -srm)
# compiler: $(sed -n 's/^C compiler for the host machine: *//p' "$build/meson-logs/meson-log.txt" | head -n 1)
# date: $(date -u +%Y-%m-%dT%H:%MZ)
# command: $0 $*
# median of 15 rounds; low and high are the quartiles
name,parameters,median,low,high,unit,target,met
EOT

"$bench-map"
"$bench-worst"
"$bench-library" zeroed
"$bench-library" zeroed 512
"$bench-stride"
for what in alloc alloc-latency; do
	# Room for the thread-local memory of jemalloc.
	GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384 "$bench-$what"
done
CPU_ALLOC=rseq=off "$bench-alloc" pair "rseq=off"
"$bench-alloc-layout"
"$bench-alloc-drain"
for index in cpu cid; do
	CPU_ALLOC=index=$index "$bench-ops" add "index=$index"
done
GLIBC_TUNABLES=glibc.pthread.rseq=0 "$bench-ops" add "own registration"
CPU_ALLOC=rseq=off "$bench-ops" add "rseq=off"
"$bench-ops" others "index=cpu"
"$bench-ops-threads"
"$bench-ops-sum"
"$bench-ops-sum" 64

# The highest byte ever used per byte asked at the peak, of a recorded trace.
number()
{
	sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

for trace in "$here"/../traces/*.gz; do
	json=$("$build/tools/cpu-alloc" replay --json --no-touch "$trace")
	top=$(echo "$json" | number area_top_bytes)
	peak=$(echo "$json" | number peak_bytes_requested)
	awk -v top="$top" -v peak="$peak" -v trace="$(basename "$trace")" 'BEGIN {
		ratio = top / peak
		printf "packing,%s,%.4f,%.4f,%.4f,bytes/byte,<= 1.02 + 2 KiB,%s\n",
			trace, ratio, ratio, ratio, top <= 1.02 * peak + 2048 ? "yes" : "NO" }'
done
