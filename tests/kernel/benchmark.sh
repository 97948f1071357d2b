# SPDX-License-Identifier: MIT OR GPL-2.0-only
# machine: x86_64 x86_64-one
# Times beside those of alloc_percpu(): shown, not judged.
. "${0%/*}/lib.sh"

load percpu=256K
mark_log
load_test run=benchmark
log | grep '^#'
ok "every size is measured" [ "$(log | grep -c 'ratio')" -ge 4 ]
unload cpu_alloc_test
unload cpu_alloc
done_testing
