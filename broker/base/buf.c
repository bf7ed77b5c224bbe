/* A byte buffer that doubles. */
#include "broker/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_done(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_reserve(struct buf *buf, size_t more_bytes)
{
    size_t need;
    if (__builtin_add_overflow(buf->size, more_bytes, &need))
        mem_stop(more_bytes);
    if (need > buf->capacity)
        buf->data = mem_grow(buf->data, &buf->capacity, need < 64 ? 64 : need, 1);
}

uint8_t *buf_extend(struct buf *buf, size_t more_bytes)
{
    buf_reserve(buf, more_bytes);
    uint8_t *place = buf->data + buf->size;
    buf->size += more_bytes;
    return place;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
    if (size)
        memcpy(buf_extend(buf, size), data, size);
}

void buf_put_slice(struct buf *buf, struct slice s)
{
    buf_put(buf, s.data, s.size);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    buf_reserve(buf, (size_t)length + 1); /* the NUL is written but does not count */
    vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, format, again);
    va_end(again);
    buf->size += (size_t)length;
}

void buf_put_u8(struct buf *buf, uint8_t v)
{
    *buf_extend(buf, 1) = v;
}

void buf_put_be16(struct buf *buf, uint16_t v)
{
    put_be16(buf_extend(buf, 2), v);
}

void buf_put_be32(struct buf *buf, uint32_t v)
{
    put_be32(buf_extend(buf, 4), v);
}

void buf_put_be64(struct buf *buf, uint64_t v)
{
    put_be64(buf_extend(buf, 8), v);
}
