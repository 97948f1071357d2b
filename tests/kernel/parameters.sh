# SPDX-License-Identifier: MIT OR GPL-2.0-only
# percpu=: what is taken, and what is refused with its reason.
. "${0%/*}/lib.sh"

# takes VALUE BYTES
takes()
{
	load "$1" && is "$(stat area_bytes)" "$2" &&
		is "$(cat /sys/module/cpu_alloc/parameters/percpu)" "$2" && unload cpu_alloc
}

# refuses VALUE REASON
refuses()
{
	mark_log
	if load "percpu=$1" 2>/dev/null; then
		unload cpu_alloc
		return 1
	fi
	log | grep -qF "cpu_alloc: percpu=$1: $2" || { log | diag && false; }
}

ok "without it 1 MiB" takes "" 1048576
ok "in bytes" takes percpu=65536 65536
ok "in K" takes percpu=256K 262144
ok "in k" takes percpu=64k 65536
ok "in M" takes percpu=2M 2097152
ok "in G" takes percpu=1G 1073741824
ok "the least" takes percpu=4K 4096
ok "rounded up to whole pages" takes percpu=33000 36864

for value in 0 3 4095 2G 1025M; do
	ok "out of bounds: $value" refuses "$value" 'not from 4K to 1G'
done
for value in '' K -1 '-64K' '+64K' 64KK 64T 64KB 0x10000 64Q 1.5M four \
	99999999999999999999999 18446744073709551615K 18014398509481985K; do
	ok "not a size: '$value'" refuses "$value" 'not a number'
done
ok "without a value" not load percpu 2>/dev/null
ok "unknown parameters are the kernel's business" load unknown=1
unload cpu_alloc

# As modprobe does it: of the kernel's command line, and of its arguments.
modules=/lib/modules/$(uname -r)
mkdir -p "$modules"
cp "$MODULES/cpu_alloc.ko" "$modules"
echo "cpu_alloc.ko:" >"$modules/modules.dep"
ok "cpu_alloc.percpu= of the command line" modprobe cpu_alloc
ok "... holds" is "$(stat area_bytes)" 196608
unload cpu_alloc
rm -r "$modules"

done_testing
