/* See peer_frame.h. Two requests differ from the others: the oldest ControlledShutdown names no
 * client, and the answer to ApiVersions never has tagged fields in its header. */
#include "broker/peer/peer_frame.h"

#include "broker/base/varint.h"

#define CONTROLLED_SHUTDOWN 7
#define API_VERSIONS        18

enum err peer_frame_put(struct buf *out, const struct peer_api *api, int16_t api_version,
                        int32_t correlation_id, const char *client_id, const void *request)
{
    size_t begin = out->size;
    bool is_flexible = api_version >= api->flexible_version;
    buf_put_be32(out, 0);
    buf_put_be16(out, (uint16_t)api->api_key);
    buf_put_be16(out, (uint16_t)api_version);
    buf_put_be32(out, (uint32_t)correlation_id);
    if (api->api_key != CONTROLLED_SHUTDOWN || api_version > 0) {
        buf_put_be16(out, (uint16_t)strlen(client_id));
        buf_put(out, client_id, strlen(client_id));
    }
    if (is_flexible)
        buf_put_u8(out, 0);
    enum err e = api->encode(api, out, api_version, request);
    if (e) {
        out->size = begin;
        return err_wrap(e, "request api=%s api_version=%d", api->name, api_version);
    }
    put_be32(out->data + begin, (uint32_t)(out->size - begin - FRAME_SIZE_BYTES));
    return ERR_OK;
}

enum err peer_frame_header_size(const struct peer_api *api, int16_t api_version,
                                int32_t correlation_id, struct slice frame, size_t *ret_size)
{
    size_t at = 4;
    if (frame.size < at || (int32_t)get_be32(frame.data) != correlation_id)
        return err_note(ERR_MALFORMED, "an answer of another correlation id");
    if (api_version < api->flexible_version || api->api_key == API_VERSIONS) {
        *ret_size = at;
        return ERR_OK;
    }
    uint32_t tags = 0, tag, size;
    size_t used = uvarint_get(frame.data + at, frame.size - at, &tags);
    at += used;
    for (uint32_t i = 0; used && i < tags; i++) {
        at += used = uvarint_get(frame.data + at, frame.size - at, &tag);
        if (used)
            at += used = uvarint_get(frame.data + at, frame.size - at, &size);
        if (!used || frame.size - at < size)
            used = 0;
        else
            at += size;
    }
    *ret_size = at;
    return used ? ERR_OK : err_note(ERR_MALFORMED, "the header of an answer is malformed");
}
