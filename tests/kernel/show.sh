# SPDX-License-Identifier: MIT OR GPL-2.0-only
# /proc/cpu_alloc and the picture of the map in debugfs.
. "${0%/*}/lib.sh"

picture=/sys/kernel/debug/cpu_alloc/map

load percpu=100K
ok "a name and a value on each line" not grep -qvE '^[a-z_]+ [0-9]+$' /proc/cpu_alloc
for name in cpu_bytes peak_bytes top_bytes objects allocs frees failed_einval failed_enomem \
	failed_eagain misuses area_bytes committed_bytes largest_free_bytes own_bytes; do
	ok "$name" is "$(grep -c "^$name " /proc/cpu_alloc)" 1
done
ok "one block to begin with" is "$(stat committed_bytes)" 32768
ok "no picture of nothing" is "$(wc -c <$picture)" 0

load_test run=leak # 40 bytes, 100 at a multiple of 64, and a block
ok "a gauge" is "$(stat cpu_bytes)" 32908
ok "counters" is "$(stat allocs) $(stat frees)" "4 1"
ok "the peak" is "$(stat peak_bytes)" 32908
ok "the top: the second block's end" is "$(stat top_bytes)" 65536
ok "two blocks" is "$(stat committed_bytes)" 65536
ok "what is free in a row" is "$(stat largest_free_bytes)" 32768
ok "a row for each 4 KiB" is "$(wc -l <$picture)" 16
ok "a character for each cache line" is "$(head -n 1 $picture)" \
	"0x00000000  6#6............................................................."
full=################################################################
ok "the second block" is "$(sed -n 9p $picture)" "0x00008000  $full"
ok "only root sees it" is "$(ls -l $picture | cut -c 1-10)" "-r--------"
unload cpu_alloc_test
unload cpu_alloc
done_testing
