/* A list of broker ids in an order that means something: replicas, in-sync replicas. Small, so
 * searched in line. */
#pragma once

#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/mem.h"

struct ids {
    int32_t *ids;
    int32_t count;
};

static inline bool ids_contains(const struct ids *list, int32_t id)
{
    for (int32_t i = 0; i < list->count; i++) {
        if (list->ids[i] == id)
            return true;
    }
    return false;
}

static inline bool ids_equal(const struct ids *a, const struct ids *b)
{
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->ids, b->ids, (size_t)a->count * sizeof *a->ids) == 0);
}

static inline void ids_done(struct ids *list)
{
    free(list->ids);
    *list = (struct ids){0};
}

/* Replaces what is there; `from` may not be part of `list`. */
static inline void ids_set(struct ids *list, const int32_t *from, int32_t count)
{
    int32_t *ids = count > 0 ? mem_new_array(int32_t, (size_t)count) : NULL;
    for (int32_t i = 0; i < count; i++)
        ids[i] = from[i];
    free(list->ids);
    list->ids = ids;
    list->count = count > 0 ? count : 0;
}

static inline void ids_add(struct ids *list, int32_t id)
{
    list->ids = mem_resize(list->ids, ((size_t)list->count + 1) * sizeof *list->ids);
    list->ids[list->count++] = id;
}

static inline void ids_remove(struct ids *list, int32_t id)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < list->count; i++) {
        if (list->ids[i] != id)
            list->ids[kept++] = list->ids[i];
    }
    list->count = kept;
}

static inline struct ids ids_in_arena(struct arena *arena, const struct ids *list)
{
    struct ids copy = {.count = list->count};
    copy.ids = arena_new_array(arena, int32_t, list->count > 0 ? list->count : 1);
    for (int32_t i = 0; i < list->count; i++)
        copy.ids[i] = list->ids[i];
    return copy;
}
