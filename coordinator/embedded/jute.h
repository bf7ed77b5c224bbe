/* Jute, the wire format of ZooKeeper: big-endian numbers, bytes and strings behind a 32-bit length
 * where -1 is null. Reading past the end sets `bad` and gives zeros, so that callers check once. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/slice.h"

struct jute_in {
    const uint8_t *at, *end;
    bool bad;
};

static inline struct jute_in jute_in_of(struct slice s)
{
    return (struct jute_in){s.data, s.size ? s.data + s.size : s.data, false};
}
static inline const uint8_t *jute_take(struct jute_in *in, size_t size)
{
    if (in->bad || (size_t)(in->end - in->at) < size) {
        in->bad = true;
        return NULL;
    }
    in->at += size;
    return in->at - size;
}
static inline int32_t jute_int(struct jute_in *in)
{
    const uint8_t *p = jute_take(in, 4);
    return p ? (int32_t)get_be32(p) : 0;
}
static inline int64_t jute_long(struct jute_in *in)
{
    const uint8_t *p = jute_take(in, 8);
    return p ? (int64_t)get_be64(p) : 0;
}
static inline bool jute_bool(struct jute_in *in)
{
    const uint8_t *p = jute_take(in, 1);
    return p && *p;
}
/* Borrowed from the input. */
static inline struct slice jute_bytes(struct jute_in *in)
{
    int32_t size = jute_int(in);
    if (in->bad || size == -1)
        return SLICE_NULL;
    if (size < 0) {
        in->bad = true;
        return SLICE_NULL;
    }
    const uint8_t *p = jute_take(in, (size_t)size);
    return p ? slice_of(p, (size_t)size) : SLICE_NULL;
}

static inline void jute_put_int(struct buf *out, int32_t v)
{
    buf_put_be32(out, (uint32_t)v);
}
static inline void jute_put_long(struct buf *out, int64_t v)
{
    buf_put_be64(out, (uint64_t)v);
}
static inline void jute_put_bytes(struct buf *out, struct slice s)
{
    jute_put_int(out, s.data ? (int32_t)s.size : -1);
    if (s.size > 0)
        buf_put_slice(out, s);
}
