/* Requests: from a whole frame to a handler, and from its answer to bytes; the functions that
 * broker/api/request.h promises to handlers. */
#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

static struct network_request *of(struct request *request)
{
    return (struct network_request *)request;
}

static void on_timer(struct timer *timer)
{
    struct network_request *nr = list_entry(timer, struct network_request, timer);
    struct connection *conn = nr->connection;
    pthread_mutex_lock(&conn->turn);
    bool is_over = nr->is_answered_away;
    bool fires =
        !is_over && !nr->is_timer_cancelled && (!nr->timer_claim || nr->timer_claim(&nr->request));
    pthread_mutex_unlock(&conn->turn);
    if (is_over)
        connection_settle(conn);
    else if (fires)
        nr->timer_fire(&nr->request);
}

static struct network_request *take_spare(struct network_thread *thread)
{
    struct list_node *node = list_pop_front(&thread->spare);
    if (node) {
        thread->spare_count--;
        return list_entry(node, struct network_request, outstanding);
    }
    struct network_request *nr = mem_new(struct network_request);
    nr->request.arena = arena_new();
    return nr;
}

static void request_free(struct network_request *nr)
{
    arena_free(nr->request.arena);
    output_done(&nr->output);
    free(nr->frame_memory);
    free(nr->refused_why);
    free(nr);
}

static void let_go_of_frame(struct network_request *nr)
{
    count(&nr->thread->network->unfinished_bytes, -(int64_t)nr->frame_charged);
    nr->frame_charged = 0;
    free(TAKE(nr->frame_memory));
}

void request_keep(struct network_request *nr, uint8_t *memory, size_t charged)
{
    assert(!nr->frame_memory);
    nr->frame_memory = memory;
    nr->frame_charged += charged; /* to what was decoded */
}

/* The request is over. Thread: its network thread. */
void request_release(struct network_request *nr)
{
    struct network_thread *thread = nr->thread;
    struct connection *conn = nr->connection;
    timer_cancel(&thread->timers, &nr->timer);
    list_remove(&nr->outstanding);
    let_go_of_frame(nr);
    output_reset(&nr->output);
    free(TAKE(nr->refused_why));
    conn->request = NULL;
    if (conn->state == CLOSED)
        connection_continue(conn); /* frees it unless it is in use */
    if (thread->spare_count >= SPARE_REQUESTS_MAX) {
        request_free(nr);
        return;
    }
    arena_reset(nr->request.arena);
    list_push_front(&thread->spare, &nr->outstanding);
    thread->spare_count++;
}

void request_free_all(struct network_thread *thread)
{
    list_for_each (&thread->outstanding, node) {
        struct network_request *nr = list_entry(node, struct network_request, outstanding);
        connection_free(nr->connection);
        request_free(nr);
    }
    list_for_each (&thread->spare, node)
        request_free(list_entry(node, struct network_request, outstanding));
}

static void fill(struct network_request *nr, struct connection *conn, struct slice frame)
{
    struct network *network = conn->thread->network;
    struct listener *listener = &network->listeners[conn->listener];
    nr->thread = conn->thread;
    nr->connection = conn;
    nr->has_answer = false;
    nr->throttle_ms = 0;
    nr->posted_run = NULL;
    nr->is_answered_away = nr->is_timer_cancelled = false;
    nr->timer = (struct timer){.fire = on_timer};
    list_init(&nr->mail.node);
    struct request *r = &nr->request;
    r->message = NULL;
    r->frame = frame;
    r->listener = listener->options.name;
    r->is_inter_broker = listener->options.is_inter_broker;
    memcpy(r->peer, conn->peer, sizeof r->peer);
    r->received_mono_us = clock_mono_us(network->options.clock);
    r->broker = network->options.broker;
    list_init(&r->node);
    r->run = NULL;
    r->waiting = NULL;
}

/* ApiVersions of a version we do not know: its version 0 says 35, and which versions there are. */
static void answer_unknown_version(struct network_request *nr)
{
    struct buf *bytes = &nr->output.answer.bytes;
    frame_answer_begin(bytes, nr->entry, 0, nr->request.correlation_id);
    buf_put_be16(bytes, (uint16_t)err_wire_code(ERR_UNSUPPORTED_VERSION));
    buf_put_be32(bytes, 1);
    buf_put_be16(bytes, API_KEY_API_VERSIONS);
    buf_put_be16(bytes, (uint16_t)nr->entry->min_version);
    buf_put_be16(bytes, (uint16_t)nr->entry->max_version);
    put_be32(bytes->data, (uint32_t)(bytes->size - FRAME_SIZE_BYTES));
    nr->has_answer = true;
    connection_answer(nr->connection);
}

/* What decoding makes of a frame may be many times as long as the frame, so it counts in the bound
 * that unfinished requests share. */
static size_t room_for_decoding(const struct network_request *nr)
{
    const struct network *network = nr->thread->network;
    int64_t room = network->options.unfinished_max_bytes - counted(&network->unfinished_bytes);
    return DECODE_FREE_BYTES + (room > 0 ? (size_t)room : 0);
}

static size_t most_decoded(const struct network_request *nr)
{
    return DECODE_MAX_FLAT_BYTES + nr->request.frame.size * DECODE_MAX_PER_BYTE;
}

static void charge_decoded(struct network_request *nr)
{
    size_t used = arena_used_bytes(nr->request.arena);
    size_t more = used > DECODE_FREE_BYTES ? used - DECODE_FREE_BYTES : 0;
    count(&nr->thread->network->unfinished_bytes, (int64_t)more);
    nr->frame_charged += more;
}

/* Errors: ERR_NO_MEMORY where it needs more than `limit_bytes`. */
static enum err decode(struct network_request *nr, size_t limit_bytes)
{
    struct request *r = &nr->request;
    void *message = NULL;
    nr->decode_tried_bytes = limit_bytes;
    arena_limit(r->arena, limit_bytes);
    enum err e = nr->entry->decode(nr->entry, nr->body, r->api_version, r->arena, &message);
    arena_limit(r->arena, 0);
    r->message = message;
    if (!e)
        charge_decoded(nr);
    if (e == ERR_NO_MEMORY)
        err_note(e, "decoding needs more than the %zu bytes that unfinished requests leave it",
                 limit_bytes);
    return err_wrap(e, "malformed body api=%s api_version=%d", nr->entry->name, r->api_version);
}

static void dispatch(struct network_request *nr)
{
    const struct network_options *options = &nr->thread->network->options;
    nr->request.run = nr->entry->handle;
    if (nr->entry->where == ON_WORKER)
        options->to_worker(options->context, &nr->request);
    else if (nr->entry->where == ON_CONTROLLER && options->to_controller)
        options->to_controller(options->context, &nr->request);
    else
        nr->entry->handle(&nr->request);
}

static void decode_again(struct network_request *nr);

static void on_decode_timer(struct timer *timer)
{
    decode_again(list_entry(timer, struct network_request, timer));
}

static void wait_for_room(struct network_request *nr)
{
    count(&nr->thread->counters.memory_pauses, 1);
    nr->timer.fire = on_decode_timer;
    thread_timer_set(nr->thread, &nr->timer, MEMORY_RETRY_MS);
}

/* Are there others whose end would make room? */
static bool others_hold_memory(const struct network_request *nr)
{
    return counted(&nr->thread->network->unfinished_bytes) > (int64_t)nr->frame_charged;
}

/* Where there is no room now the request waits, whole and not decoded, for others to end; where
 * there are none, or for too long, it is refused. */
static void decode_and_dispatch(struct network_request *nr)
{
    size_t room = room_for_decoding(nr), most = most_decoded(nr);
    bool may_wait =
        room < most && others_hold_memory(nr) && thread_now_ms(nr->thread) < nr->decode_give_up_ms;
    enum err e = decode(nr, room < most ? room : most);
    if (e == ERR_NO_MEMORY && may_wait) {
        arena_reset(nr->request.arena);
        wait_for_room(nr);
    } else if (e) {
        request_refuse(&nr->request, err_sentence(e));
    } else {
        nr->timer.fire = on_timer;
        dispatch(nr);
    }
}

/* A try costs time, so the next one waits for twice the room, or for all that others may give. */
static void decode_again(struct network_request *nr)
{
    bool is_late = thread_now_ms(nr->thread) >= nr->decode_give_up_ms;
    if (nr->connection->state == CLOSED)
        request_answer(&nr->request, NULL);
    else if (!is_late && others_hold_memory(nr) &&
             room_for_decoding(nr) / 2 < nr->decode_tried_bytes)
        wait_for_room(nr);
    else
        decode_and_dispatch(nr);
}

void request_begin(struct connection *conn, uint8_t *memory, size_t charged, struct slice frame)
{
    struct network_thread *thread = conn->thread;
    struct network_request *nr = take_spare(thread);
    list_push_back(&thread->outstanding, &nr->outstanding);
    fill(nr, conn, frame);
    nr->frame_memory = memory;
    nr->frame_charged = charged;
    conn->request = nr;
    conn->rests = false; /* nobody else knows the request yet */
    conn->state = WORKING;
    conn->has_asked = true;
    count(&thread->counters.requests, 1);

    struct frame_header header;
    enum err e = frame_header_parse(frame, thread->network->options.lookup, &header);
    if (e) {
        connection_refuse(conn, err_sentence(e));
        return;
    }
    nr->entry = header.entry;
    nr->request.api_key = header.api_key;
    nr->request.api_version = header.api_version;
    nr->request.correlation_id = header.correlation_id;
    nr->request.client_id = header.client_id;
    if (header.version_unknown) {
        answer_unknown_version(nr);
        return;
    }
    nr->body = slice_of(frame.data + header.size_bytes, frame.size - header.size_bytes);
    nr->decode_give_up_ms = thread_now_ms(thread) + MEMORY_STALL_MS;
    decode_and_dispatch(nr);
}

static void take_answer(struct network_thread *thread, struct mail *mail)
{
    (void)thread;
    struct network_request *nr = list_entry(mail, struct network_request, mail);
    connection_answer(nr->connection);
}

static void take_run(struct network_thread *thread, struct mail *mail)
{
    (void)thread;
    struct network_request *nr = list_entry(mail, struct network_request, mail);
    void (*run)(struct request *) = nr->posted_run;
    nr->posted_run = NULL;
    run(&nr->request);
}

/* At once on the connection's own thread or where the request runs away from it, else by its
 * mailbox. */
static void deliver(struct network_request *nr)
{
    assert(!nr->posted_run); /* posted and not run yet: it would be used after its end */
    if (thread_is_current(nr->thread)) {
        connection_answer(nr->connection);
        return;
    }
    if (request_runs_away(nr) && request_answer_away(nr))
        return;
    nr->mail.take = take_answer;
    mailbox_post(nr->thread->mailbox, &nr->mail.node);
}

void request_post(struct request *request, void (*run)(struct request *request))
{
    struct network_request *nr = of(request);
    assert(!nr->posted_run);
    nr->posted_run = run;
    nr->mail.take = take_run;
    mailbox_post(nr->thread->mailbox, &nr->mail.node);
}

void request_timer_set(struct request *request, int64_t delay_ms,
                       bool (*claim)(struct request *request),
                       void (*fire)(struct request *request))
{
    struct network_request *nr = of(request);
    assert(thread_is_current(nr->thread));
    nr->timer_claim = claim;
    nr->timer_fire = fire;
    thread_timer_set(nr->thread, &nr->timer, delay_ms);
}

void request_timer_cancel(struct request *request)
{
    struct network_request *nr = of(request);
    if (request_runs_away(nr)) {
        nr->is_timer_cancelled = true;
        return;
    }
    assert(thread_is_current(nr->thread));
    timer_cancel(&nr->thread->timers, &nr->timer);
}

void request_to_worker(struct request *request, void (*run)(struct request *request))
{
    const struct network_options *options = &of(request)->thread->network->options;
    request->run = run;
    options->to_worker(options->context, request);
}

void request_throttle(struct request *request, int64_t throttle_ms)
{
    struct network_request *nr = of(request);
    if (throttle_ms > nr->throttle_ms)
        nr->throttle_ms = throttle_ms;
}

static enum err encode(struct network_request *nr, const void *response)
{
    struct answer *answer = &nr->output.answer;
    int16_t api_version = nr->request.api_version;
    frame_answer_begin(&answer->bytes, nr->entry, api_version, nr->request.correlation_id);
    enum err e = nr->entry->encode(nr->entry, answer, api_version, response);
    if (!e)
        e = frame_answer_end(answer);
    if (!e)
        e = output_prepare(&nr->output);
    return err_wrap(e, "answer api=%s api_version=%d", nr->entry->name, api_version);
}

void request_answer(struct request *request, const void *response)
{
    struct network_request *nr = of(request);
    if (response) {
        enum err e = encode(nr, response);
        if (e)
            nr->refused_why = mem_strdup(err_sentence(e));
        nr->has_answer = true;
    }
    deliver(nr);
}

void request_refuse(struct request *request, const char *why)
{
    struct network_request *nr = of(request);
    nr->refused_why = mem_strdup(why);
    deliver(nr);
}
