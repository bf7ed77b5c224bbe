/* The watch over the disks; see the header. Everything here is decided by one thread, which only
 * reads atomics and posts: it must take no lock that somebody may hold while he waits for a disk
 * (a partition's above all). */
#include "broker/server/disk_stall.h"

#include "broker/base/trace.h"
#include "broker/log/disk_watch.h"
#include "broker/server/controller_ask.h"
#include "wire/api_key.h"
#include "wire/controlled_shutdown.h"

#define LOOKS_IN_TIMEOUT 40 /* how often we look while the timeout passes */
#define LOOK_MIN_MS      10
#define LOOK_MAX_MS      100
#define NOTICE_SHARE     4    /* after a fourth of the timeout followers are not judged any more */
#define REST_MS          1000 /* a disk that was quick for so long answers again */
#define ASK_AGAIN_MS     200
#define VERSION          3 /* carries the broker epoch (KIP-380) */
#define NS_IN_MS         1000000

enum stall_state { DISK_WELL, DISK_STALLED, DISK_RETURNING };

/* A request to be relieved. Both the watch and whoever brings the answer hold it. */
struct relief {
    struct controller_ask ask;
    struct controlled_shutdown_request request;
    _Atomic int holders;
    _Atomic bool is_answered;
    enum err error; /* once answered */
};

struct disk_stall {
    struct server *server;
    const struct disk_watch *watch;
    int64_t timeout_ms, notice_ms;
    pthread_t thread;
    struct mailbox *mailbox; /* a message ends the thread */
    struct list_node end;

    enum stall_state state;
    struct relief *relief; /* the last that was asked for; NULL: none */
    int64_t asked_ms;
    int32_t asked_of;     /* the controller that has granted it; -1: none yet */
    int64_t broker_epoch; /* with which we asked */
    int64_t slow_ms;      /* when an operation was last found to take long */
};

/* --- asking to be relieved --- */

static void relief_drop(struct relief *relief)
{
    if (!relief || atomic_fetch_sub(&relief->holders, 1) > 1)
        return;
    arena_free(relief->ask.arena);
    free(relief);
}

static void relieve_locally(struct controller *controller, struct controller_ask *ask)
{
    controller_controlled_shutdown(controller, ask->request, ask->arena, controller_ask_answered,
                                   ask);
}

static void answered(struct controller_ask *ask, enum err e, const void *message)
{
    struct relief *relief = CONTAINER_OF(ask, struct relief, ask);
    const struct controlled_shutdown_response *response = message;
    relief->error = e ? e : err_from_wire(response->error_code);
    if (!relief->error)
        trace_info("leaders are with others partitions_left=%d",
                   response->remaining_partitions_count);
    atomic_store(&relief->is_answered, true);
    relief_drop(relief);
}

static void ask_for_relief(struct disk_stall *stall, int64_t now_ms)
{
    struct server *server = stall->server;
    struct relief *relief = mem_new(struct relief);
    replica_manager_hand_over(server->broker.replica_manager,
                              true); /* ends with the registration */
    atomic_store(&relief->holders, 2);
    controlled_shutdown_request_init(&relief->request);
    relief->request.broker_id = server->broker.id;
    relief->request.broker_epoch = server->broker_epoch;
    relief->ask = (struct controller_ask){.server = server,
                                          .api_key = API_CONTROLLED_SHUTDOWN,
                                          .api_version = VERSION,
                                          .request = &relief->request,
                                          .local = relieve_locally,
                                          .answered = answered,
                                          .arena = arena_new()};
    relief_drop(stall->relief);
    stall->relief = relief;
    stall->asked_ms = now_ms;
    stall->asked_of = metadata_controller_id(server->broker.metadata_cache);
    stall->broker_epoch = relief->request.broker_epoch;
    controller_ask_send(&relief->ask);
}

/* Granted by the controller there is now, for the registration there is now? */
static bool must_ask_again(struct disk_stall *stall, int64_t now_ms)
{
    if (!atomic_load(&stall->relief->is_answered))
        return false;
    if (stall->relief->error)
        return now_ms - stall->asked_ms >= ASK_AGAIN_MS;
    return stall->asked_of != metadata_controller_id(stall->server->broker.metadata_cache) ||
           stall->broker_epoch != stall->server->broker_epoch;
}

/* --- coming back --- */

struct renewal {
    struct control_work work;
    struct server *server;
    int64_t broker_epoch;
};

static void renew(struct control_work *work)
{
    OWNED_MEM struct renewal *renewal = CONTAINER_OF(work, struct renewal, work);
    if (renewal->server->registration &&
        registration_broker_epoch(renewal->server->registration) == renewal->broker_epoch)
        registration_renew(renewal->server->registration);
}

static void ask_for_renewal(struct disk_stall *stall, int64_t now_ms)
{
    struct renewal *renewal = mem_new(struct renewal);
    *renewal = (struct renewal){
        .work.run = renew, .server = stall->server, .broker_epoch = stall->broker_epoch};
    stall->asked_ms = now_ms;
    control_thread_post(stall->server->control, &renewal->work);
}

/* --- looking --- */

/* How long the oldest operation has been under way, and where. */
static int64_t oldest_age_ms(const struct disk_stall *stall, int *ret_dir)
{
    int64_t now_ns = clock_mono_us(stall->server->clock) * 1000, oldest_ns = 0;
    int count = log_manager_dirs_count(stall->server->broker.log_manager);
    for (int i = 0; i < count; i++) {
        int64_t began_ns = disk_watch_oldest(stall->watch, (size_t)i);
        if (began_ns && (!oldest_ns || began_ns < oldest_ns)) {
            oldest_ns = began_ns;
            *ret_dir = i;
        }
    }
    return oldest_ns && now_ns > oldest_ns ? (now_ns - oldest_ns) / NS_IN_MS : 0;
}

static bool has_others(const struct disk_stall *stall)
{
    struct metadata_cache *cache = stall->server->broker.metadata_cache;
    int32_t count;
    metadata_cache_lock(cache);
    metadata_brokers(cache, &count);
    metadata_cache_unlock(cache);
    return count > 1;
}

static void be_well(struct disk_stall *stall, int64_t age_ms, int dir, int64_t now_ms)
{
    if (age_ms < stall->timeout_ms || stall->server->broker_epoch < 0 || !has_others(stall))
        return;
    struct log_dir_view view;
    log_manager_dir_view(stall->server->broker.log_manager, dir, &view);
    trace_warn("disk stands still, leaders are handed over dir=%s since_ms=%lld", view.path,
               (long long)age_ms);
    stall->state = DISK_STALLED;
    ask_for_relief(stall, now_ms);
}

static void be_stalled(struct disk_stall *stall, int64_t now_ms)
{
    if (now_ms - stall->slow_ms >= REST_MS) {
        trace_info("disk answers again, the broker registers anew");
        stall->state = DISK_RETURNING;
        stall->broker_epoch = stall->server->broker_epoch;
        ask_for_renewal(stall, now_ms);
    } else if (must_ask_again(stall, now_ms)) {
        ask_for_relief(stall, now_ms);
    }
}

static void be_returning(struct disk_stall *stall, int64_t age_ms, int64_t now_ms)
{
    if (stall->server->broker_epoch != stall->broker_epoch) {
        stall->state = DISK_WELL;
    } else if (age_ms >= stall->timeout_ms) {
        stall->state = DISK_STALLED;
    } else if (now_ms - stall->asked_ms >= REST_MS) {
        ask_for_renewal(stall, now_ms);
    }
}

static void look(struct disk_stall *stall)
{
    int dir = 0;
    int64_t now_ms = clock_mono_ms(stall->server->clock), age_ms = oldest_age_ms(stall, &dir);
    if (age_ms >= stall->notice_ms) {
        stall->slow_ms = now_ms;
        replica_manager_disk_stood(stall->server->broker.replica_manager, now_ms);
    }
    switch (stall->state) {
    case DISK_WELL:
        be_well(stall, age_ms, dir, now_ms);
        break;
    case DISK_STALLED:
        be_stalled(stall, now_ms);
        break;
    case DISK_RETURNING:
        be_returning(stall, age_ms, now_ms);
        break;
    }
}

static int look_every_ms(const struct disk_stall *stall)
{
    int64_t every_ms = stall->timeout_ms / LOOKS_IN_TIMEOUT;
    return every_ms < LOOK_MIN_MS   ? LOOK_MIN_MS
           : every_ms > LOOK_MAX_MS ? LOOK_MAX_MS
                                    : (int)every_ms;
}

static void *run(void *context)
{
    struct disk_stall *stall = context;
    struct list_node messages;
    list_init(&messages);
    while (list_is_empty(&messages)) {
        look(stall);
        mailbox_wait(stall->mailbox, look_every_ms(stall));
        mailbox_receive(stall->mailbox, &messages);
    }
    return NULL;
}

struct disk_stall *disk_stall_start(struct server *server)
{
    int64_t timeout_ms = server->config->stoker_disk_stall_timeout_ms;
    if (timeout_ms == 0)
        return NULL;
    struct disk_stall *stall = mem_new(struct disk_stall);
    stall->server = server;
    stall->watch = log_manager_disk_watch(server->broker.log_manager);
    stall->timeout_ms = timeout_ms;
    stall->notice_ms = timeout_ms / NOTICE_SHARE;
    stall->mailbox = mailbox_new();
    stall->thread = thread_start("disk-stall", run, stall);
    return stall;
}

void disk_stall_stop(struct disk_stall *stall)
{
    if (!stall)
        return;
    mailbox_post(stall->mailbox, &stall->end);
    pthread_join(stall->thread, NULL);
    mailbox_free(stall->mailbox);
    relief_drop(stall->relief);
    free(stall);
}
