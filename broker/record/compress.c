/* Four compressors behind one door. Snappy and LZ4 compress block by block, so their input waits
 * until a block is full; zlib and zstd keep what they need themselves. */
#include "broker/record/compress.h"

#include <pthread.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "broker/record/lz4_frame.h"

#define SNAPPY_BLOCK_BYTES (32 << 10)
#define OUTPUT_STEP_BYTES  (32 << 10)
#define GZIP_WINDOW_BITS   (15 + 16)
#define GZIP_OS_UNKNOWN    255
#define GZIP_MEMORY_LEVEL  8
#define ZSTD_KEPT_BYTES    (4 << 20) /* of a context: that of the usual levels and no more */

struct squeezer {
    enum codec codec;
    int level;
    struct buf *out;
    struct buf block; /* input that does not fill a block yet: snappy, LZ4 */

    z_stream gzip;
    gz_header gzip_head;
    bool has_gzip;
    int gzip_level; /* that gzip was made for */
    ZSTD_CCtx *zstd;
    void *lz4_state;
};

/* --- one squeezer is kept for each thread --- */

static pthread_key_t spare_key;
static pthread_once_t spare_once = PTHREAD_ONCE_INIT;

static void destroy(void *memory)
{
    struct squeezer *squeezer = memory;
    if (squeezer->has_gzip)
        deflateEnd(&squeezer->gzip);
    ZSTD_freeCCtx(squeezer->zstd);
    free(squeezer->lz4_state);
    buf_done(&squeezer->block);
    free(squeezer);
}

/* The main thread ends without its keys being destroyed. */
static void destroy_main_spare(void)
{
    void *spare = pthread_getspecific(spare_key);
    pthread_setspecific(spare_key, NULL);
    if (spare)
        destroy(spare);
}

static void make_key(void)
{
    pthread_key_create(&spare_key, destroy);
    atexit(destroy_main_spare);
}

static struct squeezer *take_spare(void)
{
    pthread_once(&spare_once, make_key);
    struct squeezer *spare = pthread_getspecific(spare_key);
    pthread_setspecific(spare_key, NULL);
    return spare ? spare : mem_new(struct squeezer);
}

void squeezer_free(struct squeezer *squeezer)
{
    if (!squeezer)
        return;
    if (ZSTD_sizeof_CCtx(squeezer->zstd) > ZSTD_KEPT_BYTES) { /* NULL has no size */
        ZSTD_freeCCtx(squeezer->zstd);
        squeezer->zstd = NULL;
    }
    if (pthread_getspecific(spare_key))
        destroy(squeezer);
    else
        pthread_setspecific(spare_key, squeezer);
}

/* --- gzip --- */

static enum err gzip_open(struct squeezer *squeezer)
{
    if (squeezer->has_gzip && squeezer->gzip_level == squeezer->level)
        return deflateReset(&squeezer->gzip) == Z_OK ? ERR_OK : ERR_NO_MEMORY;
    if (squeezer->has_gzip)
        deflateEnd(&squeezer->gzip);
    squeezer->gzip = (z_stream){0};
    int status = deflateInit2(&squeezer->gzip, squeezer->level, Z_DEFLATED, GZIP_WINDOW_BITS,
                              GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    squeezer->has_gzip = status == Z_OK;
    squeezer->gzip_head = (gz_header){.os = GZIP_OS_UNKNOWN}; /* as Java writes it */
    if (squeezer->has_gzip)
        deflateSetHeader(&squeezer->gzip, &squeezer->gzip_head);
    squeezer->gzip_level = squeezer->level;
    if (status == Z_STREAM_ERROR)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "gzip has no level %d", squeezer->level);
    return status == Z_OK ? ERR_OK : ERR_NO_MEMORY;
}

static enum err gzip_step(struct squeezer *squeezer, struct slice bytes, int flush)
{
    z_stream *z = &squeezer->gzip;
    z->next_in = (Bytef *)(uintptr_t)bytes.data;
    z->avail_in = (uInt)bytes.size;
    do {
        buf_reserve(squeezer->out, OUTPUT_STEP_BYTES);
        z->next_out = squeezer->out->data + squeezer->out->size;
        z->avail_out = OUTPUT_STEP_BYTES;
        if (deflate(z, flush) == Z_STREAM_ERROR)
            return err_note(ERR_UNKNOWN_SERVER_ERROR, "gzip refused to go on");
        squeezer->out->size += OUTPUT_STEP_BYTES - z->avail_out;
    } while (z->avail_out == 0);
    return ERR_OK;
}

/* --- zstd --- */

static enum err zstd_failed(size_t status)
{
    return err_note(ERR_UNKNOWN_SERVER_ERROR, "zstd: %s", ZSTD_getErrorName(status));
}

static enum err zstd_open(struct squeezer *squeezer)
{
    if (!squeezer->zstd)
        squeezer->zstd = ZSTD_createCCtx();
    if (!squeezer->zstd)
        return ERR_NO_MEMORY;
    ZSTD_CCtx_reset(squeezer->zstd, ZSTD_reset_session_and_parameters);
    size_t status =
        ZSTD_CCtx_setParameter(squeezer->zstd, ZSTD_c_compressionLevel, squeezer->level);
    return ZSTD_isError(status) ? zstd_failed(status) : ERR_OK;
}

static enum err zstd_step(struct squeezer *squeezer, struct slice bytes, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = {bytes.data, bytes.size, 0};
    size_t left = 1;
    while (in.pos < in.size || (end == ZSTD_e_end && left)) {
        buf_reserve(squeezer->out, OUTPUT_STEP_BYTES);
        ZSTD_outBuffer out = {squeezer->out->data + squeezer->out->size, OUTPUT_STEP_BYTES, 0};
        left = ZSTD_compressStream2(squeezer->zstd, &out, &in, end);
        if (ZSTD_isError(left))
            return zstd_failed(left);
        squeezer->out->size += out.pos;
    }
    return ERR_OK;
}

/* --- snappy and LZ4, by blocks --- */

static void snappy_block(struct squeezer *squeezer, struct slice block)
{
    struct buf *out = squeezer->out;
    size_t length = snappy_max_compressed_length(block.size), start = out->size;
    uint8_t *place = buf_extend(out, 4 + length);
    snappy_compress((const char *)block.data, block.size, (char *)place + 4, &length);
    put_be32(out->data + start, (uint32_t)length);
    out->size = start + 4 + length;
}

static enum err lz4_open(struct squeezer *squeezer, int8_t magic)
{
    if (!squeezer->lz4_state)
        squeezer->lz4_state = mem_try(lz4_frame_state_bytes());
    if (!squeezer->lz4_state)
        return ERR_NO_MEMORY;
    lz4_frame_begin(magic, squeezer->out);
    return ERR_OK;
}

static void block_step(struct squeezer *squeezer, struct slice block)
{
    if (squeezer->codec == CODEC_SNAPPY)
        snappy_block(squeezer, block);
    else
        lz4_frame_block(squeezer->lz4_state, block, squeezer->level, squeezer->out);
}

static void put_in_blocks(struct squeezer *squeezer, struct slice bytes)
{
    size_t full = squeezer->codec == CODEC_SNAPPY ? SNAPPY_BLOCK_BYTES : LZ4_WRITTEN_BLOCK_BYTES;
    while (bytes.size) {
        size_t room = full - squeezer->block.size;
        size_t now = bytes.size < room ? bytes.size : room;
        if (squeezer->block.size == 0 && now == full) {
            block_step(squeezer, slice_of(bytes.data, full));
        } else {
            buf_put(&squeezer->block, bytes.data, now);
            if (squeezer->block.size == full) {
                block_step(squeezer, buf_slice(&squeezer->block));
                squeezer->block.size = 0;
            }
        }
        bytes = slice_of(bytes.data + now, bytes.size - now);
    }
}

static void finish_blocks(struct squeezer *squeezer)
{
    if (squeezer->block.size)
        block_step(squeezer, buf_slice(&squeezer->block));
    if (squeezer->codec == CODEC_LZ4)
        lz4_frame_end(squeezer->out);
}

/* --- the door --- */

static enum err open_codec(struct squeezer *squeezer, int8_t magic)
{
    static const uint8_t xerial[] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    switch (squeezer->codec) {
    case CODEC_NONE:
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_open(squeezer);
    case CODEC_SNAPPY:
        buf_put(squeezer->out, xerial, sizeof xerial);
        return ERR_OK;
    case CODEC_LZ4:
        return lz4_open(squeezer, magic);
    case CODEC_ZSTD:
        return zstd_open(squeezer);
    default:
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "there is no codec %d", (int)squeezer->codec);
    }
}

enum err squeezer_open(enum codec codec, int level, int8_t magic, struct buf *out,
                       struct squeezer **ret_squeezer)
{
    struct squeezer *squeezer = take_spare();
    squeezer->codec = codec;
    squeezer->level = level;
    squeezer->out = out;
    squeezer->block.size = 0;
    enum err e = open_codec(squeezer, magic);
    if (e)
        squeezer_free(squeezer);
    else
        *ret_squeezer = squeezer;
    return e;
}

enum err squeezer_put(struct squeezer *squeezer, struct slice bytes)
{
    if (bytes.size == 0)
        return ERR_OK;
    switch (squeezer->codec) {
    case CODEC_NONE:
        buf_put_slice(squeezer->out, bytes);
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_step(squeezer, bytes, Z_NO_FLUSH);
    case CODEC_ZSTD:
        return zstd_step(squeezer, bytes, ZSTD_e_continue);
    default:
        put_in_blocks(squeezer, bytes);
        return ERR_OK;
    }
}

enum err squeezer_finish(struct squeezer *squeezer)
{
    switch (squeezer->codec) {
    case CODEC_NONE:
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_step(squeezer, SLICE_LITERAL(""), Z_FINISH);
    case CODEC_ZSTD:
        return zstd_step(squeezer, SLICE_LITERAL(""), ZSTD_e_end);
    default:
        finish_blocks(squeezer);
        return ERR_OK;
    }
}

enum err records_compress(enum codec codec, int level, int8_t magic, struct slice bytes,
                          struct buf *out)
{
    struct squeezer *squeezer = NULL;
    enum err e = squeezer_open(codec, level, magic, out, &squeezer);
    if (e)
        return e;
    e = squeezer_put(squeezer, bytes);
    if (!e)
        e = squeezer_finish(squeezer);
    squeezer_free(squeezer);
    return e;
}
