/* Fetch (KIP-227 sessions, KIP-74 limits, KIP-98 isolation, KIP-392, KIP-516 ids, KIP-595
 * divergence, KIP-951 hints).
 *
 *      begin --> read what is due --> enough? --yes--> answer
 *                   ^      |             |no: sleep, unless something has moved meanwhile
 *                   |      |             v
 *                   |      |      --- a partition moved / time is up ---.
 *                   |      '--> cold data or conversion: read on a log   |
 *                   |           worker                                   |
 *                   '----------------------------------------------------'
 *
 * A slice of a segment goes into the answer as a file and a range; the connection sends it by
 * sendfile. Reading on the network thread never touches a disk: log_read() says ERR_AGAIN and the
 * request goes to a worker.
 *
 * A request that sleeps is woken once, by a partition or by its timer, whichever is first to take
 * it from its watch; so it is never in two queues. */
#include "broker/api/fetch_read.h"
#include "broker/api/handlers.h"

static void answer_now(struct fetch_wait *wait)
{
    struct request *request = wait->request;
    request_timer_cancel(request);
    struct fetch_response *response = fetch_read_response(wait);
    fetch_read_release(wait); /* files that the answer does not need: what was converted */
    fetch_wait_end(wait);
    request_answer(request, response);
}

static bool is_enough(const struct fetch_wait *wait)
{
    const struct fetch_request *message = wait->request->message;
    bool has_interest = wait->context.watch->found_count > 0;
    return wait->must_answer || wait->is_due || message->max_wait_ms <= 0 || !has_interest ||
           wait->bytes >= wait->min_bytes;
}

static void read_and_decide(struct request *request);

/* On a worker, which may wait for the disk. */
static void read_blocking(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    fetch_read_due(wait, true);
    wait->is_read = true;
    request_post(request, read_and_decide);
}

/* If not, it has been woken, and sees that its time is up when it runs. */
static bool claim(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    wait->is_due = true;
    return fetch_watch_rouse(wait->context.watch);
}

static void wake(void *owner)
{
    struct fetch_wait *wait = owner;
    request_run_soon(wait->request, read_and_decide);
}

static bool sleep_until_moved(struct fetch_wait *wait)
{
    const struct fetch_request *message = wait->request->message;
    if (!wait->has_timer) {
        wait->has_timer = true;
        request_timer_set(wait->request, message->max_wait_ms, claim, read_and_decide);
    }
    return fetch_watch_sleep(wait->context.watch, wake, wait);
}

/* Thread: the request's network thread, or the one that brought the records; it is in no queue. */
static void read_and_decide(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    for (;;) {
        if (wait->is_read) {
            wait->is_read = false; /* a worker has just done it */
        } else if (!fetch_read_due(wait, false)) {
            request_to_worker(request, read_blocking);
            return;
        }
        if (is_enough(wait)) {
            answer_now(wait);
            return;
        }
        fetch_read_release(wait);
        if (sleep_until_moved(wait))
            return;
    }
}

static void refuse(struct request *request, enum err e)
{
    const struct fetch_request *message = request->message;
    struct fetch_response *response = arena_alloc(request->arena, sizeof *response);
    fetch_response_init(response);
    response->error_code = err_wire_code(e);
    response->session_id = e == ERR_UNKNOWN_SERVER_ERROR ? message->session_id : 0;
    if (e == ERR_UNKNOWN_SERVER_ERROR && request->api_version < 13)
        fetch_read_mirror_error(request, e, response);
    request_answer(request, response);
}

void handle_fetch(struct request *request)
{
    const struct fetch_request *message = request->message;
    if (message->isolation_level != READ_UNCOMMITTED &&
        message->isolation_level != READ_COMMITTED) {
        refuse(request, ERR_UNKNOWN_SERVER_ERROR);
        return;
    }
    struct fetch_wait *wait = arena_alloc(request->arena, sizeof *wait);
    request->waiting = wait;
    enum err e = fetch_wait_init(wait, request);
    if (e) {
        refuse(request, e);
        return;
    }
    read_and_decide(request);
}
