/* Requests that change topics wait in the event queue for ZooKeeper, which may be away for long. A
 * client that named a timeout is answered then, whatever stands in the way: REQUEST_TIMED_OUT, and
 * what it asked for may still happen. The event goes on with a copy of the request, in an arena of
 * its own; its answer, when it comes, is for nobody. */
#include "coordinator/controller/admin.h"

#include "broker/base/buf.h"

#define TIMEOUT_LEAST_MS                                                                           \
    1000 /* a timeout of 0 asks not to wait for leaders, but the write counts */

struct patience {
    struct timer timer;
    struct controller *controller;
    struct arena *arena; /* this, the copy, the event's call and its answer */
    struct call *call;
    call_late_fn *late;
    controller_done_fn *done; /* NULL once the client has its answer */
    void *context;
};

void call_is_written(struct call *call)
{
    if (call->patience)
        timer_cancel(&call->patience->controller->timers, &call->patience->timer);
}

static void answer(struct patience *patience, const void *response)
{
    controller_done_fn *done = patience->done;
    patience->done = NULL;
    if (done)
        done(patience->context, response);
}

static void event_answered(void *context, const void *response)
{
    struct patience *patience = context;
    call_is_written(patience->call);
    answer(patience, response);
    arena_free(patience->arena);
}

static void time_is_up(struct timer *timer)
{
    struct patience *patience = CONTAINER_OF(timer, struct patience, timer);
    answer(patience, patience->late(patience->call));
}

/* With the lengths of the wire: what came from there goes there and back. NULL: it does not. */
static const void *copy_request(const struct wire_message *message, int16_t version,
                                const void *request, struct arena *arena)
{
    struct buf bytes = {0};
    enum err e = wire_encode(message, &bytes, version, request);
    struct slice kept = e ? SLICE_NULL : arena_copy(arena, buf_slice(&bytes));
    void *copy = arena_alloc(arena, message->body->size_bytes);
    buf_done(&bytes);
    if (!e)
        e = wire_decode(message, kept, version, arena, copy, NULL);
    return e ? NULL : copy;
}

struct call *call_new_patient(struct controller *controller, const struct call_kind *kind,
                              const void *request, int32_t timeout_ms, int16_t api_version,
                              struct arena *arena, controller_done_fn *done, void *context)
{
    struct arena *own = arena_new();
    const void *copy = copy_request(kind->message, kind->copy_version, request, own);
    if (!copy) {
        arena_free(own);
        return call_new(request, api_version, arena, done, context);
    }
    struct patience *patience = arena_alloc(own, sizeof *patience);
    struct call *call = call_new(copy, api_version, own, event_answered, patience);
    call->patience = patience;
    *patience = (struct patience){.timer = {.fire = time_is_up},
                                  .controller = controller,
                                  .arena = own,
                                  .call = call,
                                  .late = kind->late,
                                  .done = done,
                                  .context = context};
    if (timeout_ms < TIMEOUT_LEAST_MS)
        timeout_ms = TIMEOUT_LEAST_MS;
    timer_set(&controller->timers, &patience->timer, clock_mono_ms(controller->clock) + timeout_ms);
    return call;
}
