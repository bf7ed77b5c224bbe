/* Requests that wait for something which another network thread brings about, a fetch for records
 * above all, run on that thread when it is done with what it does now. The thread that owns the
 * connection need not wake for it: it hears of the answer when the client's next request comes.
 *
 * Whoever runs a request away from home holds its connection's `turn`. What it may do there is what
 * handlers do: read, wait again, go to a worker, answer. The answer's bytes are sent if the socket
 * takes all of them, and then the request has been `answered_away`; else, and where the connection
 * does not lie still (`rests`), all is left to the owner. Everything that belongs to
 * the owner (state, timers, lists, memory) stays untouched until the owner settles it: at the next
 * bytes, when the request's time is up, or when the connection closes. */
#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

#define AWAY_MAX 8 /* requests of other threads that one event runs; the rest go home */

static _Thread_local const struct network_request *running_away;

void request_run_soon(struct request *request, void (*run)(struct request *request))
{
    struct network_request *nr = (struct network_request *)request;
    struct network_thread *here = network_thread_here();
    if (!here) {
        request_post(request, run);
        return;
    }
    assert(!nr->posted_run);
    nr->posted_run = run;
    list_push_back(&here->soon, &nr->mail.node);
}

static void run_it(struct network_request *nr)
{
    TAKE(nr->posted_run)(&nr->request);
}

/* False: it must run at home. */
static bool run_away(struct network_request *nr)
{
    struct connection *conn = nr->connection;
    pthread_mutex_lock(&conn->turn);
    bool may = conn->rests;
    if (may) {
        running_away = nr;
        run_it(nr);
        running_away = NULL;
    }
    pthread_mutex_unlock(&conn->turn);
    return may;
}

static void go_home(struct network_request *nr)
{
    void (*run)(struct request *) = TAKE(nr->posted_run);
    request_post(&nr->request, run);
}

void thread_run_soon(struct network_thread *thread)
{
    int away = 0;
    for (struct list_node *node; (node = list_pop_front(&thread->soon));) {
        struct network_request *nr = CONTAINER_OF(node, struct network_request, mail.node);
        if (nr->thread == thread)
            run_it(nr);
        else if (away++ >= AWAY_MAX || !run_away(nr))
            go_home(nr);
    }
}

bool request_runs_away(const struct network_request *nr)
{
    return running_away == nr;
}

bool request_answer_away(struct network_request *nr)
{
    struct connection *conn = nr->connection;
    size_t sent = 0, spliced = 0;
    conn->rests = false;
    if (nr->refused_why || !nr->has_answer || nr->output.answer.splices_count > 0)
        return false;
    enum output_state state = output_send(&nr->output, conn->fd, false, &sent, &spliced);
    count(&nr->thread->counters.sent_bytes, (int64_t)sent);
    if (state != OUTPUT_DONE)
        return false; /* the owner finds the socket full, or broken, itself */
    count(&nr->thread->counters.answers, 1);
    count(&nr->thread->counters.answers_away, 1);
    nr->is_answered_away = true;
    return true;
}
