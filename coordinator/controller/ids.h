/* A list of broker ids in an order that means something: replicas, in-sync replicas. Small, so
 * searched in line. */
#pragma once

#include <stdint.h>
#include <stdlib.h>

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

static inline int ids_compare_two(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* A client may name as many as fit into a request, so they are sorted. */
static inline bool ids_has_duplicate(const struct ids *list)
{
    struct ids sorted = {0};
    bool is_twice = false;
    ids_set(&sorted, list->ids, list->count);
    if (sorted.count)
        qsort(sorted.ids, (size_t)sorted.count, sizeof *sorted.ids, ids_compare_two);
    for (int32_t i = 1; i < sorted.count; i++)
        is_twice |= sorted.ids[i] == sorted.ids[i - 1];
    ids_done(&sorted);
    return is_twice;
}

static inline struct ids ids_in_arena(struct arena *arena, const struct ids *list)
{
    struct ids copy = {.count = list->count};
    copy.ids = arena_new_array(arena, int32_t, list->count > 0 ? list->count : 1);
    for (int32_t i = 0; i < list->count; i++)
        copy.ids[i] = list->ids[i];
    return copy;
}
