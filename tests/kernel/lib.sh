# SPDX-License-Identifier: MIT OR GPL-2.0-only
# For tests of the module: TAP, loading, the kernel's log. They run under busybox in a
# machine of their own (scripts/check-vm), with the modules in $MODULES. Lines of the log
# that look bad fail a test, unless a line of /expected, an extended regular expression,
# is found in their report.
points=0
failures=0

# ok NAME COMMAND...: a point, good if the command succeeds
ok()
{
	name=$1
	shift
	points=$((points + 1))
	if "$@"; then
		echo "ok $points - $name"
	else
		echo "not ok $points - $name"
		failures=$((failures + 1))
	fi
}

not()
{
	! "$@"
}

diag()
{
	sed 's/^/# /'
}

done_testing()
{
	echo "1..$points"
	[ "$failures" = 0 ]
	exit
}

load()
{
	insmod "$MODULES/cpu_alloc.ko" "$@"
}

load_test()
{
	insmod "$MODULES/cpu_alloc_test.ko" "$@"
}

unload()
{
	rmmod "$@"
}

# The log without its times, from its last mark on.
mark_log()
{
	mark="mark $$ $((mark_number += 1))"
	echo "$mark" >/dev/kmsg
}

log()
{
	dmesg | sed -n "/$mark/,\$s/^\[[^]]*\] //p" | sed 1d
}

logged()
{
	log | grep -qE -e "$1"
}

# stat NAME: of /proc/cpu_alloc
stat()
{
	sed -n "s/^$1 //p" /proc/cpu_alloc
}

is()
{
	[ "$1" = "$2" ] || { echo "# $1, not $2" && false; }
}

# Points of the test module since the last mark, as points of this test. What fails,
# busybox's insmod loads a second time: the first counts.
take_ktap()
{
	log | awk '/^KTAP version/ && begun++ { exit } { print }' >/tmp/ktap
	grep -q '^KTAP version 1' /tmp/ktap || echo "# no KTAP in the log"
	plan=$(sed -n 's/^1\.\.//p' /tmp/ktap)
	seen=0
	while read -r line; do
		case $line in
		"ok "* | "not ok "*)
			seen=$((seen + 1))
			ok "$1: ${line#*ok [0-9]* }" [ "${line%%ok *}" = "" ]
			;;
		"# "*) echo "#$line" ;; # shown in any case
		esac
	done </tmp/ktap
	ok "$1: as many tests as planned" is "$seen" "${plan:-no plan}"
}
