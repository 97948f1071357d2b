# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Misuse of cpu_free() warns once for each kind, with the reason.
. "${0%/*}/lib.sh"

cat >>/expected <<'END'
cpu_alloc: cpu_free\(
cpu_alloc: GFP_KERNEL where nothing may sleep
END
load percpu=256K
mark_log
ok "all tests pass" load_test run=misuse
take_ktap misuse
for reason in 'wrong size' 'interior pointer' 'misaligned pointer' 'double free' 'not an object' \
	'not a CPU pointer' 'pointer to an instance'; do
	ok "warns once: $reason" is "$(log | grep -c "cpu_free(.*): $reason\$")" 1
done
ok "warns once: GFP_KERNEL where nothing may sleep" is "$(log | grep -c 'GFP_KERNEL where')" 1
misuses=$(stat misuses)
ok "each is counted" [ "$misuses" -gt 15 ]
unload cpu_alloc_test

mark_log
ok "the same again" load_test run=misuse
ok "is counted" is "$(stat misuses)" $((2 * misuses))
ok "and warns no more" not logged WARNING
unload cpu_alloc_test
ok "nothing is left behind" is "$(stat objects)" 0

# More than the kernel prints in a row: the message of failures is limited.
mark_log
load_test run=failures
ok "messages of failures" logged '100000 bytes, align 4: no such size or alignment'
ok "are limited" [ "$(log | grep -c '100000 bytes')" -lt 50 ]
ok "and all are counted" [ "$(stat failed_einval)" -ge 1000 ]
unload cpu_alloc_test
unload cpu_alloc
done_testing
