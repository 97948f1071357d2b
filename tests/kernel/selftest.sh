# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The test module's own tests, with areas of several sizes. Nothing may warn.
. "${0%/*}/lib.sh"

echo 1 >/proc/sys/kernel/panic_on_warn
for size in 256K 100K 64K 2M; do
	load percpu=$size
	mark_log
	ok "$size: all tests pass" load_test
	take_ktap "$size"
	unload cpu_alloc_test
	ok "$size: nothing is left behind" is "$(stat objects) $(stat cpu_bytes)" "0 0"
	ok "$size: no misuse" is "$(stat misuses)" 0
	mark_log
	unload cpu_alloc
	ok "$size: no leak" not logged leaked
done

load percpu=2M
mark_log
ok "packing passes" load_test run=packing
take_ktap packing
unload cpu_alloc_test
ok "no such run" not load_test run=nothing 2>/dev/null
unload cpu_alloc
echo 0 >/proc/sys/kernel/panic_on_warn
done_testing
