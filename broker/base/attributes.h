/* What we ask of the compiler, under names that say it. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef NDEBUG
#error "assertions stay on in every build type"
#endif

#define MUST_USE                  __attribute__((warn_unused_result))
#define PRINTF_LIKE(place, first) __attribute__((format(printf, place, first)))
#define UNUSED                    __attribute__((unused))
#define NORETURN                  __attribute__((noreturn))
#define LIKELY(x)                 __builtin_expect(!!(x), 1)
#define UNLIKELY(x)               __builtin_expect(!!(x), 0)

#define ARRAY_SIZE(a)                       (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline bool implies(bool a, bool b)
{
    return !a || b;
}
