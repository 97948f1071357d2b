# SPDX-License-Identifier: MIT OR GPL-2.0-only
# CPUs go and come while threads and timers allocate and free on all of them.
. "${0%/*}/lib.sh"

cpus=$(ls -d /sys/devices/system/cpu/cpu[1-9]*/online 2>/dev/null)
if [ -z "$cpus" ]; then
	echo "ok 1 - CPUs go and come # SKIP there is one CPU"
	echo "1..1"
	exit
fi

echo 1 >/proc/sys/kernel/panic_on_warn
load percpu=256K
ok "a storm begins" load_test run=storm
for round in 1 2 3; do
	for cpu in $cpus; do
		ok "round $round: ${cpu#/sys/devices/system/} goes" sh -c "echo 0 >$cpu"
		before=$(stat frees)
		sleep 0.2
		ok "round $round: the others go on" [ "$(stat frees)" -gt "$before" ]
		ok "round $round: it comes back" sh -c "echo 1 >$cpu"
	done
done
mark_log
unload cpu_alloc_test
take_ktap "afterwards"
ok "nothing is left behind" is "$(stat objects) $(stat cpu_bytes)" "0 0"
ok "all has been counted" is "$(stat allocs)" "$(stat frees)"
ok "no misuse" is "$(stat misuses)" 0
unload cpu_alloc
echo 0 >/proc/sys/kernel/panic_on_warn
done_testing
