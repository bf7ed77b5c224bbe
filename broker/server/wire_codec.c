/* Between the network and broker/wire: messages by their tables, and the records that a Fetch
 * answer leaves in files. */
#include "broker/log/log.h"
#include "broker/server/api_entry.h"
#include "broker/wire/wire.h"

enum err wire_request_decode(const struct api_entry *entry, struct slice body, int16_t api_version,
                             struct arena *arena, void **ret_message)
{
    const struct wire_message *message = wire_api(entry->api_key)->request;
    *ret_message = arena_alloc(arena, message->body->size_bytes);
    return wire_decode(message, body, api_version, arena, *ret_message, NULL);
}

static void release(void *file)
{
    log_file_unref(file);
}

static void move_splices(struct answer *answer, const struct wire_out *out)
{
    for (size_t i = 0; i < out->splices_count; i++) {
        const struct log_slice *slice = out->splices[i].external;
        if (!slice->file)
            continue;
        struct answer_splice splice = {.at = out->splices[i].at,
                                       .fd = log_file_fd(slice->file),
                                       .position = slice->position,
                                       .size_bytes = out->splices[i].size,
                                       .release = release,
                                       .file = slice->file};
        answer_splice_file(answer, &splice);
    }
}

/* The buffer is lent to wire and comes back, with what was appended. What was noted of slices is
 * taken over after a failure too, so that their files are given back. */
enum err wire_response_encode(const struct api_entry *entry, struct answer *answer,
                              int16_t api_version, const void *response)
{
    struct wire_out out = {.bytes = answer->bytes};
    enum err e = wire_encode_out(wire_api(entry->api_key)->response, &out, api_version, response);
    answer->bytes = out.bytes;
    out.bytes = (struct buf){0};
    move_splices(answer, &out);
    wire_out_done(&out);
    return e;
}
