/* Compressing the records of a batch, in the framings that clients read. */
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "broker/record/lz4_frame.h"
#include "broker/record/stream.h"

#define SNAPPY_BLOCK_BYTES (32 << 10)
#define GZIP_WINDOW_BITS   (15 + 16)
#define GZIP_MEMORY_LEVEL  8

static enum err compress_gzip(int level, struct slice bytes, struct buf *out)
{
    z_stream z = {0};
    if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return ERR_NO_MEMORY;
    size_t room = deflateBound(&z, (uLong)bytes.size), start = out->size;
    z.next_out = buf_extend(out, room);
    z.avail_out = (uInt)room;
    z.next_in = (Bytef *)(uintptr_t)bytes.data;
    z.avail_in = (uInt)bytes.size;
    int status = deflate(&z, Z_FINISH);
    out->size = start + room - z.avail_out;
    deflateEnd(&z);
    return status == Z_STREAM_END ? ERR_OK
                                  : err_note(ERR_UNKNOWN_SERVER_ERROR, "gzip gave %d", status);
}

static enum err compress_snappy(struct slice bytes, struct buf *out)
{
    static const uint8_t head[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    buf_put(out, head, sizeof head);
    for (size_t at = 0; at < bytes.size; at += SNAPPY_BLOCK_BYTES) {
        size_t size = bytes.size - at < SNAPPY_BLOCK_BYTES ? bytes.size - at : SNAPPY_BLOCK_BYTES;
        size_t length = snappy_max_compressed_length(size), start = out->size;
        uint8_t *place = buf_extend(out, 4 + length);
        snappy_compress((const char *)bytes.data + at, size, (char *)place + 4, &length);
        put_be32(out->data + start, (uint32_t)length);
        out->size = start + 4 + length;
    }
    return ERR_OK;
}

static enum err compress_zstd(int level, struct slice bytes, struct buf *out)
{
    size_t room = ZSTD_compressBound(bytes.size), start = out->size;
    uint8_t *place = buf_extend(out, room);
    size_t length = ZSTD_compress(place, room, bytes.data, bytes.size, level);
    out->size = start + (ZSTD_isError(length) ? 0 : length);
    return ZSTD_isError(length)
               ? err_note(ERR_UNKNOWN_SERVER_ERROR, "zstd: %s", ZSTD_getErrorName(length))
               : ERR_OK;
}

enum err records_compress(enum codec codec, int level, int8_t magic, struct slice bytes,
                          struct buf *out)
{
    switch (codec) {
    case CODEC_NONE:
        buf_put_slice(out, bytes);
        return ERR_OK;
    case CODEC_GZIP:
        return compress_gzip(level, bytes, out);
    case CODEC_SNAPPY:
        return compress_snappy(bytes, out);
    case CODEC_LZ4:
        return lz4_frame_write(bytes, level, magic, out);
    case CODEC_ZSTD:
        return compress_zstd(level, bytes, out);
    default:
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "there is no codec %d", (int)codec);
    }
}
