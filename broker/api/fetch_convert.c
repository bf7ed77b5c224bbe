/* What old clients cannot read is refused or rewritten (KIP-31, KIP-98, KIP-110). */
#include "broker/api/fetch_convert.h"

#include <errno.h>
#include <unistd.h>

#include "broker/record/convert.h"

#define ZSTD_SINCE_VERSION 10

static struct topic_facts facts_of(const struct fetch_part *part)
{
    const struct cluster_functions *cluster = &part->wait->request->broker->cluster;
    return cluster->topic_facts(cluster->cluster, partition_topic(part->partition));
}

static enum err read_slice(const struct log_slice *slice, struct buf *ret)
{
    size_t left = (size_t)slice->size_bytes;
    uint8_t *to = buf_extend(ret, left);
    int64_t position = slice->position;
    while (left) {
        ssize_t got = pread(log_file_fd(slice->file), to, left, position);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? err_note_errno("read %zu bytes at %lld", left, (long long)position)
                           : err_note(ERR_IO, "the segment is shorter than its index says");
        to += got;
        position += got;
        left -= (size_t)got;
    }
    return ERR_OK;
}

/* The JVM broker has promised the slice's size before it converts, or no more than a head where
 * nothing can be converted; what is missing it fills with the head of a message that is too long to
 * be whole, which every client leaves out. An answer of nothing would look like the log's end. A
 * length below that of a batch's head would be no cut message, but a corrupt one. */
static void fill_up(struct buf *converted, struct slice stored)
{
    struct batch_info first;
    bool has_whole = !batch_peek(stored, &first) && (size_t)first.size_bytes <= stored.size;
    size_t promised = converted->size ? stored.size : has_whole ? BATCH_PREFIX_SIZE : 0;
    if (converted->size >= promised)
        return;
    size_t left = promised - converted->size;
    uint8_t head[BATCH_PREFIX_SIZE];
    put_be64(head, UINT64_MAX);
    put_be32(head + BATCH_LENGTH_AT,
             (uint32_t)(left + 1 > BATCH_HEADER_SIZE ? left + 1 : BATCH_HEADER_SIZE));
    uint8_t *to = buf_extend(converted, left);
    memset(to, 0, left);
    memcpy(to, head, left < sizeof head ? left : sizeof head);
}

static enum err convert(struct fetch_part *part)
{
    struct buf bytes = {0}, converted = {0};
    enum err e = read_slice(&part->result.slice, &bytes);
    if (!e)
        e = records_convert_down(buf_slice(&bytes), part->wait->newest_magic,
                                 part->asked->fetch_offset, &converted);
    if (!e) {
        fill_up(&converted, buf_slice(&bytes));
        part->converted = converted.size
                              ? arena_copy(part->wait->request->arena, buf_slice(&converted))
                              : SLICE_LITERAL("");
        part->is_converted = true;
    }
    buf_done(&bytes);
    buf_done(&converted);
    return e;
}

enum err fetch_convert_if_needed(struct fetch_part *part, bool may_block)
{
    const struct request *request = part->wait->request;
    if (request->api_version >= ZSTD_SINCE_VERSION || part->wait->replica_id >= 0)
        return ERR_OK;
    struct topic_facts facts = facts_of(part);
    if (facts.compression == CODEC_ZSTD)
        return ERR_UNSUPPORTED_COMPRESSION_TYPE;
    if (part->result.slice.first_magic <= part->wait->newest_magic)
        return ERR_OK;
    if (!facts.is_down_conversion_allowed)
        return ERR_UNSUPPORTED_VERSION;
    return may_block ? convert(part) : ERR_AGAIN;
}
