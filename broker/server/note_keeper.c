/* One operation a partition at a time, and after each answer the partition decides anew: so what
 * stands in ZooKeeper at the end is the last word, whatever was lost or repeated on the way. */
#include "broker/server/note_keeper.h"

#include "broker/base/trace.h"
#include "broker/replica/partition_complete.h"
#include "broker/server/server_internal.h"
#include "coordinator/zk/znode.h"

#define RETRY_MS 100

/* A partition whose note is being written or withdrawn. */
struct note_task {
    struct note_keeper *keeper;
    struct partition *partition; /* a reference */
    struct list_node waiting;    /* in keeper->failed */
    struct arena *arena;         /* of what is under way */
    const char *path;
    struct slice text;
};

struct note_keeper {
    struct server *server;
    struct map tasks; /* partition (its address) -> note_task */
    struct list_node failed;
    struct timer retry_timer;
};

struct posted {
    struct control_work work;
    struct note_keeper *keeper;
    struct partition *partition;
};

static struct slice key_of(struct partition *const *partition)
{
    return slice_of(partition, sizeof *partition);
}

static void task_free(struct note_task *task)
{
    list_remove(&task->waiting);
    partition_unref(task->partition);
    arena_free(task->arena);
    free(task);
}

static void task_end(struct note_task *task)
{
    map_remove(&task->keeper->tasks, key_of(&task->partition));
    task_free(task);
}

/* --- what is done --- */

static void step(struct note_task *task);

static void answered(struct note_task *task)
{
    step(task);
}

static void try_later(struct note_task *task, enum err e)
{
    struct note_keeper *keeper = task->keeper;
    trace_debug("note not kept topic=%s partition=%d error=%s", partition_topic(task->partition),
                partition_id(task->partition), err_name(e));
    list_push_back(&keeper->failed, &task->waiting);
    if (!timer_is_set(&keeper->retry_timer))
        timer_set(control_thread_timers(keeper->server->control), &keeper->retry_timer,
                  clock_mono_ms(keeper->server->clock) + RETRY_MS);
}

static void withdrawn(void *context, const struct zk_result *results, int32_t count)
{
    struct note_task *task = context;
    (void)count;
    enum err e = results[0].error;
    if (e && e != ERR_NOT_FOUND) {
        try_later(task, e);
        return;
    }
    partition_note_withdrawn(task->partition);
    answered(task);
}

static void created(void *context, const struct zk_result *results, int32_t count)
{
    struct note_task *task = context;
    (void)count;
    enum err e = results[0].error;
    if (e == ERR_NOT_FOUND) /* the topic is gone */
        partition_note_withdrawn(task->partition);
    if (!e || e == ERR_NOT_FOUND) {
        answered(task);
        return;
    }
    partition_note_unsure(task->partition); /* it exists: perhaps by this very operation */
    try_later(task, e);
}

static void written(void *context, const struct zk_result *results, int32_t count)
{
    struct note_task *task = context;
    (void)count;
    enum err e = results[0].error;
    if (e == ERR_NOT_FOUND) {
        struct zk_op op = {.kind = ZK_OP_CREATE, .path = slice_str(task->path), .data = task->text};
        zk_submit(task->keeper->server->control_zk, &op, created, task);
    } else if (e) {
        partition_note_unsure(task->partition);
        try_later(task, e);
    } else {
        answered(task);
    }
}

static void write_note(struct note_task *task, const struct complete_note *note)
{
    struct server *server = task->keeper->server;
    struct znode_complete znode = {.leader = server->broker.id,
                                   .leader_broker_epoch = server->broker_epoch,
                                   .state_version = note->partition_epoch,
                                   .replica_count = note->count};
    znode.replicas = arena_new_array(task->arena, struct znode_complete_replica, note->count + 1);
    for (int32_t i = 0; i < note->count; i++)
        znode.replicas[i] = (struct znode_complete_replica){note->replicas[i].broker_id,
                                                            note->replicas[i].broker_epoch};
    task->text = znode_complete_encode(task->arena, &znode);
    trace_info("complete replicas noted topic=%s partition=%d count=%d partition_epoch=%d",
               partition_topic(task->partition), partition_id(task->partition), note->count,
               note->partition_epoch);
    struct zk_op op = {.kind = ZK_OP_SET,
                       .path = slice_str(task->path),
                       .data = task->text,
                       .zk_version = ZK_ANY_VERSION};
    zk_submit(server->control_zk, &op, written, task);
}

static void withdraw_note(struct note_task *task)
{
    struct zk_op op = {
        .kind = ZK_OP_DELETE, .path = slice_str(task->path), .zk_version = ZK_ANY_VERSION};
    zk_submit(task->keeper->server->control_zk, &op, withdrawn, task);
}

static void step(struct note_task *task)
{
    struct complete_note note;
    arena_reset(task->arena);
    enum note_action action = partition_look_at_note(task->partition, task->arena, &note);
    if (action == NOTE_KEEP) {
        task_end(task);
        return;
    }
    task->path = znode_complete_path(task->arena, slice_str(partition_topic(task->partition)),
                                     partition_id(task->partition));
    if (action == NOTE_WRITE)
        write_note(task, &note);
    else
        withdraw_note(task);
}

/* --- when --- */

static void retry(struct timer *timer)
{
    struct note_keeper *keeper = CONTAINER_OF(timer, struct note_keeper, retry_timer);
    struct list_node failed;
    list_init(&failed);
    for (struct list_node *node; (node = list_pop_front(&keeper->failed));)
        list_push_back(&failed, node);
    for (struct list_node *node; (node = list_pop_front(&failed));)
        step(list_entry(node, struct note_task, waiting));
}

/* What is under way or waits to be repeated decides anew after its answer. */
static void look(struct note_keeper *keeper, struct partition *partition)
{
    if (map_get(&keeper->tasks, key_of(&partition)))
        return;
    struct note_task *task = mem_new(struct note_task);
    partition_ref(partition);
    task->keeper = keeper;
    task->partition = partition;
    task->arena = arena_new();
    map_put(&keeper->tasks, key_of(&partition), task);
    step(task);
}

static void take_posted(struct control_work *work)
{
    OWNED_MEM struct posted *posted = CONTAINER_OF(work, struct posted, work);
    look(posted->keeper, posted->partition);
    partition_unref(posted->partition);
}

void note_keeper_post(struct note_keeper *keeper, struct partition *partition)
{
    struct posted *posted = mem_new(struct posted);
    partition_ref(partition);
    *posted = (struct posted){.work.run = take_posted, .keeper = keeper, .partition = partition};
    control_thread_post(keeper->server->control, &posted->work);
}

/* --- life --- */

struct note_keeper *note_keeper_new(struct server *server)
{
    struct note_keeper *keeper = mem_new(struct note_keeper);
    keeper->server = server;
    keeper->retry_timer.fire = retry;
    list_init(&keeper->failed);
    return keeper;
}

void note_keeper_free(struct note_keeper *keeper)
{
    if (!keeper)
        return;
    timer_cancel(control_thread_timers(keeper->server->control), &keeper->retry_timer);
    struct map_entry *e;
    for (size_t i = 0; (e = map_next(&keeper->tasks, &i));)
        task_free(e->value);
    map_done(&keeper->tasks);
    free(keeper);
}
