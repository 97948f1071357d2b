# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Unloading: not while somebody uses it; what is left behind is reported.
. "${0%/*}/lib.sh"

percpu_kilobytes()
{
	sed -n 's/^Percpu: *\([0-9]*\) kB/\1/p' /proc/meminfo
}

# The kernel keeps some of what it once had; an area in each round that was not given back
# is more.
comes_back()
{
	echo "# $before KiB after 3 rounds, $(percpu_kilobytes) after 8"
	[ "$(percpu_kilobytes)" -lt $((before + 8192)) ]
}

load percpu=256K
load_test run=leak
ok "not while another module uses it" not unload cpu_alloc 2>/dev/null
unload cpu_alloc_test
ok "objects are left" is "$(stat objects) $(stat cpu_bytes)" "3 $((40 + 100 + 32768))"
mark_log
ok "unloaded all the same" unload cpu_alloc
ok "each is reported" is "$(log | grep -c '^cpu_alloc: leaked: ')" 3
ok "with its size" logged 'leaked: 40 bytes at .*, offset 0$'
ok "and its place" logged 'leaked: 100 bytes at .*, offset 64$'
ok "in all blocks" logged 'leaked: 32768 bytes at .*, offset 32768$'

mark_log
for n in 1 2 3 4 5 6 7 8; do
	load percpu=2M && load_test && unload cpu_alloc_test && unload cpu_alloc ||
		echo "# round $n"
	[ $n != 3 ] || before=$(percpu_kilobytes)
done
ok "loaded and unloaded many times: all tests pass" is "$(log | grep -c '^not ok')" 0
ok "no leak" not logged leaked
ok "memory comes back" comes_back

# Somebody may still write to what was left behind: it stays.
before=$(percpu_kilobytes)
load percpu=8M
load_test run=flood
unload cpu_alloc_test
mark_log
unload cpu_alloc
ok "an area of leaks: each is reported" is "$(log | grep -c leaked)" 256
ok "... and its block stays" [ "$(percpu_kilobytes)" -ge $((before + 4096)) ]

ok "/proc/cpu_alloc is gone" [ ! -e /proc/cpu_alloc ]
ok "the picture is gone" [ ! -e /sys/kernel/debug/cpu_alloc ]
done_testing
