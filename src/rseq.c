/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Restartable sequences, see rseq.h. The C library registers its threads from
 * glibc 2.35 on, unless it is told not to. Where it does not, each thread
 * registers a structure of ours: the first when the library is loaded, others
 * at their first operation.
 *
 * That structure need not be unregistered when its thread ends: the kernel writes
 * to it only on its way back to user space, and glibc uses a stack, with the
 * thread-local memory in it, anew only once the kernel says that its thread is
 * gone. Other C libraries do not keep to that, so there we register nothing.
 */
#include "rseq.h"
#include "cpu_alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define LIBC_OFFSET __rseq_offset
#define LIBC_SIZE __rseq_size
#else /* built with an older glibc; it may run with a newer one */
extern const ptrdiff_t weak_offset __asm__("__rseq_offset") __attribute__((weak));
extern const unsigned int weak_size __asm__("__rseq_size") __attribute__((weak));
#define LIBC_OFFSET (&weak_offset ? weak_offset : 0)
#define LIBC_SIZE (&weak_size ? weak_size : 0)
#endif

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#define AT_RSEQ_ALIGN 28
#endif

#define ORIGINAL_SIZE 32 /* what kernels without AT_RSEQ_FEATURE_SIZE take, and all others too */
#define OWN_SIZE 64

#if defined(__x86_64__)
#define SIGNATURE 0x53053053U
#elif defined(__aarch64__)
#define SIGNATURE 0xd428bc00U
#endif

/* As much as all kernels agree on. */
struct rseq_head {
	uint32_t cpu_id_start;
	int32_t cpu_id;
	uint64_t rseq_cs;
};

/*
 * Small and not too much aligned: a library that is opened late gets little room
 * for thread-local memory of this model.
 */
static _Thread_local union {
	struct rseq_head head;
	char bytes[OWN_SIZE];
} own __attribute__((tls_model("initial-exec"), aligned(OWN_SIZE))) = {{.cpu_id = -1}};
static _Thread_local struct rseq_head never
	__attribute__((tls_model("initial-exec"))) = {.cpu_id = -1};

static ptrdiff_t offset_of(const void *thread_local_object)
{
	return (const char *)thread_local_object - cpu_alloc_thread_pointer();
}

ptrdiff_t rseq_never_offset(void)
{
	return offset_of(&never);
}

#if defined(SYS_rseq) && defined(SIGNATURE) && defined(__GLIBC__)
/* All that the kernel has to tell, if that fits: then it treats us as it treats a new libc. */
static unsigned int own_length(void)
{
	const unsigned long align = getauxval(AT_RSEQ_ALIGN);
	unsigned long length = getauxval(AT_RSEQ_FEATURE_SIZE);

	if (align == 0 || align > OWN_SIZE)
		return ORIGINAL_SIZE;
	length = (length + align - 1) & ~(align - 1);
	return length < ORIGINAL_SIZE || length > OWN_SIZE ? ORIGINAL_SIZE : (unsigned int)length;
}

static bool register_own(void)
{
	const int saved = errno;

	if (own.head.cpu_id < 0)
		syscall(SYS_rseq, &own, own_length(), 0, SIGNATURE);
	errno = saved;
	return own.head.cpu_id >= 0;
}
#else
static bool register_own(void)
{
	return false;
}
#endif

enum rseq_owner rseq_register(ptrdiff_t *offset)
{
	if (LIBC_SIZE > 0) {
		*offset = LIBC_OFFSET;
		return cpu_alloc_thread_int(*offset + RSEQ_CPU_ID) >= 0 ? RSEQ_LIBC : RSEQ_NOBODY;
	}
	*offset = offset_of(&own);
	return register_own() ? RSEQ_OURS : RSEQ_NOBODY;
}

bool rseq_has_cid(void)
{
	return getauxval(AT_RSEQ_FEATURE_SIZE) >= RSEQ_MM_CID + sizeof(int);
}

/* On aarch64, 6.19.0 to 7.0.13 do not abort a section when its thread is preempted. */
bool rseq_broken_kernel(const char *release)
{
	unsigned int major = 0, minor = 0, patch = 0;

	sscanf(release, "%u.%u.%u", &major, &minor, &patch);
	return (major == 6 && minor >= 19) || (major == 7 && minor == 0 && patch <= 13);
}

/* ThreadSanitizer's run-time, if it is in this process. */
extern void __tsan_init(void) __attribute__((weak));

const char *rseq_objection(void)
{
	bool aarch64 = false;
	struct utsname system;

#ifdef __aarch64__
	aarch64 = true; /* whatever personality the system shows */
#endif
	if (!CPU_ALLOC_SECTIONS)
		return "atomic: no critical sections for this architecture";
	if (__tsan_init)
		return "atomic: ThreadSanitizer does not see critical sections";
	if (uname(&system) == 0 && (aarch64 || strcmp(system.machine, "aarch64") == 0) &&
	    rseq_broken_kernel(system.release))
		return "atomic: this kernel breaks critical sections";
	return NULL;
}
