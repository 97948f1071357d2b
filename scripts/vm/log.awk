# SPDX-License-Identifier: MIT OR GPL-2.0-only
# awk -v mark=TEXT -f log.awk EXPECTED LOG: what the kernel complains of, in its LOG behind
# the line with the mark, and nobody has announced.
#
# EXPECTED has an extended regular expression on each line. A line of the log that matches
# one is no complaint; nor is a report, from "cut here" to "end trace", with such a line.

BEGIN {
	complaint = "WARNING:|BUG:|Oops|[Ss]oft lockup|hard LOCKUP|[Rr][Cc][Uu].*stall"
	complaint = complaint "|scheduling while atomic|Call Trace:|blocked for more than"
	complaint = complaint "|\\[#[0-9]+\\]|UBSAN:|corruption"
	context = 20 # lines shown with one that stands alone
}

function is_expected(line,    n)
{
	for (n = 1; n <= patterns; n++)
		if (line ~ pattern[n])
			return 1
	return 0
}

function end_report()
{
	if (in_report && !announced)
		printf "%s", report
	in_report = 0
}

FILENAME == ARGV[1] {
	pattern[++patterns] = $0
	next
}

index($0, mark) {
	begun = 1
	next
}

!begun {
	next
}

/-\[ cut here \]-/ {
	end_report()
	in_report = 1
	announced = 0
	report = ""
}

in_report {
	report = report $0 "\n"
	announced = announced || is_expected($0)
	if (/-\[ end trace /)
		end_report()
	next
}

$0 ~ complaint && !is_expected($0) {
	left = context
}

left-- > 0

END {
	end_report()
	if (!begun)
		print "the log does not reach back to: " mark
}
