/* See fake_request.h. A call owns the request and its arena until the answer, and the arena of the
 * decoded answer until the loop ends. */
#include "tests/fake/fake_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/wire/wire.h"

enum call_state { CALL_OPEN, CALL_ANSWERED, CALL_SILENT, CALL_REFUSED };

struct fake_call {
    struct request request; /* first: handlers are given this */
    struct fake_loop *loop;
    struct list_node all;    /* of the loop's calls */
    struct list_node posted; /* in the loop's list of posted work, or in that of workers */
    void (*posted_run)(struct request *request);
    bool (*timer_claim)(struct request *request);
    void (*timer_fire)(struct request *request); /* NULL: no timer */
    int64_t timer_due_ms;
    uint8_t *frame;
    int32_t worker_runs;

    enum call_state state;
    char *refusal;
    struct arena *answer_arena;
    void *answer;
};

struct fake_loop {
    struct broker *broker;
    struct clock_manual *clock;
    const char *listener, *client_id;
    struct list_node calls, posted, workers;
    bool holds_workers, is_settling;
};

static struct fake_call *of(struct request *request)
{
    return (struct fake_call *)request;
}

struct fake_loop *fake_loop_new(struct broker *broker, struct clock_manual *clock)
{
    struct fake_loop *loop = mem_new(struct fake_loop);
    loop->broker = broker;
    loop->clock = clock;
    loop->listener = "PLAINTEXT";
    list_init(&loop->calls);
    list_init(&loop->posted);
    list_init(&loop->workers);
    return loop;
}

static void let_go_of_request(struct fake_call *call)
{
    arena_free(TAKE(call->request.arena));
    free(TAKE(call->frame));
}

void fake_loop_free(struct fake_loop *loop)
{
    if (!loop)
        return;
    list_for_each (&loop->calls, node) {
        struct fake_call *call = list_entry(node, struct fake_call, all);
        let_go_of_request(call);
        arena_free(call->answer_arena);
        free(call->refusal);
        free(call);
    }
    free(loop);
}

void fake_loop_set_listener(struct fake_loop *loop, const char *listener)
{
    loop->listener = listener;
}

void fake_loop_set_client_id(struct fake_loop *loop, const char *client_id)
{
    loop->client_id = client_id;
}

/* --- what handlers call --- */

void request_post(struct request *request, void (*run)(struct request *request))
{
    struct fake_call *call = of(request);
    assert(call->state == CALL_OPEN);
    assert(!call->posted_run); /* posted at most once until it runs */
    call->posted_run = run;
    list_push_back(&call->loop->posted, &call->posted);
}

void request_run_soon(struct request *request, void (*run)(struct request *request))
{
    request_post(request, run);
}

void request_to_worker(struct request *request, void (*run)(struct request *request))
{
    struct fake_call *call = of(request);
    assert(call->state == CALL_OPEN);
    assert(!call->posted_run);
    call->worker_runs++;
    call->posted_run = run;
    list_push_back(&call->loop->workers, &call->posted);
}

void request_timer_set(struct request *request, int64_t delay_ms,
                       bool (*claim)(struct request *request),
                       void (*fire)(struct request *request))
{
    struct fake_call *call = of(request);
    assert(call->state == CALL_OPEN);
    call->timer_claim = claim;
    call->timer_fire = fire;
    call->timer_due_ms = clock_mono_ms(&call->loop->clock->clock) + delay_ms;
}

void request_timer_cancel(struct request *request)
{
    of(request)->timer_fire = NULL;
}

/* The message with the slices of files put where they belong, read as the connection would send
 * them. */
static void assemble(struct wire_out *out, struct buf *whole)
{
    size_t at = 0;
    for (size_t i = 0; i < out->splices_count; i++) {
        const struct wire_splice *splice = &out->splices[i];
        const struct log_slice *slice = splice->external;
        buf_put(whole, out->bytes.data + at, splice->at - at);
        at = splice->at;
        uint8_t *to = buf_extend(whole, splice->size);
        assert_int_equal(pread(log_file_fd(slice->file), to, splice->size, slice->position),
                         splice->size);
        log_file_unref(slice->file);
    }
    buf_put(whole, out->bytes.data + at, out->bytes.size - at);
}

static void keep_answer(struct fake_call *call, const void *response)
{
    const struct request *request = &call->request;
    const struct wire_message *message = wire_api(request->api_key)->response;
    struct wire_out out = {0};
    struct buf whole = {0};
    enum err e = wire_encode_out(message, &out, request->api_version, response);
    if (e)
        fail_msg("the answer cannot be encoded: %s", err_sentence(e));
    assemble(&out, &whole);
    call->answer_arena = arena_new();
    call->answer = arena_alloc(call->answer_arena, message->body->size_bytes);
    size_t used = 0;
    e = wire_decode(message, arena_copy(call->answer_arena, buf_slice(&whole)),
                    request->api_version, call->answer_arena, call->answer, &used);
    if (e)
        fail_msg("the answer cannot be decoded: %s", err_sentence(e));
    assert_int_equal(used, whole.size);
    buf_done(&whole);
    wire_out_done(&out);
}

/* The request is over: nothing of it may be used any more, and nothing may come for it. */
static void end(struct fake_call *call, enum call_state state)
{
    assert(call->state == CALL_OPEN);
    assert(!call->posted_run);
    call->state = state;
    call->timer_fire = NULL;
    let_go_of_request(call);
}

void request_answer(struct request *request, const void *response)
{
    struct fake_call *call = of(request);
    if (response)
        keep_answer(call, response);
    end(call, response ? CALL_ANSWERED : CALL_SILENT);
}

void request_refuse(struct request *request, const char *why)
{
    struct fake_call *call = of(request);
    call->refusal = mem_strdup(why);
    end(call, CALL_REFUSED);
}

/* --- what tests call --- */

static void decode(struct fake_call *call, const void *message)
{
    struct request *request = &call->request;
    const struct wire_message *type = wire_api(request->api_key)->request;
    struct buf bytes = {0};
    enum err e = wire_encode(type, &bytes, request->api_version, message);
    if (e)
        fail_msg("the request cannot be encoded: %s", err_sentence(e));
    call->frame = mem_alloc(bytes.size + 1);
    memcpy(call->frame, bytes.data, bytes.size);
    request->frame = slice_of(call->frame, bytes.size);
    buf_done(&bytes);
    void *decoded = arena_alloc(request->arena, type->body->size_bytes);
    e = wire_decode(type, request->frame, request->api_version, request->arena, decoded, NULL);
    if (e)
        fail_msg("the request cannot be decoded: %s", err_sentence(e));
    request->message = decoded;
}

struct fake_call *fake_call(struct fake_loop *loop, void (*handle)(struct request *request),
                            int16_t api_key, int16_t api_version, const void *message)
{
    struct fake_call *call = mem_new(struct fake_call);
    call->loop = loop;
    call->request = (struct request){
        .api_key = api_key,
        .api_version = api_version,
        .client_id = slice_str(loop->client_id),
        .arena = arena_new(),
        .listener = loop->listener,
        .peer = "127.0.0.1:50000",
        .received_mono_us = clock_mono_us(&loop->clock->clock),
        .broker = loop->broker,
    };
    list_push_back(&loop->calls, &call->all);
    decode(call, message);
    handle(&call->request);
    fake_settle(loop);
    return call;
}

static bool run_first(struct list_node *list)
{
    struct list_node *node = list_pop_front(list);
    if (!node)
        return false;
    struct fake_call *call = list_entry(node, struct fake_call, posted);
    void (*run)(struct request *) = call->posted_run;
    call->posted_run = NULL;
    run(&call->request);
    return true;
}

void fake_settle(struct fake_loop *loop)
{
    if (loop->is_settling)
        return; /* a handler's callback that begins another call */
    loop->is_settling = true;
    while (run_first(&loop->posted) || (!loop->holds_workers && run_first(&loop->workers)))
        ;
    loop->is_settling = false;
}

void fake_hold_workers(struct fake_loop *loop, bool is_held)
{
    loop->holds_workers = is_held;
}

static struct fake_call *next_timer(struct fake_loop *loop, int64_t until_ms)
{
    struct fake_call *next = NULL;
    list_for_each (&loop->calls, node) {
        struct fake_call *call = list_entry(node, struct fake_call, all);
        if (call->timer_fire && call->timer_due_ms <= until_ms &&
            (!next || call->timer_due_ms < next->timer_due_ms))
            next = call;
    }
    return next;
}

void fake_advance(struct fake_loop *loop, int64_t ms)
{
    struct clock *clock = &loop->clock->clock;
    int64_t until_ms = clock_mono_ms(clock) + ms;
    for (struct fake_call *call; (call = next_timer(loop, until_ms));) {
        if (call->timer_due_ms > clock_mono_ms(clock))
            clock_manual_advance_ms(loop->clock, call->timer_due_ms - clock_mono_ms(clock));
        void (*fire)(struct request *) = call->timer_fire;
        call->timer_fire = NULL;
        if (!call->timer_claim || call->timer_claim(&call->request))
            fire(&call->request);
        fake_settle(loop);
    }
    clock_manual_advance_ms(loop->clock, until_ms - clock_mono_ms(clock));
}

bool fake_is_over(const struct fake_call *call)
{
    return call->state != CALL_OPEN;
}

const void *fake_answer(const struct fake_call *call)
{
    if (call->state == CALL_REFUSED)
        fail_msg("refused: %s", call->refusal);
    if (call->state != CALL_ANSWERED)
        fail_msg("%s", call->state == CALL_OPEN ? "the request still waits" : "nothing was sent");
    return call->answer;
}

bool fake_is_silent(const struct fake_call *call)
{
    return call->state == CALL_SILENT;
}

const char *fake_refusal(const struct fake_call *call)
{
    return call->refusal;
}

int32_t fake_worker_runs(const struct fake_call *call)
{
    return call->worker_runs;
}
