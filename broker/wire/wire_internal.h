/* Reading the tables, for the files of the codec. */
#pragma once

#include "broker/wire/wire.h"

static inline void *wire_place(void *base, size_t offset)
{
    return (char *)base + offset;
}

static inline const void *wire_place_const(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static inline int32_t *wire_count(void *base, const struct wire_field *field)
{
    return wire_place(base, field->count_offset);
}

static inline int32_t wire_count_of(const void *base, const struct wire_field *field)
{
    return *(const int32_t *)wire_place_const(base, field->count_offset);
}

static inline bool wire_has_version(const struct wire_field *field, int16_t version)
{
    return version >= field->min_version && version <= field->max_version;
}

static inline bool wire_is_nullable(const struct wire_field *field, int16_t version)
{
    return version >= field->nullable_min && version <= field->nullable_max;
}

/* A struct that may be null is held by a pointer; where the default is a struct and not null, it is
 * that of the table, which nobody may write to. */
static inline bool wire_is_pointer(const struct wire_field *field)
{
    return field->type == WIRE_STRUCT && !field->is_array && field->nullable_max >= 0;
}

#define WIRE_LEAST_TAG_BYTES 2  /* its number and the size of nothing */
#define WIRE_ARENA_ALIGNMENT 16 /* arena.h */

/* What an allocation takes of an arena. */
static inline size_t wire_rounded(size_t size_bytes)
{
    return (size_bytes + WIRE_ARENA_ALIGNMENT - 1) & ~(size_t)(WIRE_ARENA_ALIGNMENT - 1);
}

/* Of one element in memory. */
size_t wire_type_size(enum wire_type type);

static inline size_t wire_element_size(const struct wire_field *field)
{
    return field->type == WIRE_STRUCT ? field->of->size_bytes : wire_type_size(field->type);
}

/* Put a number, or a truth, into a field of its type, cut to its width; false where it is of
 * another kind. */
bool wire_store_number(enum wire_type type, int64_t number, void *place);

bool wire_is_default(const struct wire_field *field, const void *value);
