/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Finds critical sections by their symbols, see sections.h. */
#include "sections.h"
#include "machine.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED false
#endif

#define PREFIX "cpu_alloc_rseq_cs."
#define OF_MAGAZINES "magazine."

/* As the kernel reads it. */
struct descriptor {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};

struct section *sections;
size_t section_count;
size_t orphan_signatures;

static const char *file; /* this program's, mapped for good: names point into it */
static const Elf64_Sym *symbols;
static size_t symbol_count;
static const char *strings;
static uintptr_t bias; /* from addresses of the file to those of the process */

static const Elf64_Ehdr *file_header(void)
{
	return (const void *)file;
}

static const Elf64_Shdr *part(size_t n)
{
	return (const Elf64_Shdr *)(const void *)(file + file_header()->e_shoff) + n;
}

static bool map_file(void)
{
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat found;

	if (fd < 0 || fstat(fd, &found) != 0)
		return false;
	file = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return file != MAP_FAILED && memcmp(file, ELFMAG, SELFMAG) == 0;
}

static bool find_symbols(void)
{
	for (size_t n = 0; n < file_header()->e_shnum; n++)
		if (part(n)->sh_type == SHT_SYMTAB) {
			symbols = (const void *)(file + part(n)->sh_offset);
			symbol_count = part(n)->sh_size / sizeof(*symbols);
			strings = file + part(part(n)->sh_link)->sh_offset;
		}
	return symbols != NULL;
}

static const char *name_of(const Elf64_Sym *symbol)
{
	return strings + symbol->st_name;
}

/* A function of known address tells where the program was put. */
static bool find_bias(void)
{
	for (size_t n = 0; n < symbol_count; n++)
		if (strcmp(name_of(&symbols[n]), "sections_find") == 0) {
			bias = (uintptr_t)sections_find - symbols[n].st_value;
			return true;
		}
	return false;
}

static bool executable(uintptr_t start, uintptr_t end)
{
	for (size_t n = 0; n < file_header()->e_shnum; n++) {
		const uintptr_t at = bias + part(n)->sh_addr;

		if (part(n)->sh_flags & SHF_EXECINSTR && start >= at &&
		    end <= at + part(n)->sh_size && start < end)
			return true;
	}
	return false;
}

static bool is_sound(const struct section *section, const struct descriptor *found)
{
	const uintptr_t signature = section->abort - SIGNATURE_BYTES;

	return found->version == 0 && found->flags == 0 && section->descriptor % 32 == 0 &&
	       executable(section->start, section->end) && executable(signature, section->abort) &&
	       memcmp((const void *)signature, SIGNATURE, SIGNATURE_BYTES) == 0 &&
	       (section->abort < section->start || section->abort >= section->end);
}

static void add_section(const Elf64_Sym *symbol)
{
	const struct descriptor *found = (const void *)(bias + symbol->st_value);
	struct section *section;

	sections = realloc(sections, (section_count + 1) * sizeof(*sections));
	if (!sections)
		abort();
	section = &sections[section_count++];
	*section = (struct section){
		.name = name_of(symbol) + strlen(PREFIX),
		.descriptor = (uintptr_t)found,
		.start = found->start,
		.end = found->start + found->bytes,
		.abort = found->abort,
	};
	section->sound = is_sound(section, found);
}

static void count_orphans(const char *at, size_t bytes)
{
	const char *const end = at + bytes;

	while ((at = memmem(at, (size_t)(end - at), SIGNATURE, SIGNATURE_BYTES)) != NULL) {
		at += SIGNATURE_BYTES;
		orphan_signatures += section_at_abort((uintptr_t)at) == NULL;
	}
}

bool sections_find(void)
{
	if (!map_file() || !find_symbols() || !find_bias())
		return false;
	for (size_t n = 0; n < symbol_count; n++)
		if (strncmp(name_of(&symbols[n]), PREFIX, strlen(PREFIX)) == 0)
			add_section(&symbols[n]);
	for (size_t n = 0; n < file_header()->e_shnum; n++)
		if (part(n)->sh_flags & SHF_EXECINSTR)
			count_orphans((const char *)(bias + part(n)->sh_addr), part(n)->sh_size);
	return section_count > 0;
}

struct section *section_around(uintptr_t pc)
{
	for (size_t n = 0; n < section_count; n++)
		if (pc >= sections[n].start && pc < sections[n].end)
			return &sections[n];
	return NULL;
}

struct section *section_at_start(uintptr_t pc)
{
	for (size_t n = 0; n < section_count; n++)
		if (sections[n].start == pc)
			return &sections[n];
	return NULL;
}

struct section *section_at_abort(uintptr_t pc)
{
	for (size_t n = 0; n < section_count; n++)
		if (sections[n].abort == pc)
			return &sections[n];
	return NULL;
}

uintptr_t function_at(uintptr_t pc)
{
	for (size_t n = 0; n < symbol_count; n++) {
		const uintptr_t start = bias + symbols[n].st_value;

		if (ELF64_ST_TYPE(symbols[n].st_info) == STT_FUNC && pc >= start &&
		    pc - start < symbols[n].st_size)
			return start;
	}
	return 0;
}

bool section_is_of_magazines(const struct section *section)
{
	return strncmp(section->name, OF_MAGAZINES, strlen(OF_MAGAZINES)) == 0;
}

/* Are they of the same operation, and in the same function: did the compiler copy one? */
static bool are_copies(const struct section *a, const struct section *b)
{
	const size_t operation = (size_t)(strrchr(a->name, '.') - a->name); /* a number follows */

	return strncmp(a->name, b->name, operation + 1) == 0 &&
	       function_at(a->start) == function_at(b->start);
}

bool section_is_visited(const struct section *section)
{
	for (size_t n = 0; SANITIZED && n < section_count; n++)
		if (sections[n].visited && are_copies(section, &sections[n]))
			return true;
	return section->visited;
}
