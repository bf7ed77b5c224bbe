/* Decoding: a reader with an end, and the tables. Nothing is copied but what arrays need.
 *
 * What a stranger's bytes may cost. Work grows with the bytes: each is looked at once, and tagged
 * fields that we do not know are appended and sorted once. Memory is what the elements take, and an
 * element takes at most WIRE_AMPLIFICATION times the fewest bytes that can say it. A count is
 * believed only as far as bytes are left that no array around it has been promised, so lies within
 * lies do not add up; the budget is the second wall behind that. */
#include <stddef.h>

#include "broker/base/varint.h"
#include "broker/wire/wire_internal.h"

struct reader {
    const uint8_t *at, *end;
    struct arena *arena;
    int16_t version;
    bool is_flexible;
    size_t promised;         /* of the bytes left: the least that arrays begun still need */
    size_t left_to_allocate; /* of the arena */
};

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* What of the bytes left a new array may hope for. */
static size_t free_to_promise(const struct reader *r)
{
    return left(r) > r->promised ? left(r) - r->promised : 0;
}

static enum err too_short(void)
{
    return err_note(ERR_MALFORMED, "the message ends too soon");
}

static enum err read_uvarint(struct reader *r, uint32_t *ret)
{
    size_t used = uvarint_get(r->at, left(r), ret);
    if (!used)
        return err_note(ERR_MALFORMED, "a variable-length number does not end");
    r->at += used;
    return ERR_OK;
}

static enum err take(struct reader *r, size_t size, const uint8_t **ret)
{
    if (left(r) < size)
        return too_short();
    *ret = r->at;
    r->at += size;
    return ERR_OK;
}

/* A length or count; -1 is null. Compact ones stand one higher, and 0 is null. */
static enum err read_length(struct reader *r, bool is_short, bool is_compact, int64_t *ret)
{
    if (is_compact) {
        uint32_t raw;
        enum err e = read_uvarint(r, &raw);
        if (!e)
            *ret = (int64_t)raw - 1;
        return e;
    }
    const uint8_t *bytes = NULL;
    enum err e = take(r, is_short ? 2 : 4, &bytes);
    if (e)
        return e;
    int32_t length = is_short ? (int16_t)get_be16(bytes) : (int32_t)get_be32(bytes);
    *ret = length < 0 ? -1 : length;
    return ERR_OK;
}

static enum err read_slice(struct reader *r, const struct wire_field *field, bool in_array,
                           struct slice *ret)
{
    int64_t length;
    bool is_string = field->type == WIRE_STRING;
    enum err e = read_length(r, is_string, r->is_flexible && !field->is_inflexible, &length);
    if (e)
        return e;
    if (length < 0) {
        if (in_array || !wire_is_nullable(field, r->version))
            return err_note(ERR_MALFORMED, "null stands where none may");
        *ret = SLICE_NULL;
        return ERR_OK;
    }
    if (is_string && length > INT16_MAX)
        return err_note(ERR_MALFORMED, "a string of %lld bytes", (long long)length);
    const uint8_t *bytes = NULL;
    e = take(r, (size_t)length, &bytes);
    if (!e)
        *ret = slice_of(bytes, (size_t)length);
    return e;
}

static enum err read_struct(struct reader *r, const struct wire_struct *body, void *ret);

static enum err read_scalar(struct reader *r, const struct wire_field *field, bool in_array,
                            void *place)
{
    const uint8_t *bytes = NULL;
    enum err e;
    switch (field->type) {
    case WIRE_BOOL:
    case WIRE_INT8:
        e = take(r, 1, &bytes);
        if (!e && field->type == WIRE_BOOL)
            *(bool *)place = bytes[0] != 0;
        else if (!e)
            *(int8_t *)place = (int8_t)bytes[0];
        return e;
    case WIRE_INT16:
    case WIRE_UINT16:
        e = take(r, 2, &bytes);
        if (!e)
            *(uint16_t *)place = get_be16(bytes);
        return e;
    case WIRE_INT32:
    case WIRE_UINT32:
        e = take(r, 4, &bytes);
        if (!e)
            *(uint32_t *)place = get_be32(bytes);
        return e;
    case WIRE_INT64:
    case WIRE_FLOAT64:
        e = take(r, 8, &bytes);
        if (!e)
            *(uint64_t *)place = get_be64(bytes);
        return e;
    case WIRE_UUID:
        e = take(r, sizeof(struct uuid), &bytes);
        if (!e)
            memcpy(place, bytes, sizeof(struct uuid));
        return e;
    case WIRE_STRING:
    case WIRE_BYTES:
        return read_slice(r, field, in_array, place);
    case WIRE_RECORDS:
        return read_slice(r, field, in_array, &((struct wire_records *)place)->bytes);
    case WIRE_STRUCT:
        return read_struct(r, field->of, place);
    }
    return ERR_MALFORMED;
}

/* --- arrays: a count is worth no more than the bytes that could hold it --- */

static size_t least_size(const struct wire_struct *body, int16_t version, bool is_flexible);

static size_t least_field_size(const struct wire_field *field, int16_t version, bool is_flexible)
{
    if (field->is_array)
        return is_flexible ? 1 : 4;
    switch (field->type) {
    case WIRE_STRING:
        return is_flexible && !field->is_inflexible ? 1 : 2;
    case WIRE_BYTES:
    case WIRE_RECORDS:
        return is_flexible ? 1 : 4;
    case WIRE_UUID:
        return sizeof(struct uuid);
    case WIRE_STRUCT:
        return wire_is_pointer(field) ? 1 : least_size(field->of, version, is_flexible);
    default:
        return wire_type_size(field->type);
    }
}

static size_t least_size(const struct wire_struct *body, int16_t version, bool is_flexible)
{
    size_t size = is_flexible ? 1 : 0;
    for (uint16_t i = 0; i < body->fields_count; i++)
        if (body->fields[i].tag < 0 && wire_has_version(&body->fields[i], version))
            size += least_field_size(&body->fields[i], version, is_flexible);
    assert(size > 0); /* else a count would cost nothing: no schema has such a struct */
    return size;
}

static size_t least_element_size(const struct reader *r, const struct wire_field *field)
{
    struct wire_field element = *field;
    element.is_array = false;
    element.nullable_max = -1;
    return least_field_size(&element, r->version, r->is_flexible);
}

static enum err allocate(struct reader *r, size_t count, size_t element_size, void **ret)
{
    size_t size;
    if (__builtin_mul_overflow(count, element_size, &size) || size > r->left_to_allocate ||
        wire_rounded(size) > r->left_to_allocate)
        return err_note(ERR_MALFORMED, "the arrays are too large for the message");
    r->left_to_allocate -= wire_rounded(size);
    *ret = arena_try(r->arena, size);
    return *ret ? ERR_OK : ERR_NO_MEMORY;
}

/* The elements of an array; an empty one points at nothing, but is not null. */
static enum err read_elements(struct reader *r, const struct wire_field *field, size_t count,
                              size_t least_size_each, void **ret)
{
    static max_align_t nothing;
    void *elements = &nothing;
    size_t element_size = wire_element_size(field);
    enum err e = count ? allocate(r, count, element_size, &elements) : ERR_OK;
    r->promised += count * least_size_each;
    for (size_t i = 0; !e && i < count; i++) {
        r->promised -= least_size_each;
        e = read_scalar(r, field, true, (char *)elements + i * element_size);
    }
    *ret = elements;
    return e;
}

static enum err read_array(struct reader *r, const struct wire_field *field, void *base)
{
    int64_t count;
    enum err e = read_length(r, false, r->is_flexible, &count);
    if (e)
        return e;
    if (count < 0) {
        if (!wire_is_nullable(field, r->version))
            return err_note(ERR_MALFORMED, "a null array stands where none may");
        *wire_count(base, field) = -1;
        return ERR_OK;
    }
    size_t least_size_each = least_element_size(r, field);
    if ((size_t)count > free_to_promise(r) / least_size_each)
        return err_note(ERR_MALFORMED, "%lld elements cannot be in %zu bytes", (long long)count,
                        free_to_promise(r));
    void *elements;
    e = read_elements(r, field, (size_t)count, least_size_each, &elements);
    if (e)
        return e;
    *(void **)wire_place(base, field->offset) = elements;
    *wire_count(base, field) = (int32_t)count;
    return ERR_OK;
}

/* The mark before a struct that may be null: a byte, negative for null; but in a tagged field a
 * number, 0 for null (so the JVM's generated classes have it). */
static enum err read_mark(struct reader *r, const struct wire_field *field, bool *ret_is_null)
{
    if (field->tag >= 0 && r->is_flexible) {
        uint32_t mark;
        enum err e = read_uvarint(r, &mark);
        if (!e)
            *ret_is_null = (int32_t)mark <= 0;
        return e;
    }
    const uint8_t *mark = NULL;
    enum err e = take(r, 1, &mark);
    if (!e)
        *ret_is_null = (int8_t)*mark < 0;
    return e;
}

static enum err read_nullable_struct(struct reader *r, const struct wire_field *field, void *place)
{
    bool is_null = false;
    enum err e = read_mark(r, field, &is_null);
    if (e)
        return e;
    if (is_null) {
        if (!wire_is_nullable(field, r->version))
            return err_note(ERR_MALFORMED, "null stands where none may");
        *(void **)place = NULL;
        return ERR_OK;
    }
    void *held = NULL;
    e = allocate(r, 1, field->of->size_bytes, &held);
    if (!e)
        e = read_struct(r, field->of, held);
    if (!e)
        *(void **)place = held;
    return e;
}

static enum err read_field(struct reader *r, const struct wire_field *field, void *base)
{
    enum err e;
    if (field->is_array)
        e = read_array(r, field, base);
    else if (wire_is_pointer(field))
        e = read_nullable_struct(r, field, wire_place(base, field->offset));
    else
        e = read_scalar(r, field, false, wire_place(base, field->offset));
    return e ? err_wrap(e, "%s", field->name) : ERR_OK;
}

/* --- tagged fields --- */

static const struct wire_field *find_tag(const struct wire_struct *body, int16_t version,
                                         uint32_t tag)
{
    for (uint16_t i = 0; i < body->fields_count; i++)
        if (body->fields[i].tag >= 0 && (uint32_t)body->fields[i].tag == tag &&
            wire_has_version(&body->fields[i], version))
            return &body->fields[i];
    return NULL;
}

/* Appended, whatever its number; sort_tags() follows. `most`: how many may still come. */
static enum err keep_tag(struct reader *r, struct wire_tags *tags, uint32_t most, uint32_t tag,
                         struct slice data)
{
    if (!tags->tags) {
        void *room = NULL;
        enum err e = allocate(r, most, sizeof *tags->tags, &room);
        if (e)
            return e;
        tags->tags = room;
    }
    tags->tags[tags->tags_count++] = (struct wire_tag){tag, data};
    return ERR_OK;
}

/* By number; equal ones as they came, which is by address. */
static int tag_compare(const void *a, const void *b)
{
    const struct wire_tag *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return x->data.data < y->data.data ? -1 : 1;
}

/* Who follows KIP-482 writes them ascending. The JVM reads them in any order, and so do we. */
static void sort_tags(struct wire_tags *tags)
{
    for (int32_t i = 1; i < tags->tags_count; i++)
        if (tags->tags[i - 1].tag > tags->tags[i].tag) {
            qsort(tags->tags, (size_t)tags->tags_count, sizeof tags->tags[0], tag_compare);
            return;
        }
}

/* A tagged field is read within its own bytes; what it leaves of them is skipped. */
static enum err read_known_tag(struct reader *r, const struct wire_field *field, struct slice data,
                               void *ret)
{
    const uint8_t *end = r->end;
    size_t promised = r->promised;
    r->at = data.data;
    r->end = data.data + data.size;
    r->promised = 0; /* within its own bytes nothing is anybody else's */
    enum err e = read_field(r, field, ret);
    r->at = r->end;
    r->end = end;
    r->promised = promised;
    return e;
}

static enum err read_tags(struct reader *r, const struct wire_struct *body, void *ret)
{
    uint32_t count;
    enum err e = read_uvarint(r, &count);
    if (!e && count > free_to_promise(r) / WIRE_LEAST_TAG_BYTES)
        e = err_note(ERR_MALFORMED, "%u tagged fields cannot be in %zu bytes", count,
                     free_to_promise(r));
    for (uint32_t i = 0; !e && i < count; i++) {
        uint32_t tag = 0, size = 0;
        const uint8_t *bytes = NULL;
        e = read_uvarint(r, &tag);
        if (!e)
            e = read_uvarint(r, &size);
        if (!e)
            e = take(r, size, &bytes);
        if (e)
            break;
        const struct wire_field *field = find_tag(body, r->version, tag);
        if (field)
            e = read_known_tag(r, field, slice_of(bytes, size), ret);
        else
            e = keep_tag(r, wire_place(ret, body->tags_offset), count - i, tag,
                         slice_of(bytes, size));
    }
    if (!e)
        sort_tags(wire_place(ret, body->tags_offset));
    return e;
}

static enum err read_struct(struct reader *r, const struct wire_struct *body, void *ret)
{
    wire_init(body, ret);
    for (uint16_t i = 0; i < body->fields_count; i++) {
        const struct wire_field *field = &body->fields[i];
        if (!wire_has_version(field, r->version) || (field->tag >= 0 && r->is_flexible))
            continue;
        enum err e = read_field(r, field, ret);
        if (e)
            return e;
    }
    return r->is_flexible ? read_tags(r, body, ret) : ERR_OK;
}

enum err wire_decode(const struct wire_message *message, struct slice bytes, int16_t version,
                     struct arena *arena, void *ret, size_t *ret_used)
{
    if (version < message->min_version || version > message->max_version)
        return err_note(ERR_UNSUPPORTED_VERSION, "%s has no version %d", message->name, version);
    static const uint8_t nothing[1];
    const uint8_t *start = bytes.data ? bytes.data : nothing;
    struct reader r = {
        .at = start,
        .end = start + bytes.size,
        .arena = arena,
        .version = version,
        .is_flexible = version >= message->flexible_version,
        .left_to_allocate =
            bytes.size > SIZE_MAX / WIRE_AMPLIFICATION ? SIZE_MAX : bytes.size * WIRE_AMPLIFICATION,
    };
    enum err e = read_struct(&r, message->body, ret);
    if (e)
        return err_wrap(e, "%s version %d", message->name, version);
    if (ret_used)
        *ret_used = (size_t)(r.at - start);
    return ERR_OK;
}
