# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The tracepoints, and what `cpu-alloc replay` makes of them.
. "${0%/*}/lib.sh"

tracing=/sys/kernel/tracing
trace=/tmp/cpu_alloc.trace

events()
{
	grep -c ": $1: " $trace
}

load percpu=256K
ok "the events" is "$(cd $tracing/events/cpu_alloc && echo */)" "alloc/ fail/ free/"
for event in alloc free; do
	for field in $(sed -n 's/^\tfield:.* \([a-z_]*\);.*/\1/p' \
		"$tracing/events/percpu/percpu_${event}_percpu/format"); do
		ok "$event has the field $field of the kernel's" \
			grep -q " $field;" "$tracing/events/cpu_alloc/$event/format"
	done
done

echo 20000 >$tracing/buffer_size_kb
echo 1 >$tracing/events/cpu_alloc/enable
allocs=$(stat allocs) frees=$(stat frees) failures=$(stat failed_einval)
load_test run=leak
load_test run=failures 2>/dev/null
echo 0 >$tracing/events/cpu_alloc/enable
cat $tracing/trace >$trace
ok "each allocation" is "$(events alloc)" "$(($(stat allocs) - allocs))"
ok "each free" is "$(events free)" "$(($(stat frees) - frees))"
ok "each failure" is "$(events fail)" "$(($(stat failed_einval) - failures))"
ok "with its size, alignment and caller" grep -qE \
	': alloc: call_site=.*\[cpu_alloc_test\] reserved=0 is_atomic=0 size=40 align=8 .* gfp_flags=GFP_KERNEL$' $trace

if [ -n "${CPU_ALLOC_COMMAND-}" ]; then
	"$CPU_ALLOC_COMMAND" replay $trace >/tmp/replay 2>&1
	ok "the command replays it" is $? 0
	diag </tmp/replay
else
	ok "the command replays it # SKIP it is not on this machine" true
fi
: >$tracing/trace
unload cpu_alloc_test
unload cpu_alloc
done_testing
