/* Which of the things that a request lists it has listed before. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/map.h"

struct repeats {
    struct map seen; /* key to one of places */
    int32_t *places; /* in the arena */
    int32_t count;
};

/* For up to `capacity` things. */
static inline void repeats_init(struct repeats *repeats, struct arena *arena, int32_t capacity)
{
    *repeats = (struct repeats){.places = arena_new_array(arena, int32_t, capacity + 1)};
}

/* Take note of the next thing; gives the number, from 0, of the first with this key: its own where
 * it is new. */
static inline int32_t repeats_note(struct repeats *repeats, struct slice key)
{
    int32_t *place = &repeats->places[repeats->count];
    const int32_t *known = map_get(&repeats->seen, key);
    *place = known ? *known : repeats->count;
    if (!known)
        map_put(&repeats->seen, key, place);
    repeats->count++;
    return *place;
}

static inline void repeats_done(struct repeats *repeats)
{
    map_done(&repeats->seen);
}
