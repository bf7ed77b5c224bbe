/* The registration's moves. Each answer decides the next step; nothing here waits. */
#include "coordinator/zk/registration.h"

#include <inttypes.h>

#include "broker/base/arena.h"
#include "broker/base/trace.h"
#include "coordinator/zk/znode.h"

#define LOOK_AGAIN_MS 1000 /* while a stranger's node stands there */
#define EXPIRY_MARGIN_MS                                                                           \
    4000 /* servers expire sessions by the tick: two of ZooKeeper's default                        \
          */

struct registration {
    struct zk *zk;
    struct timers *timers;
    struct clock *clock;
    int32_t broker_id, wait_ms;
    struct registration_callbacks callbacks;

    struct arena *arena; /* of the text */
    struct slice text;
    const char *path; /* in an arena of its own, never replaced */
    struct arena *path_arena;

    enum registration_state state;
    bool connected;
    int64_t session_id;       /* of now */
    int64_t owner_session_id; /* that we registered with last; 0: none */
    int64_t broker_epoch;
    int64_t
        intact_since; /* what the next text says: once registered, this process has lost nothing */
    int64_t waiting_since_ms; /* -1: not waiting */
    int64_t stranger;         /* the session waited for */
    struct timer timer;

    int32_t pending; /* answers on their way */
    bool freed;
};

/* An answer belongs to the attempt that asked: after an expiry older ones mean nothing. */
struct attempt {
    struct registration *registration;
    int64_t session_id;
};

static void write_node(struct registration *registration);

static struct attempt *attempt_new(struct registration *registration)
{
    struct attempt *attempt = mem_new(struct attempt);
    *attempt = (struct attempt){registration, registration->session_id};
    registration->pending++;
    return attempt;
}

static void release(struct registration *registration)
{
    if (!registration->freed || registration->pending > 0)
        return;
    arena_free(registration->arena);
    arena_free(registration->path_arena);
    free(registration);
}

/* NULL: the answer is of no use any more. */
static struct registration *attempt_end(struct attempt *attempt)
{
    struct registration *registration = attempt->registration;
    bool current = !registration->freed && registration->state == REGISTRATION_WRITING &&
                   attempt->session_id == registration->session_id;
    free(attempt);
    registration->pending--;
    if (registration->freed)
        release(registration);
    return current ? registration : NULL;
}

/* ---- Ends of an attempt ---- */

static void registered(struct registration *registration, int64_t broker_epoch)
{
    registration->state = REGISTRATION_REGISTERED;
    if (registration->intact_since == INTACT_SINCE_REGISTRATION) {
        registration->intact_since = broker_epoch;
        registration->text =
            znode_broker_set_intact_since(registration->arena, registration->text, broker_epoch);
    }
    registration->broker_epoch = broker_epoch;
    registration->owner_session_id = registration->session_id;
    registration->waiting_since_ms = -1;
    trace_info("broker registered broker=%" PRId32 " broker_epoch=%" PRId64 " session=0x%" PRIx64,
               registration->broker_id, broker_epoch, (uint64_t)registration->session_id);
    registration->callbacks.registered(registration->callbacks.context, broker_epoch);
}

static void refuse(struct registration *registration, enum err e)
{
    registration->state = REGISTRATION_REFUSED;
    registration->waiting_since_ms = -1;
    registration->callbacks.refused(registration->callbacks.context, e);
}

/* The connection went; with the next one the attempt begins anew and meets its own effect if it had
 * one. */
static void interrupted(struct registration *registration)
{
    registration->state = REGISTRATION_IDLE;
    if (registration->connected)
        write_node(registration);
}

static void wait_for_stranger(struct registration *registration, int64_t owner)
{
    int64_t now_ms = clock_mono_ms(registration->clock);
    if (registration->waiting_since_ms < 0) {
        registration->waiting_since_ms = now_ms;
        registration->stranger = owner;
        trace_warn("broker id is registered by another session, waiting for its end broker=%" PRId32
                   " session=0x%" PRIx64 " wait_ms=%" PRId32,
                   registration->broker_id, (uint64_t)owner, registration->wait_ms);
    }
    if (owner != registration->stranger || now_ms - registration->waiting_since_ms >
                                               (int64_t)registration->wait_ms + EXPIRY_MARGIN_MS) {
        refuse(registration,
               err_note(ERR_DUPLICATE_BROKER_REGISTRATION,
                        "broker id %" PRId32 " is registered at %s by session 0x%" PRIx64
                        ", which is alive: another broker runs with this id",
                        registration->broker_id, registration->path, (uint64_t)owner));
        return;
    }
    registration->state = REGISTRATION_WAITING;
    timer_set(registration->timers, &registration->timer, now_ms + LOOK_AGAIN_MS);
}

/* ---- Steps ---- */

static void deleted(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    enum err e = results[0].error;
    struct registration *registration = attempt_end(context);
    if (!registration)
        return;
    if (e && e != ERR_NOT_FOUND)
        interrupted(registration);
    else
        write_node(registration);
}

/* Our own former session's node that outlived it (ZOOKEEPER-2985). Version and owner were just
 * read. */
static void delete_our_old(struct registration *registration, int32_t zk_version)
{
    trace_warn("deleting our former registration broker=%" PRId32 " session=0x%" PRIx64,
               registration->broker_id, (uint64_t)registration->owner_session_id);
    struct zk_op op = {
        .kind = ZK_OP_DELETE, .path = slice_str(registration->path), .zk_version = zk_version};
    zk_submit(registration->zk, &op, deleted, attempt_new(registration));
}

static void looked(void *context, const struct zk_result *results, int32_t count)
{
    (void)count;
    struct registration *registration = attempt_end(context);
    if (!registration)
        return;
    const struct zk_stat *stat = &results[0].stat;
    if (results[0].error == ERR_NOT_FOUND)
        write_node(registration);
    else if (results[0].error)
        interrupted(registration);
    else if (stat->ephemeral_owner == registration->session_id)
        registered(registration, stat->czxid); /* our own, whose answer was lost */
    else if (registration->owner_session_id &&
             stat->ephemeral_owner == registration->owner_session_id)
        delete_our_old(registration, stat->zk_version);
    else
        wait_for_stranger(registration, stat->ephemeral_owner);
}

static void look(struct registration *registration)
{
    struct zk_op op = {.kind = ZK_OP_EXISTS, .path = slice_str(registration->path)};
    zk_submit(registration->zk, &op, looked, attempt_new(registration));
}

static void written(void *context, const struct zk_result *results, int32_t count)
{
    assert(count == 2);
    struct registration *registration = attempt_end(context);
    if (!registration)
        return;
    enum err e = results[0].error;
    if (e == ERR_CANCELLED)
        e = results[1].error;
    switch (e) {
    case ERR_OK:
        registered(registration, results[1].stat.czxid);
        break;
    case ERR_EXISTS:
        look(registration);
        break;
    case ERR_ZK_UNAVAILABLE:
    case ERR_SESSION_EXPIRED:
        interrupted(registration);
        break;
    default:
        refuse(registration, err_note(e, "register at %s: %s", registration->path, err_text(e)));
    }
}

/* The set's answer carries the czxid, atomically with the creation. */
static void write_node(struct registration *registration)
{
    registration->state = REGISTRATION_WRITING;
    struct zk_op ops[] = {
        {.kind = ZK_OP_CREATE, .path = slice_str(registration->path), .flags = ZK_CREATE_EPHEMERAL},
        {.kind = ZK_OP_SET,
         .path = slice_str(registration->path),
         .data = registration->text,
         .zk_version = 0},
    };
    zk_multi(registration->zk, ops, 2, written, attempt_new(registration));
}

static void look_again(struct timer *timer)
{
    struct registration *registration = CONTAINER_OF(timer, struct registration, timer);
    if (registration->state == REGISTRATION_WAITING && registration->connected)
        write_node(registration);
}

/* ---- What the owner calls ---- */

static void set_text(struct registration *registration, const struct znode_broker *broker)
{
    struct znode_broker told = *broker;
    told.intact_since = registration->intact_since;
    arena_reset(registration->arena);
    registration->text = znode_broker_encode(registration->arena, &told);
}

struct registration *registration_new(struct zk *zk, struct timers *timers, struct clock *clock,
                                      int32_t broker_id, const struct znode_broker *broker,
                                      int32_t wait_ms,
                                      const struct registration_callbacks *callbacks)
{
    struct registration *registration = mem_new(struct registration);
    registration->zk = zk;
    registration->timers = timers;
    registration->clock = clock;
    registration->broker_id = broker_id;
    registration->wait_ms = wait_ms;
    registration->callbacks = *callbacks;
    registration->arena = arena_new();
    registration->path_arena = arena_new();
    registration->path = znode_broker_path(registration->path_arena, broker_id);
    registration->broker_epoch = -1;
    registration->intact_since = broker->intact_since;
    registration->waiting_since_ms = -1;
    registration->timer.fire = look_again;
    set_text(registration, broker);
    return registration;
}

void registration_free(struct registration *registration)
{
    if (!registration)
        return;
    timer_cancel(registration->timers, &registration->timer);
    registration->freed = true;
    release(registration);
}

void registration_state_changed(struct registration *registration, enum zk_state state,
                                int64_t session_id)
{
    registration->connected = state == ZK_CONNECTED;
    if (state == ZK_EXPIRED) {
        timer_cancel(registration->timers, &registration->timer);
        registration->state = REGISTRATION_IDLE;
        registration->broker_epoch = -1;
        registration->session_id = 0;
        registration->waiting_since_ms = -1;
    }
    if (state != ZK_CONNECTED)
        return;
    registration->session_id = session_id;
    if (registration->state == REGISTRATION_IDLE ||
        (registration->state == REGISTRATION_WAITING && !timer_is_set(&registration->timer)))
        write_node(registration);
}

static void updated(void *context, const struct zk_result *results, int32_t count)
{
    (void)context, (void)count;
    if (results[0].error)
        trace_warn("registration not updated error=%s", err_name(results[0].error));
}

void registration_update(struct registration *registration, const struct znode_broker *broker)
{
    set_text(registration, broker);
    if (registration->state != REGISTRATION_REGISTERED)
        return; /* the attempt to come writes the new text */
    struct zk_op op = {.kind = ZK_OP_SET,
                       .path = slice_str(registration->path),
                       .data = registration->text,
                       .zk_version = ZK_ANY_VERSION};
    zk_submit(registration->zk, &op, updated, NULL);
}

void registration_renew(struct registration *registration)
{
    if (registration->state != REGISTRATION_REGISTERED || !registration->connected)
        return;
    struct zk_op op = {
        .kind = ZK_OP_DELETE, .path = slice_str(registration->path), .zk_version = ZK_ANY_VERSION};
    registration->state = REGISTRATION_WRITING;
    zk_submit(registration->zk, &op, deleted, attempt_new(registration));
}

enum registration_state registration_state(const struct registration *registration)
{
    return registration->state;
}

int64_t registration_broker_epoch(const struct registration *registration)
{
    return registration->broker_epoch;
}
