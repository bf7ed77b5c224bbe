/* Heads of requests and answers: which of the three request headers and two response headers
 * applies, and their bytes. */
#include "broker/server/frame.h"

#include "broker/base/varint.h"

/* A place in the bytes; reading beyond the end makes it bad and gives zeros. */
struct cursor {
    const uint8_t *data;
    size_t left;
    bool is_bad;
};

static const uint8_t *take(struct cursor *c, size_t size)
{
    static const uint8_t zeros[8];
    if (c->left < size) {
        c->is_bad = true;
        c->left = 0;
        return zeros;
    }
    const uint8_t *at = c->data;
    c->data += size;
    c->left -= size;
    return at;
}

static uint32_t take_uvarint(struct cursor *c)
{
    uint32_t value = 0;
    size_t used = uvarint_get(c->data, c->left, &value);
    if (used == 0)
        c->is_bad = true;
    else
        take(c, used);
    return value;
}

/* The client id is an old-style string even in header version 2. */
static struct slice take_client_id(struct cursor *c)
{
    int16_t size = (int16_t)get_be16(take(c, 2));
    if (size < 0 || c->left < (size_t)size) {
        c->is_bad |= size >= 0;
        return SLICE_NULL;
    }
    return slice_of(take(c, (size_t)size), (size_t)size);
}

static void skip_tagged_fields(struct cursor *c)
{
    uint32_t count = take_uvarint(c);
    for (uint32_t i = 0; i < count && !c->is_bad; i++) {
        take_uvarint(c);
        uint32_t size = take_uvarint(c);
        if (c->left < size)
            c->is_bad = true;
        else
            c->data += size, c->left -= size;
    }
}

static int request_header_version(const struct api_entry *entry, int16_t api_version)
{
    if (entry->api_key == API_KEY_CONTROLLED_SHUTDOWN && api_version == 0)
        return 0;
    return api_version >= entry->flexible_version ? 2 : 1;
}

enum err frame_header_parse(struct slice frame, const struct api_entry *(*lookup)(int16_t),
                            struct frame_header *ret_header)
{
    struct cursor c = {frame.data, frame.size, false};
    struct frame_header header = {0};

    header.api_key = (int16_t)get_be16(take(&c, 2));
    header.api_version = (int16_t)get_be16(take(&c, 2));
    header.correlation_id = (int32_t)get_be32(take(&c, 4));
    if (c.is_bad)
        return err_note(ERR_MALFORMED, "a request of %zu bytes ends within its header", frame.size);
    header.entry = lookup(header.api_key);
    if (!header.entry)
        return err_note(ERR_UNSUPPORTED_VERSION, "unknown api_key=%d", header.api_key);
    if (header.api_version < header.entry->min_version ||
        header.api_version > header.entry->max_version) {
        if (header.api_key != API_KEY_API_VERSIONS)
            return err_note(ERR_UNSUPPORTED_VERSION, "unsupported version api=%s api_version=%d",
                            header.entry->name, header.api_version);
        header.version_unknown = true;
    }
    int header_version = request_header_version(header.entry, header.api_version);
    if (header_version >= 1)
        header.client_id = take_client_id(&c);
    if (header_version >= 2)
        skip_tagged_fields(&c);
    if (c.is_bad)
        return err_note(ERR_MALFORMED, "malformed header api=%s api_version=%d", header.entry->name,
                        header.api_version);
    header.size_bytes = frame.size - c.left;
    *ret_header = header;
    return ERR_OK;
}

void frame_answer_begin(struct buf *bytes, const struct api_entry *entry, int16_t api_version,
                        int32_t correlation_id)
{
    buf_put_be32(bytes, 0);
    buf_put_be32(bytes, (uint32_t)correlation_id);
    /* ApiVersions stays at header version 0: a client must be able to read it before it knows
     * anything. */
    if (api_version >= entry->flexible_version && entry->api_key != API_KEY_API_VERSIONS)
        buf_put_u8(bytes, 0);
}

enum err frame_answer_end(struct answer *answer)
{
    uint64_t size = answer->bytes.size - FRAME_SIZE_BYTES;
    for (size_t i = 0; i < answer->splices_count; i++)
        size += answer->splices[i].size_bytes;
    if (size > INT32_MAX)
        return err_note(ERR_MESSAGE_TOO_LARGE, "an answer of %llu bytes", (unsigned long long)size);
    put_be32(answer->bytes.data, (uint32_t)size);
    return ERR_OK;
}
