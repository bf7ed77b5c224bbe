/* Reading and writing the frame by hand: the library's own reader accepts what Kafka's refuses. */
#include "broker/record/lz4_frame.h"

#include <lz4.h>
#include <lz4hc.h>

#include "broker/record/xxhash32.h"

#define MAGIC            0x184d2204u
#define WRITTEN_BLOCK_ID 4
#define STORED_PLAIN     0x80000000u

enum flag {
    FLAG_VERSION = 0x40,
    FLAG_INDEPENDENT = 0x20,
    FLAG_BLOCK_SUM = 0x10,
    FLAG_CONTENT_SIZE = 0x08,
    FLAG_CONTENT_SUM = 0x04
};

static uint32_t get_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_le32(struct buf *out, uint32_t v)
{
    uint8_t bytes[] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_put(out, bytes, sizeof bytes);
}

static void advance(struct slice *input, size_t by)
{
    *input = slice_of(input->data + by, input->size - by);
}

static enum err bad(const char *why)
{
    return err_note(ERR_UNKNOWN_SERVER_ERROR, "the lz4 stream cannot be read: %s", why);
}

static enum err too_soon(void)
{
    return bad("it ends too soon");
}

enum err lz4_frame_open(struct lz4_frame *frame, int8_t magic, struct slice *input)
{
    *frame = (struct lz4_frame){0};
    if (input->size < 7 || get_le32(input->data) != MAGIC)
        return bad("it has no lz4 head");
    uint8_t flags = input->data[4], block = input->data[5];
    if ((flags & 0xc0) != FLAG_VERSION || flags & 0x03)
        return bad("its version or reserved bits are not known");
    if (!(flags & FLAG_INDEPENDENT))
        return bad("its blocks depend on each other");
    int id = block >> 4 & 7;
    if (block & 0x8f || id < 4)
        return bad("its block size is not known");
    size_t head = 6 + (flags & FLAG_CONTENT_SIZE ? 8 : 0);
    if (input->size < head + 1)
        return bad("its head is cut");
    uint8_t sum = (uint8_t)(xxhash32(input->data + 4, head - 4) >> 8);
    if (magic >= 1 && sum != input->data[head])
        return bad("its head fails the checksum");
    frame->block_max_bytes = (size_t)1 << (2 * id + 8);
    frame->has_block_checksum = flags & FLAG_BLOCK_SUM;
    frame->has_content_checksum = flags & FLAG_CONTENT_SUM;
    advance(input, head + 1);
    return ERR_OK;
}

static enum err end_frame(struct lz4_frame *frame, struct slice *input)
{
    frame->is_done = true;
    if (!frame->has_content_checksum)
        return ERR_OK;
    if (input->size < 4)
        return too_soon();
    advance(input, 4);
    return ERR_OK;
}

enum err lz4_frame_next(struct lz4_frame *frame, struct slice *input, struct buf *window)
{
    window->size = 0;
    if (input->size < 4)
        return too_soon();
    uint32_t word = get_le32(input->data), size = word & ~STORED_PLAIN;
    advance(input, 4);
    if (size == 0)
        return end_frame(frame, input);
    if (size > frame->block_max_bytes)
        return bad("a block is larger than its frame allows");
    if (input->size < size + (frame->has_block_checksum ? 4u : 0u))
        return too_soon();
    const uint8_t *block = input->data;
    if (frame->has_block_checksum && xxhash32(block, size) != get_le32(block + size))
        return bad("a block fails its checksum");
    advance(input, size + (frame->has_block_checksum ? 4 : 0));
    if (word & STORED_PLAIN) {
        buf_put(window, block, size);
        return ERR_OK;
    }
    buf_reserve(window, frame->block_max_bytes);
    int length = LZ4_decompress_safe((const char *)block, (char *)window->data, (int)size,
                                     (int)frame->block_max_bytes);
    if (length < 0)
        return bad("a block is damaged");
    window->size = (size_t)length;
    return ERR_OK;
}

/* --- writing --- */

size_t lz4_frame_state_bytes(void)
{
    int high = LZ4_sizeofStateHC(), fast = LZ4_sizeofState();
    return (size_t)(high > fast ? high : fast);
}

void lz4_frame_begin(int8_t magic, struct buf *out)
{
    size_t start = out->size;
    put_le32(out, MAGIC);
    buf_put_u8(out, FLAG_VERSION | FLAG_INDEPENDENT);
    buf_put_u8(out, WRITTEN_BLOCK_ID << 4);
    const uint8_t *head = out->data + start;
    uint8_t sum = (uint8_t)((magic >= 1 ? xxhash32(head + 4, 2) : xxhash32(head, 6)) >> 8);
    buf_put_u8(out, sum);
}

static int squeeze(void *state, struct slice block, int level, char *place, int room)
{
    const char *from = (const char *)block.data;
    int size = (int)block.size;
    return level > 1 ? LZ4_compress_HC_extStateHC(state, from, place, size, room, level)
                     : LZ4_compress_fast_extState(state, from, place, size, room, 1);
}

void lz4_frame_block(void *state, struct slice block, int level, struct buf *out)
{
    size_t start = out->size;
    int room = LZ4_compressBound((int)block.size);
    uint8_t *place = buf_extend(out, 4 + (size_t)room);
    int length = squeeze(state, block, level, (char *)place + 4, room);
    out->size = start;
    if (length > 0 && (size_t)length < block.size) {
        put_le32(out, (uint32_t)length);
        out->size += (size_t)length;
        return;
    }
    put_le32(out, (uint32_t)block.size | STORED_PLAIN);
    buf_put_slice(out, block);
}

void lz4_frame_end(struct buf *out)
{
    put_le32(out, 0);
}
