/* Random values by the tables (see the header). Small on purpose: a few elements an array, since
 * what is looked for are wrong orders, versions and nulls, not large numbers of the same. */
#include "tests/bytes/wire_random.h"

#include "broker/wire/wire_internal.h"

#define MOST_ELEMENTS   3
#define MOST_BYTES      12
#define FIRST_STRANGE   10000 /* a tag that no schema knows */
#define MOST_DEPTH_WIDE 3     /* deeper arrays have at most one element */

static uint64_t next(struct wire_random *random)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return random->state;
}

uint32_t wire_random_below(struct wire_random *random, uint32_t limit)
{
    return (uint32_t)((next(random) >> 20) % limit);
}

static struct slice random_bytes(struct wire_random *random, bool is_text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz.-_0123456789 \"\\";
    /* Once in a while so long that a compact length takes two bytes. */
    uint32_t most = wire_random_below(random, 16) ? MOST_BYTES : 200;
    size_t size = wire_random_below(random, most + 1);
    uint8_t *bytes = arena_alloc(random->arena, size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = is_text ? (uint8_t)letters[wire_random_below(random, sizeof letters - 1)]
                           : (uint8_t)next(random);
    if (is_text && size >= 2 && !wire_random_below(random, 4))
        memcpy(bytes + size - 2, "\xc3\xa9", 2); /* é */
    return slice_of(bytes, size);
}

static void fill_struct(struct wire_random *random, const struct wire_struct *body, int16_t version,
                        bool is_flexible, void *ret);

static void fill_scalar(struct wire_random *random, const struct wire_field *field, int16_t version,
                        bool is_flexible, void *place)
{
    /* Half of the numbers are small, so that signs and defaults come up often. */
    int64_t number = (int64_t)next(random);
    if (number & 1)
        number = (number >> 8) % 8;
    if (field->type == WIRE_BOOL)
        number = wire_random_below(random, 2);
    if (wire_store_number(field->type, number, place))
        return;
    switch (field->type) {
    case WIRE_FLOAT64:
        *(double *)place = (double)(int32_t)number / 8;
        break;
    case WIRE_UUID:
        for (size_t i = 0; i < sizeof(struct uuid); i++)
            ((uint8_t *)place)[i] = (uint8_t)next(random);
        break;
    case WIRE_STRING:
    case WIRE_BYTES:
        *(struct slice *)place = random_bytes(random, field->type == WIRE_STRING);
        break;
    case WIRE_RECORDS:
        ((struct wire_records *)place)->bytes = random_bytes(random, false);
        break;
    case WIRE_STRUCT:
        fill_struct(random, field->of, version, is_flexible, place);
        break;
    default: /* numbers are stored already */
        break;
    }
}

static void fill_array(struct wire_random *random, const struct wire_field *field, int16_t version,
                       bool is_flexible, void *base)
{
    uint32_t most = random->depth > MOST_DEPTH_WIDE ? 1 : MOST_ELEMENTS;
    uint32_t count = wire_random_below(random, most + 1);
    size_t size = wire_element_size(field);
    char *elements = arena_alloc(random->arena, count * size + 1);
    random->depth++;
    for (uint32_t i = 0; i < count; i++)
        fill_scalar(random, field, version, is_flexible, elements + i * size);
    random->depth--;
    *(void **)wire_place(base, field->offset) = elements;
    *wire_count(base, field) = (int32_t)count;
}

static void make_null(const struct wire_field *field, void *base)
{
    void *place = wire_place(base, field->offset);
    if (field->is_array) {
        *(void **)place = NULL;
        *wire_count(base, field) = -1;
    } else if (wire_is_pointer(field)) {
        *(void **)place = NULL;
    } else if (field->type == WIRE_RECORDS) {
        *(struct wire_records *)place = (struct wire_records){0};
    } else {
        *(struct slice *)place = SLICE_NULL;
    }
}

static void fill_field(struct wire_random *random, const struct wire_field *field, int16_t version,
                       bool is_flexible, void *base)
{
    if (wire_is_nullable(field, version) && !wire_random_below(random, 4)) {
        make_null(field, base);
    } else if (field->is_array) {
        fill_array(random, field, version, is_flexible, base);
    } else if (wire_is_pointer(field)) {
        void *held = arena_alloc(random->arena, field->of->size_bytes);
        fill_struct(random, field->of, version, is_flexible, held);
        *(void **)wire_place(base, field->offset) = held;
    } else {
        fill_scalar(random, field, version, is_flexible, wire_place(base, field->offset));
    }
}

static void fill_strange_tags(struct wire_random *random, const struct wire_struct *body,
                              void *base)
{
    if (wire_random_below(random, 4))
        return;
    struct wire_tags *tags = wire_place(base, body->tags_offset);
    tags->tags_count = 1 + (int32_t)wire_random_below(random, 2);
    tags->tags = arena_new_array(random->arena, struct wire_tag, tags->tags_count);
    for (int32_t i = 0; i < tags->tags_count; i++)
        tags->tags[i] =
            (struct wire_tag){(uint32_t)(FIRST_STRANGE + i * 7), random_bytes(random, false)};
}

/* A field that must not be null where it has a null default gets a value: what encoding needs. */
static void fill_struct(struct wire_random *random, const struct wire_struct *body, int16_t version,
                        bool is_flexible, void *ret)
{
    wire_init(body, ret);
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        if (!wire_has_version(field, version))
            continue;
        bool may_stay = field->tag >= 0 && is_flexible;
        if (!may_stay || wire_random_below(random, 4))
            fill_field(random, field, version, is_flexible, ret);
    }
    if (is_flexible)
        fill_strange_tags(random, body, ret);
}

void wire_random_fill(struct wire_random *random, const struct wire_message *message,
                      int16_t version, void *ret)
{
    fill_struct(random, message->body, version, version >= message->flexible_version, ret);
}
