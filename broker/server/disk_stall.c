/* The watch over the disks; see the header. One thread looks and lets stall_machine.c decide. It
 * only reads atomics and posts: it must take no lock that somebody may hold while he waits for a
 * disk (a partition's above all). */
#include "broker/server/disk_stall.h"

#include "broker/base/trace.h"
#include "broker/log/disk_watch.h"
#include "broker/server/controller_ask.h"
#include "broker/server/stall_machine.h"
#include "wire/api_key.h"
#include "wire/controlled_shutdown.h"

#define LOOKS_IN_TIMEOUT 40 /* how often we look while the timeout passes */
#define LOOK_MIN_MS      10
#define LOOK_MAX_MS      100
#define VERSION          3 /* carries the broker epoch (KIP-380) */

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
    int64_t timeout_ms;
    pthread_t thread;
    struct mailbox *mailbox; /* a message ends the thread */
    struct list_node end;

    struct stall_world world;
    struct stall_machine machine;
    struct relief *relief; /* the last that was asked for; NULL: none */
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

static void say_that_it_stands(struct disk_stall *stall, int dir, int64_t age_ms)
{
    struct log_dir_view view;
    log_manager_dir_view(stall->server->broker.log_manager, dir, &view);
    trace_warn("disk stands still, leaders are handed over dir=%s since_ms=%lld", view.path,
               (long long)age_ms);
}

static void ask_for_relief(void *context, int dir, int64_t age_ms)
{
    struct disk_stall *stall = context;
    struct server *server = stall->server;
    struct relief *relief = mem_new(struct relief);
    if (dir >= 0)
        say_that_it_stands(stall, dir, age_ms);
    replica_manager_hand_over(server->broker.replica_manager,
                              true); /* ends with the registration */
    atomic_store(&relief->holders, 2);
    controlled_shutdown_request_init(&relief->request);
    relief->request.broker_id = server->broker.id;
    relief->request.broker_epoch = stall->machine.broker_epoch;
    relief->ask = (struct controller_ask){.server = server,
                                          .api_key = API_CONTROLLED_SHUTDOWN,
                                          .api_version = VERSION,
                                          .request = &relief->request,
                                          .local = relieve_locally,
                                          .answered = answered,
                                          .arena = arena_new()};
    relief_drop(stall->relief);
    stall->relief = relief;
    controller_ask_send(&relief->ask);
}

static enum relief_state relief_now(void *context)
{
    const struct relief *relief = ((struct disk_stall *)context)->relief;
    if (!atomic_load(&relief->is_answered))
        return RELIEF_AWAITED;
    return relief->error ? RELIEF_REFUSED : RELIEF_GRANTED;
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

static void register_anew(void *context, int64_t broker_epoch)
{
    struct disk_stall *stall = context;
    struct renewal *renewal = mem_new(struct renewal);
    *renewal =
        (struct renewal){.work.run = renew, .server = stall->server, .broker_epoch = broker_epoch};
    control_thread_post(stall->server->control, &renewal->work);
}

/* --- looking --- */

static int64_t oldest_began_ns(void *context, int dir)
{
    return disk_watch_oldest(((struct disk_stall *)context)->watch, (size_t)dir);
}

static bool has_others(void *context)
{
    struct metadata_cache *cache = ((struct disk_stall *)context)->server->broker.metadata_cache;
    int32_t count;
    metadata_cache_lock(cache);
    metadata_brokers(cache, &count);
    metadata_cache_unlock(cache);
    return count > 1;
}

static int64_t broker_epoch(void *context)
{
    return ((struct disk_stall *)context)->server->broker_epoch;
}

static int32_t controller_id(void *context)
{
    return metadata_controller_id(((struct disk_stall *)context)->server->broker.metadata_cache);
}

static void disk_stood(void *context, int64_t now_ms)
{
    replica_manager_disk_stood(((struct disk_stall *)context)->server->broker.replica_manager,
                               now_ms);
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
        stall_machine_look(&stall->machine, clock_mono_us(stall->server->clock) * 1000);
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
    stall->world = (struct stall_world){.oldest_began_ns = oldest_began_ns,
                                        .has_others = has_others,
                                        .broker_epoch = broker_epoch,
                                        .controller_id = controller_id,
                                        .disk_stood = disk_stood,
                                        .ask_for_relief = ask_for_relief,
                                        .relief = relief_now,
                                        .register_anew = register_anew,
                                        .context = stall};
    stall_machine_init(&stall->machine, &stall->world,
                       log_manager_dirs_count(server->broker.log_manager), timeout_ms);
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
