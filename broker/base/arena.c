/* An arena is a chain of blocks, the newest first; an allocation moves a mark within the newest. */
#include "broker/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#define FIRST_BLOCK_BYTES   4096
#define LARGEST_BLOCK_BYTES (1 << 20) /* blocks double up to this; larger requests get their own   \
                                       */
#define ALIGNMENT 16

struct block {
    struct block *older;
    size_t size, used;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct arena {
    struct block *newest;
    size_t used_bytes, limit_bytes, next_block_bytes;
};

struct arena *arena_new(void)
{
    struct arena *arena = mem_new(struct arena);
    arena->next_block_bytes = FIRST_BLOCK_BYTES;
    return arena;
}

static void free_blocks(struct block *block)
{
    while (block) {
        struct block *older = block->older;
        free(block);
        block = older;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena->newest);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    struct block *first = arena->newest;
    while (first && first->older) {
        struct block *older = first->older;
        free(first);
        first = older;
    }
    if (first && first->size > FIRST_BLOCK_BYTES) { /* one that a large request made */
        free(first);
        first = NULL;
    }
    if (first)
        first->used = 0;
    arena->newest = first;
    arena->used_bytes = 0;
    arena->next_block_bytes = first ? 2 * FIRST_BLOCK_BYTES : FIRST_BLOCK_BYTES;
}

void arena_limit(struct arena *arena, size_t limit_bytes)
{
    arena->limit_bytes = limit_bytes;
}

static bool add_block(struct arena *arena, size_t need)
{
    size_t size = arena->next_block_bytes > need ? arena->next_block_bytes : need;
    struct block *block = mem_try(sizeof *block + size);
    if (!block)
        return false;
    block->older = arena->newest;
    block->size = size;
    block->used = 0;
    arena->newest = block;
    if (arena->next_block_bytes < LARGEST_BLOCK_BYTES)
        arena->next_block_bytes *= 2;
    return true;
}

static void *take(struct arena *arena, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2)
        return NULL;
    size_t need = (size_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (!arena->newest || arena->newest->size - arena->newest->used < need)
        if (!add_block(arena, need))
            return NULL;
    void *memory = arena->newest->bytes + arena->newest->used;
    arena->newest->used += need;
    arena->used_bytes += need;
    return memset(memory, 0, size_bytes);
}

void *arena_alloc(struct arena *arena, size_t size_bytes)
{
    void *memory = take(arena, size_bytes);
    if (!memory)
        mem_stop(size_bytes);
    return memory;
}

void *arena_try(struct arena *arena, size_t size_bytes)
{
    if (arena->limit_bytes &&
        (size_bytes > arena->limit_bytes || arena->used_bytes > arena->limit_bytes - size_bytes))
        return NULL;
    return take(arena, size_bytes);
}

void *arena_try_array(struct arena *arena, size_t count, size_t element_size_bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, element_size_bytes, &total))
        return NULL;
    return arena_try(arena, total);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_strdup(struct arena *arena, struct slice s)
{
    char *text = arena_alloc(arena, s.size + 1);
    if (s.size)
        memcpy(text, s.data, s.size);
    return text;
}

struct slice arena_copy(struct arena *arena, struct slice s)
{
    if (!s.data)
        return SLICE_NULL;
    return slice_of(arena_strdup(arena, s), s.size);
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}
