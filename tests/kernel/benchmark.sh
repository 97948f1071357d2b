# SPDX-License-Identifier: MIT OR GPL-2.0-only
# machine: x86_64 x86_64-one
# Times beside those of alloc_percpu(): shown, not judged. Where locks sleep it takes ages.
. "${0%/*}/lib.sh"

load percpu=256K
mark_log
load_test run=benchmark
echo "## under emulation, and other machines may run beside this one"
log | sed -n 's/^# /## /p'
ok "every size is measured" [ "$(log | grep -c 'ratio')" -ge 4 ]
unload cpu_alloc_test
unload cpu_alloc
done_testing
