/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Where everything lies in the core's structures. layout.c is compiled twice, as the
 * core is for the kernel and as the tests are; both must see the same.
 */
#ifndef TESTS_MAP_KERNEL_LAYOUT_H
#define TESTS_MAP_KERNEL_LAYOUT_H

#ifdef MAP_COUNT
#define LAYOUT_COUNT(X) X(map, visits)
#else
#define LAYOUT_COUNT(X)
#endif

/* X(structure, member), for all of them. */
#define LAYOUT(X)                                                                                  \
	X(map_bits, used)                                                                          \
	X(map_bits, start)                                                                         \
	X(map_range, start)                                                                        \
	X(map_range, end)                                                                          \
	X(map_request, n)                                                                          \
	X(map_request, order)                                                                      \
	X(map_node, lead)                                                                          \
	X(map_node, trail)                                                                         \
	X(map_node, fit)                                                                           \
	X(map, bits)                                                                               \
	X(map, full)                                                                               \
	X(map, missed)                                                                             \
	X(map, level)                                                                              \
	X(map, node_count)                                                                         \
	X(map, units)                                                                              \
	X(map, units_max)                                                                          \
	X(map, frontier)                                                                           \
	X(map, top)                                                                                \
	X(map, held)                                                                               \
	X(map, lent)                                                                               \
	X(map, used_units)                                                                         \
	X(map, objects)                                                                            \
	LAYOUT_COUNT(X)

/* A member, by name. The last has none. */
struct layout {
	const char *structure, *member;
	unsigned long offset, size, whole; /* bytes; the last is of the structure */
};

extern const struct layout layout_of_kernel[], layout_of_tests[];

#endif
