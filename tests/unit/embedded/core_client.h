/* A client of the core that writes frames and reads replies by hand, byte for byte. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/embedded/embedded_core.h"
#include "coordinator/embedded/jute.h"
#include "coordinator/embedded/tree.h"

struct client {
    struct core *core;
    struct core_connection c;
    uint8_t password[16];
    int64_t id;
    int32_t timeout_ms, xid;
    size_t read_at; /* in c.out */
    int64_t now_ms;
};

struct reply {
    int32_t xid, result;
    int64_t zxid;
    struct jute_in body;
};

static inline struct jute_in client_frame(struct client *k)
{
    struct jute_in all = {k->c.out.data + k->read_at, k->c.out.data + k->c.out.size, false};
    int32_t size = jute_int(&all);
    assert_false(all.bad);
    const uint8_t *p = jute_take(&all, (size_t)size);
    assert_non_null(p);
    k->read_at += (size_t)size + 4;
    return (struct jute_in){p, p + size, false};
}
static inline bool client_has_more(const struct client *k)
{
    return k->read_at < k->c.out.size;
}
static inline struct reply client_reply(struct client *k)
{
    struct reply r = {.body = client_frame(k)};
    r.xid = jute_int(&r.body);
    r.zxid = jute_long(&r.body);
    r.result = jute_int(&r.body);
    return r;
}
static inline void client_connect_as(struct client *k, struct core *core, int64_t id,
                                     const uint8_t *password, int32_t timeout_ms)
{
    int64_t now_ms = k->now_ms;
    *k = (struct client){.core = core, .now_ms = now_ms};
    core_connection_init(&k->c, "10.1.2.3");
    struct buf b = {0};
    jute_put_int(&b, 0);
    jute_put_long(&b, 0);
    jute_put_int(&b, timeout_ms);
    jute_put_long(&b, id);
    jute_put_bytes(&b, slice_of(password, 16));
    buf_put_u8(&b, 0);
    core_receive(core, &k->c, buf_slice(&b), k->now_ms, 1000 + k->now_ms);
    buf_done(&b);
    struct jute_in in = client_frame(k);
    assert_int_equal(jute_int(&in), 0);
    k->timeout_ms = jute_int(&in);
    k->id = jute_long(&in);
    struct slice given = jute_bytes(&in);
    assert_int_equal(given.size, 16);
    memcpy(k->password, given.data, 16);
    (void)jute_bool(&in);
    assert_true(!in.bad && in.at == in.end);
}
static inline void client_connect(struct client *k, struct core *core, int32_t timeout_ms)
{
    static const uint8_t nothing[16];
    client_connect_as(k, core, 0, nothing, timeout_ms);
}
static inline void client_lost(struct client *k)
{
    core_connection_lost(k->core, &k->c);
}
static inline void client_send(struct client *k, int32_t op, const struct buf *body)
{
    struct buf b = {0};
    jute_put_int(&b, ++k->xid);
    jute_put_int(&b, op);
    if (body->size > 0)
        buf_put(&b, body->data, body->size);
    core_receive(k->core, &k->c, buf_slice(&b), k->now_ms, 1000 + k->now_ms);
    buf_done(&b);
}
static inline struct reply client_call(struct client *k, int32_t op, struct buf *body)
{
    client_send(k, op, body);
    buf_done(body);
    struct reply r = client_reply(k);
    assert_int_equal(r.xid, k->xid);
    return r;
}
static inline void put_str(struct buf *b, const char *s)
{
    jute_put_bytes(b, slice_str(s));
}
static inline void put_create(struct buf *b, const char *path, const char *data, int32_t flags)
{
    put_str(b, path);
    put_str(b, data);
    buf_put_slice(b, acl_open);
    jute_put_int(b, flags);
}
static inline int32_t do_create(struct client *k, const char *path, const char *data, int32_t flags)
{
    struct buf b = {0};
    put_create(&b, path, data, flags);
    return client_call(k, OP_CREATE, &b).result;
}
static inline int32_t do_delete(struct client *k, const char *path, int32_t zk_version)
{
    struct buf b = {0};
    put_str(&b, path);
    jute_put_int(&b, zk_version);
    return client_call(k, OP_DELETE, &b).result;
}
static inline int32_t do_set(struct client *k, const char *path, const char *data,
                             int32_t zk_version)
{
    struct buf b = {0};
    put_str(&b, path);
    put_str(&b, data);
    jute_put_int(&b, zk_version);
    return client_call(k, OP_SET_DATA, &b).result;
}
static inline struct reply do_read(struct client *k, int32_t op, const char *path, bool watch)
{
    struct buf b = {0};
    put_str(&b, path);
    buf_put_u8(&b, watch);
    return client_call(k, op, &b);
}
static inline bool exists(struct client *k, const char *path)
{
    return do_read(k, OP_EXISTS, path, false).result == 0;
}
static inline void expect_event(struct client *k, int32_t type, const char *path)
{
    assert_true(client_has_more(k));
    struct reply r = client_reply(k);
    assert_int_equal(r.xid, -1);
    assert_int_equal(jute_int(&r.body), type);
    assert_int_equal(jute_int(&r.body), 3);
    struct slice at = jute_bytes(&r.body);
    assert_true(slice_equal_str(at, path));
}
struct stat_seen {
    int64_t czxid, mzxid, ctime, mtime, owner, pzxid;
    int32_t version, cversion, aversion, data_size, children;
};
static inline struct stat_seen read_stat(struct jute_in *in)
{
    struct stat_seen s = {.czxid = jute_long(in)};
    s.mzxid = jute_long(in);
    s.ctime = jute_long(in);
    s.mtime = jute_long(in);
    s.version = jute_int(in);
    s.cversion = jute_int(in);
    s.aversion = jute_int(in);
    s.owner = jute_long(in);
    s.data_size = jute_int(in);
    s.children = jute_int(in);
    s.pzxid = jute_long(in);
    assert_false(in->bad);
    return s;
}
