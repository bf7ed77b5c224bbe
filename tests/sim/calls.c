/* See calls.h. */
#include "tests/sim/calls.h"

#include <stdio.h>
#include <unistd.h>

#include "broker/api/handlers.h"
#include "broker/server/controller_ask.h"
#include "broker/wire/wire.h"
#include "tests/sim/cluster.h"
#include "tests/sim/node.h"
#include "wire/api_key.h"

#define CALLS_MAX  2000
#define TIMEOUT_MS 30000

enum call_state {
    CALL_GOING,  /* the request is on its way */
    CALL_SERVED, /* a handler has it */
    CALL_COMING, /* the answer is on its way */
    CALL_NOW,    /* served for call_serve_now() */
};

struct call {
    struct request request; /* first: handlers are given this */
    struct list_node all;
    struct cluster *cluster;
    int32_t from, to;
    enum call_state state;
    struct buf bytes;              /* request, then answer */
    uint8_t *frame;                /* what the handler writes in */
    fetcher_answered_fn *answered; /* NULL: nobody waits any more */
    void *context;
    int64_t deadline_ms;
    bool (*timer_claim)(struct request *request);
    void (*timer_fire)(struct request *request); /* NULL: no timer */
    int64_t timer_due_ms;
    int32_t posted_count;
};

static struct call *of(struct request *request)
{
    return (struct call *)request;
}

static struct world *world_of(const struct call *call)
{
    return call->cluster->world;
}

static struct node *server_of(const struct call *call)
{
    return &call->cluster->nodes[call->to];
}

static int64_t now_ms(const struct cluster *cluster)
{
    return clock_mono_ms(&cluster->world->clock.clock);
}

static void call_free(struct call *call)
{
    list_remove(&call->all);
    call->cluster->calls_count--;
    buf_done(&call->bytes);
    arena_free(call->request.arena);
    free(call->frame);
    free(call);
}

static struct call *call_new(struct cluster *cluster, int32_t from, int32_t to, int16_t api_key,
                             int16_t api_version)
{
    struct call *call = mem_new(struct call);
    call->cluster = cluster;
    call->from = from;
    call->to = to;
    call->request.api_key = api_key;
    call->request.api_version = api_version;
    call->deadline_ms = now_ms(cluster) + TIMEOUT_MS;
    list_push_back(&cluster->calls, &call->all);
    cluster->calls_count++;
    return call;
}

enum err call_send(struct cluster *cluster, int32_t from, int32_t to, int16_t api_key,
                   int16_t api_version, const void *request, fetcher_answered_fn *answered,
                   void *context)
{
    if (cluster->calls_count >= CALLS_MAX || to < 0 || to >= cluster->world->broker_count)
        return err_note(ERR_CLOSED, "there is no way to it");
    struct call *call = call_new(cluster, from, to, api_key, api_version);
    enum err e = wire_encode(wire_api(api_key)->request, &call->bytes, api_version, request);
    if (e)
        world_complain(cluster->world, "request %d cannot be encoded: %s", api_key,
                       err_sentence(e));
    call->answered = answered;
    call->context = context;
    return ERR_OK;
}

/* Tell the caller, as its own code runs it. */
static void tell(struct call *call, enum err e, const void *response)
{
    fetcher_answered_fn *answered = TAKE(call->answered);
    if (!answered)
        return;
    struct node *before = node_current();
    if (call->from >= 0)
        before = node_enter(&call->cluster->nodes[call->from]);
    answered(call->context, e, response);
    node_leave(before);
}

/* The connection is gone. What a handler has stays with it until it is done. */
static void call_break(struct call *call, const char *why)
{
    tell(call, err_note(ERR_CLOSED, "%s", why), NULL);
    if (call->state != CALL_SERVED)
        call_free(call);
}

/* ---- Serving ---- */

static void (*handler_of(int16_t api_key))(struct request *request)
{
    switch (api_key) {
    case API_PRODUCE:
        return handle_produce;
    case API_FETCH:
        return handle_fetch;
    case API_LIST_OFFSETS:
        return handle_list_offsets;
    case API_OFFSET_FOR_LEADER_EPOCH:
        return handle_offset_for_leader_epoch;
    case API_LEADER_AND_ISR:
        return handle_leader_and_isr;
    case API_UPDATE_METADATA:
        return controller_ask_update_metadata;
    case API_STOP_REPLICA:
        return handle_stop_replica;
    case API_ALTER_PARTITION:
        return handle_alter_partition;
    case API_CONTROLLED_SHUTDOWN:
        return handle_controlled_shutdown;
    default:
        return NULL;
    }
}

static bool begin(struct call *call)
{
    struct node *node = server_of(call);
    struct request *request = &call->request;
    const struct wire_message *type = wire_api(request->api_key)->request;
    request->arena = arena_new();
    request->listener = "PLAINTEXT";
    snprintf(request->peer, sizeof request->peer, "simulated");
    request->received_mono_us = clock_mono_us(&world_of(call)->clock.clock);
    request->broker = &node->server.broker;
    call->frame = mem_alloc(call->bytes.size + 1);
    memcpy(call->frame, call->bytes.data, call->bytes.size);
    request->frame = slice_of(call->frame, call->bytes.size);
    call->bytes.size = 0;
    void *message = arena_alloc(request->arena, type->body->size_bytes);
    enum err e =
        wire_decode(type, request->frame, request->api_version, request->arena, message, NULL);
    request->message = message;
    if (e)
        world_complain(world_of(call), "request %d cannot be decoded: %s", request->api_key,
                       err_sentence(e));
    return !e;
}

static void serve(struct call *call)
{
    struct node *before = node_enter(server_of(call));
    call->state = CALL_SERVED;
    if (begin(call))
        handler_of(call->request.api_key)(&call->request);
    else
        call_break(call, "undecodable");
    node_leave(before);
}

const void *call_serve_now(struct node *node, int16_t api_key, int16_t api_version,
                           struct slice bytes, struct arena *arena)
{
    struct call *call = call_new(node->cluster, CALLER_CLIENT, node->id, api_key, api_version);
    buf_put_slice(&call->bytes, bytes);
    call->state = CALL_NOW;
    struct node *before = node_enter(node);
    const struct wire_message *type = wire_api(api_key)->response;
    void *response = NULL;
    if (begin(call)) {
        handler_of(api_key)(&call->request);
        response = arena_alloc(arena, type->body->size_bytes);
        enum err e = wire_decode(type, arena_copy(arena, buf_slice(&call->bytes)), api_version,
                                 arena, response, NULL);
        if (e)
            world_complain(node->cluster->world, "answer %d cannot be decoded: %s", api_key,
                           err_sentence(e));
    }
    node_leave(before);
    call_free(call);
    return response;
}

/* ---- What handlers call ---- */

struct posted {
    struct call *call;
    void (*run)(struct request *request);
};

static void run_posted(void *context)
{
    OWNED_MEM struct posted *posted = context;
    posted->call->posted_count--;
    posted->run(&posted->call->request);
}

static void post(struct call *call, enum node_queue queue, void (*run)(struct request *request))
{
    struct posted *posted = mem_new(struct posted);
    assert(call->posted_count == 0); /* posted at most once until it runs */
    call->posted_count++;
    *posted = (struct posted){call, run};
    node_post(server_of(call), queue, run_posted, posted);
}

void request_post(struct request *request, void (*run)(struct request *request))
{
    post(of(request), QUEUE_NETWORK, run);
}

void request_run_soon(struct request *request, void (*run)(struct request *request))
{
    request_post(request, run);
}

void request_to_worker(struct request *request, void (*run)(struct request *request))
{
    post(of(request), QUEUE_WORKERS, run);
}

void request_timer_set(struct request *request, int64_t delay_ms,
                       bool (*claim)(struct request *request),
                       void (*fire)(struct request *request))
{
    of(request)->timer_claim = claim;
    of(request)->timer_fire = fire;
    of(request)->timer_due_ms = now_ms(of(request)->cluster) + delay_ms;
}

void request_timer_cancel(struct request *request)
{
    of(request)->timer_fire = NULL;
}

/* The message with the slices of files put where they belong, as the connection would send them. */
static void assemble(struct wire_out *out, struct buf *whole)
{
    size_t at = 0;
    for (size_t i = 0; i < out->splices_count; i++) {
        const struct wire_splice *splice = &out->splices[i];
        const struct log_slice *slice = splice->external;
        buf_put(whole, out->bytes.data + at, splice->at - at);
        at = splice->at;
        uint8_t *to = buf_extend(whole, splice->size);
        ssize_t n = pread(log_file_fd(slice->file), to, splice->size, slice->position);
        assert(n == (ssize_t)splice->size);
        (void)n;
        log_file_unref(slice->file);
    }
    buf_put(whole, out->bytes.data + at, out->bytes.size - at);
}

static void encode_answer(struct call *call, const void *response)
{
    const struct request *request = &call->request;
    struct wire_out out = {0};
    enum err e =
        wire_encode_out(wire_api(request->api_key)->response, &out, request->api_version, response);
    if (e)
        world_complain(world_of(call), "answer %d cannot be encoded: %s", request->api_key,
                       err_sentence(e));
    assemble(&out, &call->bytes);
    wire_out_done(&out);
}

void request_answer(struct request *request, const void *response)
{
    struct call *call = of(request);
    assert(call->posted_count == 0);
    call->timer_fire = NULL;
    if (response)
        encode_answer(call, response);
    if (call->state == CALL_NOW)
        return; /* its caller takes the rest */
    arena_free(TAKE(request->arena));
    free(TAKE(call->frame));
    call->state = CALL_COMING;
    if (!response || !call->answered)
        call_free(call);
}

void request_refuse(struct request *request, const char *why)
{
    struct call *call = of(request);
    assert(call->posted_count == 0);
    call->state = CALL_COMING;
    call_break(call, why);
}

/* ---- On the way ---- */

static void arrive(struct call *call)
{
    struct arena *arena = arena_new();
    const struct wire_message *type = wire_api(call->request.api_key)->response;
    void *response = arena_alloc(arena, type->body->size_bytes);
    enum err e = wire_decode(type, buf_slice(&call->bytes), call->request.api_version, arena,
                             response, NULL);
    if (e)
        world_complain(world_of(call), "answer %d cannot be decoded: %s", call->request.api_key,
                       err_sentence(e));
    tell(call, e, response);
    arena_free(arena);
    call_free(call);
}

/* A stopped process neither takes nor hears. */
static bool may_move(const struct call *call)
{
    const struct world_broker *brokers = world_of(call)->brokers;
    if (call->state == CALL_GOING)
        return !brokers[call->to].paused;
    return call->state == CALL_COMING && (call->from < 0 || !brokers[call->from].paused);
}

static void move(struct call *call)
{
    if (call->state == CALL_COMING)
        arrive(call);
    else if (server_of(call)->is_alive && server_of(call)->process->accepting)
        serve(call);
    else
        call_break(call, "nobody listens");
}

bool calls_step(struct cluster *cluster, bool is_lossy)
{
    int32_t count = 0;
    list_for_each (&cluster->calls, node)
        count += may_move(list_entry(node, struct call, all));
    if (count == 0)
        return false;
    int32_t at = (int32_t)world_random(cluster->world, (uint32_t)count);
    list_for_each (&cluster->calls, node) {
        struct call *call = list_entry(node, struct call, all);
        if (!may_move(call) || at-- > 0)
            continue;
        if (is_lossy)
            call_break(call, "the connection broke");
        else
            move(call);
        break;
    }
    return true;
}

/* ---- Time ---- */

static bool is_timer_due(const struct call *call)
{
    return call->state == CALL_SERVED && call->timer_fire &&
           call->timer_due_ms <= now_ms(call->cluster) && !server_of(call)->process->paused;
}

static void fire(struct call *call)
{
    void (*run)(struct request *) = TAKE(call->timer_fire);
    struct node *before = node_enter(server_of(call));
    if (!call->timer_claim || call->timer_claim(&call->request))
        run(&call->request);
    node_leave(before);
}

/* Each may end others: from the front again after every one. */
static bool run_one_timer(struct cluster *cluster)
{
    list_for_each (&cluster->calls, node) {
        struct call *call = list_entry(node, struct call, all);
        if (is_timer_due(call)) {
            fire(call);
            return true;
        }
        if (call->answered && call->deadline_ms <= now_ms(cluster) &&
            (call->from < 0 || !cluster->world->brokers[call->from].paused)) {
            call_break(call, "not answered in time");
            return true;
        }
    }
    return false;
}

void calls_run_timers(struct cluster *cluster)
{
    while (run_one_timer(cluster))
        continue;
}

int64_t calls_next_timer_ms(const struct cluster *cluster)
{
    int64_t next = INT64_MAX;
    for (const struct list_node *node = cluster->calls.next; node != &cluster->calls;
         node = node->next) {
        const struct call *call = list_entry(node, struct call, all);
        if (call->state == CALL_SERVED && call->timer_fire && call->timer_due_ms < next &&
            !server_of(call)->process->paused)
            next = call->timer_due_ms;
    }
    return next;
}

/* ---- Death ---- */

void calls_give_up(struct node *node, int32_t except_id, enum err e)
{
    list_for_each (&node->cluster->calls, each) {
        struct call *call = list_entry(each, struct call, all);
        bool is_of_a_controller = call->request.api_key == API_ALTER_PARTITION ||
                                  call->request.api_key == API_CONTROLLED_SHUTDOWN;
        if (call->from == node->id && call->to != except_id && is_of_a_controller)
            tell(call, e, NULL);
    }
}

void calls_caller_died(struct node *node)
{
    list_for_each (&node->cluster->calls, at) {
        struct call *call = list_entry(at, struct call, all);
        if (call->from != node->id)
            continue;
        call->answered = NULL;
        if (call->state == CALL_COMING)
            call_free(call);
    }
}

bool calls_let_go(struct node *node)
{
    list_for_each (&node->cluster->calls, at) {
        struct call *call = list_entry(at, struct call, all);
        if (call->to == node->id && call->state == CALL_SERVED && call->timer_fire) {
            fire(call);
            return true;
        }
    }
    return false;
}

/* Answers that have left may still arrive. */
static struct call *lost_with(struct node *node)
{
    list_for_each (&node->cluster->calls, at) {
        struct call *call = list_entry(at, struct call, all);
        if (call->to == node->id &&
            (call->state == CALL_SERVED ? call->answered != NULL : call->state == CALL_GOING))
            return call;
    }
    return NULL;
}

void calls_server_died(struct node *node)
{
    struct call *call;
    while ((call = lost_with(node)))
        call_break(call, "the broker died");
}

void calls_free(struct cluster *cluster)
{
    while (!list_is_empty(&cluster->calls)) {
        struct call *call = list_entry(cluster->calls.next, struct call, all);
        assert(call->state != CALL_SERVED);
        call->answered = NULL;
        call_free(call);
    }
}
