/* The four decompressors behind one window. */
#include "broker/record/stream.h"

#include <lz4.h>
#include <pthread.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "broker/record/lz4_frame.h"
#include "broker/record/xxhash32.h"

#define WINDOW_BYTES            (64 << 10)
#define GZIP_WINDOW_BITS        (15 + 16) /* a gzip head is asked for */
#define ZSTD_KEPT_BYTES         (4 << 20) /* of a context: that of the usual levels and no more */
#define GZIP_LEAST_MEMBER_BYTES 18
#define SNAPPY_MOST_RATIO       32 /* a copy of 64 bytes takes 3: a length beyond this is a lie */

static const uint8_t xerial_magic[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
#define XERIAL_HEAD_BYTES    16 /* magic, version, least compatible version */
#define XERIAL_LEAST_VERSION 1

struct inflater {
    enum codec codec;
    struct slice input; /* what is left of it */
    struct buf window;
    bool is_done;
    const char *failure; /* why nothing more can be read, once that is found */

    z_stream gzip;
    gz_header gzip_head;
    bool has_gzip, is_gzip_later; /* a member behind the first */
    ZSTD_DCtx *zstd;
    size_t zstd_hint; /* 0: at a frame's end */
    bool is_snappy_bare;
    struct lz4_frame lz4;
};

/* --- one inflater is kept for each thread --- */

static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void inflater_free(void *memory)
{
    struct inflater *inflater = memory;
    if (inflater->has_gzip)
        inflateEnd(&inflater->gzip);
    ZSTD_freeDCtx(inflater->zstd);
    buf_done(&inflater->window);
    free(inflater);
}

/* The main thread ends without its keys being destroyed. */
static void free_main_spare(void)
{
    void *spare = pthread_getspecific(spare_key);
    pthread_setspecific(spare_key, NULL);
    if (spare)
        inflater_free(spare);
}

static void make_key(void)
{
    pthread_key_create(&spare_key, inflater_free);
    atexit(free_main_spare);
}

static struct inflater *inflater_take(void)
{
    pthread_once(&spare_once, make_key);
    struct inflater *spare = pthread_getspecific(spare_key);
    pthread_setspecific(spare_key, NULL);
    return spare ? spare : mem_new(struct inflater);
}

static void inflater_give_back(struct inflater *inflater)
{
    if (inflater->window.capacity > 4 * WINDOW_BYTES)
        buf_done(&inflater->window);
    if (ZSTD_sizeof_DCtx(inflater->zstd) > ZSTD_KEPT_BYTES) { /* NULL has no size */
        ZSTD_freeDCtx(inflater->zstd);
        inflater->zstd = NULL;
    }
    if (pthread_getspecific(spare_key))
        inflater_free(inflater);
    else
        pthread_setspecific(spare_key, inflater);
}

static enum err cannot_inflate(struct inflater *inflater, const char *why)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    inflater->failure = why;
    return err_note(ERR_UNKNOWN_SERVER_ERROR, "the %s stream cannot be read: %s",
                    names[inflater->codec], why);
}

/* --- gzip --- */

static enum err gzip_open(struct inflater *inflater)
{
    if (inflater->input.size < 10 || inflater->input.data[0] != 0x1f ||
        inflater->input.data[1] != 0x8b)
        return cannot_inflate(inflater, "it has no gzip head");
    int status = inflater->has_gzip ? inflateReset2(&inflater->gzip, GZIP_WINDOW_BITS)
                                    : inflateInit2(&inflater->gzip, GZIP_WINDOW_BITS);
    if (status != Z_OK)
        return ERR_NO_MEMORY;
    inflater->has_gzip = true;
    inflater->is_gzip_later = false;
    return ERR_OK;
}

/* A member may follow the one that ended. The JVM's reader tries when more than a head and a
 * trailer are left, and takes whatever is no member for the end. */
static bool gzip_next_member(struct inflater *inflater)
{
    if (inflater->input.size <= GZIP_LEAST_MEMBER_BYTES || inflateReset(&inflater->gzip) != Z_OK)
        return false;
    inflater->gzip_head = (gz_header){0};
    inflater->is_gzip_later = true;
    return inflateGetHeader(&inflater->gzip, &inflater->gzip_head) == Z_OK;
}

static bool gzip_is_no_member(const struct inflater *inflater)
{
    return inflater->is_gzip_later && inflater->gzip_head.done != 1;
}

static enum err gzip_fill(struct inflater *inflater)
{
    z_stream *z = &inflater->gzip;
    z->next_in = (Bytef *)(uintptr_t)inflater->input.data;
    z->avail_in = (uInt)inflater->input.size;
    z->next_out = inflater->window.data;
    z->avail_out = WINDOW_BYTES;
    int status = inflate(z, Z_NO_FLUSH);
    inflater->input = slice_of(z->next_in, z->avail_in);
    inflater->window.size = WINDOW_BYTES - z->avail_out;
    if (status == Z_STREAM_END)
        inflater->is_done = !gzip_next_member(inflater);
    else if (status == Z_OK && inflater->window.size)
        return ERR_OK;
    else if (gzip_is_no_member(inflater))
        inflater->is_done = true;
    else if (status == Z_BUF_ERROR || status == Z_OK)
        return cannot_inflate(inflater, "it ends too soon");
    else
        return cannot_inflate(inflater, z->msg ? z->msg : "bad data");
    return ERR_OK;
}

/* --- snappy --- */

static bool is_xerial_head(struct slice input)
{
    return input.size >= XERIAL_HEAD_BYTES &&
           memcmp(input.data, xerial_magic, sizeof xerial_magic) == 0;
}

static void skip(struct inflater *inflater, size_t size)
{
    inflater->input = slice_of(inflater->input.data + size, inflater->input.size - size);
}

static enum err pass_xerial_head(struct inflater *inflater)
{
    if ((int32_t)get_be32(inflater->input.data + sizeof xerial_magic) < XERIAL_LEAST_VERSION)
        return cannot_inflate(inflater, "its framing is of an unknown version");
    skip(inflater, XERIAL_HEAD_BYTES);
    return ERR_OK;
}

static enum err snappy_open(struct inflater *inflater)
{
    inflater->is_snappy_bare = !is_xerial_head(inflater->input);
    if (!inflater->is_snappy_bare)
        return pass_xerial_head(inflater);
    return inflater->input.size ? ERR_OK : cannot_inflate(inflater, "it is empty");
}

/* The next block. Heads in between are passed, as streams are put one behind the other; what is too
 * short for a block, or begins like a head and is none, is taken for the end. */
static enum err next_snappy_block(struct inflater *inflater, struct slice *ret)
{
    *ret = SLICE_NULL;
    while (is_xerial_head(inflater->input)) {
        enum err e = pass_xerial_head(inflater);
        if (e)
            return e;
    }
    if (inflater->input.size < 4 || memcmp(inflater->input.data, xerial_magic, 4) == 0)
        return ERR_OK;
    uint32_t size = get_be32(inflater->input.data);
    if (size > inflater->input.size - 4)
        return cannot_inflate(inflater, "a block ends too soon");
    *ret = slice_of(inflater->input.data + 4, size);
    skip(inflater, 4 + (size_t)size);
    return ERR_OK;
}

static enum err snappy_block(struct inflater *inflater, struct slice block)
{
    size_t length;
    if (snappy_uncompressed_length((const char *)block.data, block.size, &length) != SNAPPY_OK ||
        length > block.size * SNAPPY_MOST_RATIO)
        return cannot_inflate(inflater, "a block has no right length");
    buf_reserve(&inflater->window, length + 1);
    if (snappy_uncompress((const char *)block.data, block.size, (char *)inflater->window.data,
                          &length) != SNAPPY_OK)
        return cannot_inflate(inflater, "a block is damaged");
    inflater->window.size = length;
    return ERR_OK;
}

static enum err snappy_fill(struct inflater *inflater)
{
    struct slice block = inflater->input;
    if (inflater->is_snappy_bare) {
        inflater->is_done = true;
        return snappy_block(inflater, block);
    }
    enum err e = next_snappy_block(inflater, &block);
    if (!e && slice_is_null(block))
        inflater->is_done = true;
    else if (!e)
        e = snappy_block(inflater, block);
    return e;
}

/* --- lz4 --- */

static enum err lz4_fill(struct inflater *inflater)
{
    enum err e = lz4_frame_next(&inflater->lz4, &inflater->input, &inflater->window);
    inflater->is_done = inflater->lz4.is_done;
    return e;
}

/* --- zstd --- */

static enum err zstd_open(struct inflater *inflater)
{
    if (!inflater->zstd)
        inflater->zstd = ZSTD_createDCtx();
    if (!inflater->zstd)
        return ERR_NO_MEMORY;
    ZSTD_DCtx_reset(inflater->zstd, ZSTD_reset_session_only);
    inflater->zstd_hint = 0;
    return ERR_OK;
}

static enum err zstd_fill(struct inflater *inflater)
{
    ZSTD_inBuffer in = {inflater->input.data, inflater->input.size, 0};
    ZSTD_outBuffer out = {inflater->window.data, WINDOW_BYTES, 0};
    if (in.size == 0 && inflater->zstd_hint == 0) {
        inflater->is_done = true;
        return ERR_OK;
    }
    size_t hint = ZSTD_decompressStream(inflater->zstd, &out, &in);
    inflater->window.size = out.pos;
    if (ZSTD_isError(hint))
        return cannot_inflate(inflater, ZSTD_getErrorName(hint));
    inflater->zstd_hint = hint;
    inflater->input = slice_of(inflater->input.data + in.pos, in.size - in.pos);
    if (in.size == in.pos && out.pos == 0 && hint != 0)
        return cannot_inflate(inflater, "it ends too soon");
    return ERR_OK;
}

/* --- the stream --- */

static enum err open_codec(struct inflater *inflater, int8_t magic)
{
    switch (inflater->codec) {
    case CODEC_GZIP:
        return gzip_open(inflater);
    case CODEC_SNAPPY:
        return snappy_open(inflater);
    case CODEC_LZ4:
        return lz4_frame_open(&inflater->lz4, magic, &inflater->input);
    case CODEC_ZSTD:
        return zstd_open(inflater);
    default:
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "there is no codec %d", (int)inflater->codec);
    }
}

enum err stream_open(struct stream *stream, enum codec codec, int8_t magic, struct slice bytes)
{
    *stream = (struct stream){0};
    if (codec == CODEC_NONE) {
        stream->at = bytes.data;
        stream->end = bytes.data + bytes.size;
        return ERR_OK;
    }
    struct inflater *inflater = inflater_take();
    inflater->codec = codec;
    inflater->input = bytes;
    inflater->is_done = false;
    inflater->failure = NULL;
    inflater->window.size = 0;
    buf_reserve(&inflater->window, WINDOW_BYTES);
    stream->inflater = inflater;
    enum err e = open_codec(inflater, magic);
    if (e)
        stream_close(stream);
    return e;
}

void stream_close(struct stream *stream)
{
    if (stream->inflater)
        inflater_give_back(stream->inflater);
    *stream = (struct stream){0};
}

static enum err fill(struct inflater *inflater)
{
    inflater->window.size = 0;
    switch (inflater->codec) {
    case CODEC_GZIP:
        return gzip_fill(inflater);
    case CODEC_SNAPPY:
        return snappy_fill(inflater);
    case CODEC_LZ4:
        return lz4_fill(inflater);
    default:
        return zstd_fill(inflater);
    }
}

enum err stream_refill(struct stream *stream)
{
    struct inflater *inflater = stream->inflater;
    if (!inflater)
        return ERR_OK;
    stream->at = stream->end = inflater->window.data;
    while (stream->at == stream->end && !inflater->is_done) {
        if (inflater->failure)
            return cannot_inflate(inflater, inflater->failure);
        enum err e = fill(inflater);
        if (e && inflater->window.size == 0)
            return e;
        stream->at = inflater->window.data;
        stream->end = stream->at + inflater->window.size;
    }
    return ERR_OK;
}

static enum err ends_too_soon(void)
{
    return err_note(ERR_INVALID_RECORD, "Incorrect declared batch size, premature EOF reached");
}

/* ret NULL: skip. */
static enum err consume(struct stream *stream, uint8_t *ret, size_t size)
{
    while (size) {
        if (stream->at == stream->end) {
            enum err e = stream_refill(stream);
            if (e)
                return e;
            if (stream->at == stream->end)
                return ends_too_soon();
        }
        size_t now =
            (size_t)(stream->end - stream->at) < size ? (size_t)(stream->end - stream->at) : size;
        if (ret) {
            memcpy(ret, stream->at, now);
            ret += now;
        }
        stream->at += now;
        size -= now;
    }
    return ERR_OK;
}

enum err stream_read(struct stream *stream, void *ret, size_t size)
{
    return consume(stream, ret, size);
}

enum err stream_skip(struct stream *stream, size_t size)
{
    return consume(stream, NULL, size);
}

enum err stream_at_end(struct stream *stream, bool *ret_is_end)
{
    enum err e = stream->at == stream->end ? stream_refill(stream) : ERR_OK;
    if (!e)
        *ret_is_end = stream->at == stream->end;
    return e;
}

enum err stream_read_all(struct stream *stream, size_t limit, struct buf *ret)
{
    for (;;) {
        size_t now = (size_t)(stream->end - stream->at);
        if (now > limit - ret->size)
            return err_note(ERR_MESSAGE_TOO_LARGE, "the batch inflates to more than %zu bytes",
                            limit);
        buf_put(ret, stream->at, now);
        stream->at = stream->end;
        bool is_end;
        enum err e = stream_at_end(stream, &is_end);
        if (e || is_end)
            return e;
    }
}
