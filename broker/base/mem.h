/* Memory. Small bookkeeping uses mem_new() and friends, which stop the process rather than return
 * NULL; a size that came from a socket, a file or ZooKeeper is checked against a limit and uses
 * mem_try().
 *
 * OWNED(type) lets a pointer go by itself at the end of its scope through `type_free()`; TAKE()
 * hands it on. All memory is from malloc and may be freed with free(). */
#pragma once

#include <stdlib.h>

#include "broker/base/attributes.h"

/* Say on standard error that memory is exhausted, and abort. */
NORETURN void mem_stop(size_t size_bytes);

/* Zeroed memory; never NULL. */
void *mem_alloc(size_t size_bytes);
void *mem_alloc_array(size_t count, size_t size_bytes);
#define mem_new(type)              ((type *)mem_alloc(sizeof(type)))
#define mem_new_array(type, count) ((type *)mem_alloc_array((count), sizeof(type)))

/* realloc() that never returns NULL; new bytes are not zeroed. */
void *mem_resize(void *memory, size_t size_bytes);

/* Grow an array so that at least `need` elements fit, by doubling. The count is the caller's. */
void *mem_grow(void *memory, size_t *capacity, size_t need, size_t element_size_bytes);

char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t size_bytes);
char *mem_printf(const char *format, ...) PRINTF_LIKE(1, 2);

/* Memory, not zeroed, that may be refused: NULL. */
MUST_USE void *mem_try(size_t size_bytes);

#define DEFINE_OWNED(type)                                                                         \
    static inline void type##_owned_free(struct type **pointer)                                    \
    {                                                                                              \
        type##_free(*pointer);                                                                     \
    }
#define OWNED(type) __attribute__((cleanup(type##_owned_free)))

static inline void mem_owned_free(void *pointer)
{
    free(*(void **)pointer);
}
#define OWNED_MEM __attribute__((cleanup(mem_owned_free)))

#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })
