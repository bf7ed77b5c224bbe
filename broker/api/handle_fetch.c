/* Fetch (KIP-227 sessions, KIP-74 limits, KIP-98 isolation, KIP-392, KIP-516 ids, KIP-595
 * divergence, KIP-951 hints).
 *
 *      begin --> read all --> enough? --yes--> answer
 *                   ^            |no: register with every partition, read once more, then sleep
 *                   |            v
 *                   '--- moved / time is up          cold data or conversion: the reading runs on a
 * log worker
 *
 * A slice of a segment goes into the answer as a file and a range; the connection sends it by
 * sendfile. Reading on the network thread never touches a disk: log_read() says ERR_AGAIN and the
 * request goes to a worker.
 *
 * While it waits, the right to post the request (request->node is one) is the token `is_posted`:
 * partitions that move, the timer and the worker all take it first, so that it is never in two
 * queues. */
#include "broker/api/fetch_read.h"
#include "broker/api/handlers.h"

static void answer_now(struct fetch_wait *wait)
{
    struct request *request = wait->request;
    fetch_wait_unregister(wait);
    request_timer_cancel(request);
    struct fetch_response *response = fetch_read_response(wait);
    fetch_read_release(wait); /* files that the answer does not need: what was converted */
    fetch_session_end(request->broker->fetch_sessions, &wait->context);
    fetch_wait_release_partitions(wait);
    request_answer(request, response);
}

static bool is_enough(const struct fetch_wait *wait)
{
    const struct fetch_request *message = wait->request->message;
    return wait->must_answer || wait->is_due || message->max_wait_ms <= 0 || !wait->has_interest ||
           wait->bytes >= wait->min_bytes;
}

static void read_and_decide(struct request *request);

/* On a worker, which may wait for the disk. */
static void read_blocking(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    fetch_read_all(wait, true);
    wait->is_read = true;
    request_post(request, read_and_decide); /* the token is still ours */
}

static void on_time_up(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    wait->is_due = true;
    if (!atomic_exchange(&wait->is_posted, true))
        read_and_decide(request);
}

static void sleep_until_moved(struct fetch_wait *wait)
{
    const struct fetch_request *message = wait->request->message;
    if (!wait->has_timer) {
        wait->has_timer = true;
        request_timer_set(wait->request, message->max_wait_ms, on_time_up);
    }
    atomic_store(&wait->is_posted, false);
}

/* Thread: the request's network thread; the token is ours. */
static void read_and_decide(struct request *request)
{
    struct fetch_wait *wait = request->waiting;
    for (;;) {
        if (wait->is_read) {
            wait->is_read = false; /* a worker has just done it */
        } else if (!fetch_read_all(wait, false)) {
            request_to_worker(request, read_blocking);
            return;
        }
        if (is_enough(wait)) {
            answer_now(wait);
            return;
        }
        fetch_read_release(wait);
        if (wait->is_registered && !atomic_exchange(&wait->moved_meanwhile, false)) {
            sleep_until_moved(wait);
            /* A partition that moved while we held the token could not post: look once more. */
            if (atomic_load(&wait->moved_meanwhile) && !atomic_exchange(&wait->is_posted, true)) {
                atomic_store(&wait->moved_meanwhile, false);
                continue;
            }
            return;
        }
        if (!wait->is_registered) /* else something moved: read once more */
            fetch_wait_register(wait, read_and_decide);
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
    atomic_store(&wait->is_posted, true); /* the token is ours from the start */
    read_and_decide(request);
}
