/* An arena: memory that lives as long as a request. Blocks double up to a limit; everything goes at
 * once. Thread: one owner at a time. */
#pragma once

#include "broker/base/mem.h"
#include "broker/base/slice.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);
DEFINE_OWNED(arena)

/* Forget all that was allocated and keep the first block for use again. */
void arena_reset(struct arena *arena);

/* A bound on the sum of what may be allocated (0: none, the default). Beyond it arena_try() says
 * NULL. */
void arena_limit(struct arena *arena, size_t limit_bytes);

/* Zeroed, aligned to 16 bytes. arena_alloc never returns NULL (it stops the process) and ignores
 * the limit; arena_try is for sizes from outside. */
void *arena_alloc(struct arena *arena, size_t size_bytes);
MUST_USE void *arena_try(struct arena *arena, size_t size_bytes);
MUST_USE void *arena_try_array(struct arena *arena, size_t count, size_t element_size_bytes);
#define arena_new_array(arena, type, count)                                                        \
    ((type *)arena_alloc((arena), (size_t)(count) * sizeof(type)))

char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
char *arena_strdup(struct arena *arena, struct slice s); /* NUL-terminated */
struct slice arena_copy(struct arena *arena, struct slice s);

size_t arena_used_bytes(const struct arena *arena);
