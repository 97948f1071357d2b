/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The module: its parameter, and what it shows in /proc/cpu_alloc and debugfs. */
#define pr_fmt(format) KBUILD_MODNAME ": " format

#include "area.h"

#include <linux/ctype.h>
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/string.h>

/* percpu=SIZE */

static u64 percpu = 1 << 20;

/* What a suffix multiplies by, as a shift; -1 if it is none. */
static int shift_of(char suffix)
{
	switch (suffix) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	case 'G':
	case 'g':
		return 30;
	}
	return -1;
}

/* Digits, and K, M or G. 0, or -EINVAL. */
static int parse_size(const char *text, u64 *bytes)
{
	char digits[24];
	size_t length = strcspn(text, "\n");
	int shift = 0;
	u64 number;

	if (length == 0 || length >= sizeof(digits) || !isdigit(text[0]))
		return -EINVAL;
	memcpy(digits, text, length);
	if (!isdigit(digits[length - 1]))
		shift = shift_of(digits[--length]);
	digits[length] = '\0';
	if (shift < 0 || kstrtou64(digits, 10, &number) || number > U64_MAX >> shift)
		return -EINVAL;
	*bytes = number << shift;
	return 0;
}

static int set_percpu(const char *text, const struct kernel_param *param)
{
	u64 bytes;

	if (parse_size(text, &bytes)) {
		pr_err("percpu=%s: not a number of bytes, with or without K, M or G\n", text);
		return -EINVAL;
	}
	if (bytes < AREA_MIN_BYTES || bytes > AREA_MAX_BYTES) {
		pr_err("percpu=%s: not from %lluK to %lluG\n", text, AREA_MIN_BYTES >> 10,
		       AREA_MAX_BYTES >> 30);
		return -EINVAL;
	}
	percpu = ALIGN(bytes, AREA_MIN_BYTES);
	return 0;
}

static int get_percpu(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%llu\n", percpu);
}

static const struct kernel_param_ops percpu_ops = {.set = set_percpu, .get = get_percpu};
module_param_cb(percpu, &percpu_ops, NULL, 0444);
MODULE_PARM_DESC(percpu, "most bytes of objects on each CPU, 4K to 1G (default 1M)");

/* /proc/cpu_alloc */

static int show_stats(struct seq_file *file, void *unused)
{
	struct cpu_alloc_stats stats;

	cpu_alloc_stats(&stats);
#define SHOW(name, text) seq_printf(file, #name " %llu\n", stats.name);
	CPU_ALLOC_STATS(SHOW)
#undef SHOW
	return 0;
}

/* debugfs: cpu_alloc/map, a row at a time */

static void *start_rows(struct seq_file *file, loff_t *position)
{
	return area_draw(*position, file->private) ? position : NULL;
}

static void *next_row(struct seq_file *file, void *row, loff_t *position)
{
	++*position;
	return start_rows(file, position);
}

static void stop_rows(struct seq_file *file, void *row)
{
}

static int show_row(struct seq_file *file, void *row)
{
	const loff_t *position = row;

	seq_printf(file, "0x%08llx  %s\n", *position * AREA_ROW_BYTES, (char *)file->private);
	return 0;
}

static const struct seq_operations map_rows = {
	.start = start_rows,
	.next = next_row,
	.stop = stop_rows,
	.show = show_row,
};

static int open_map(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &map_rows, AREA_ROW_CELLS + 1);
}

static const struct file_operations map_file = {
	.owner = THIS_MODULE,
	.open = open_map,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

static struct dentry *folder;

static int __init cpu_alloc_init(void)
{
	int error = area_init(percpu);

	if (error)
		return error;
	if (!proc_create_single("cpu_alloc", 0444, NULL, show_stats)) {
		area_exit();
		return -ENOMEM;
	}
	folder = debugfs_create_dir("cpu_alloc", NULL); /* nobody minds if there is no debugfs */
	debugfs_create_file("map", 0400, folder, NULL, &map_file);
	return 0;
}

static void __exit cpu_alloc_exit(void)
{
	debugfs_remove_recursive(folder);
	remove_proc_entry("cpu_alloc", NULL);
	area_exit();
}

module_init(cpu_alloc_init);
module_exit(cpu_alloc_exit);
MODULE_DESCRIPTION("Per-CPU memory: small objects, tightly packed, in one instance per processor");
MODULE_LICENSE("Dual MIT/GPL");
