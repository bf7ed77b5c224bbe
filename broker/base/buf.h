/* A growable byte buffer, and big-endian reads and writes. Struct open: callers embed it.
 * Thread: one owner at a time. */
#pragma once

#include <endian.h>

#include "broker/base/mem.h"
#include "broker/base/slice.h"

struct buf {
    uint8_t *data;
    size_t size; /* bytes in use */
    size_t capacity;
};

void buf_done(struct buf *buf);                       /* frees; the struct may be used anew */
void buf_reserve(struct buf *buf, size_t more_bytes); /* room for so many beyond size */
void buf_put(struct buf *buf, const void *data, size_t size);
void buf_put_slice(struct buf *buf, struct slice s);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);
uint8_t *buf_extend(struct buf *buf, size_t more_bytes); /* grows size; the bytes are not set */

static inline struct slice buf_slice(const struct buf *buf)
{
    return slice_of(buf->data, buf->size);
}

/* Big-endian, unaligned. */
static inline uint16_t get_be16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return be16toh(v);
}
static inline uint32_t get_be32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return be32toh(v);
}
static inline uint64_t get_be64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return be64toh(v);
}
static inline void put_be16(void *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, 2);
}
static inline void put_be32(void *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, 4);
}
static inline void put_be64(void *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

void buf_put_u8(struct buf *buf, uint8_t v);
void buf_put_be16(struct buf *buf, uint16_t v);
void buf_put_be32(struct buf *buf, uint32_t v);
void buf_put_be64(struct buf *buf, uint64_t v);
