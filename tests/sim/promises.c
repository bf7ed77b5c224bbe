/* See promises.h. */
#include "tests/sim/promises.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "broker/record/record.h"

#define READ_MAX_BYTES (1 << 20)
#define NO_EPOCH       (-1)

struct shadow {
    struct uuid topic_id;
    int64_t *ids; /* one an offset, from 0 */
    int32_t *epochs;
    size_t ids_capacity, epochs_capacity;
    int64_t count;
    int32_t epoch, led_epoch; /* of this process; NO_EPOCH: none yet */
    int64_t high_watermark;   /* while it leads in led_epoch */
    bool leads;               /* in led_epoch, still */
    bool was_killed;          /* and not looked at since */
    bool is_excused;          /* its power was cut, and it is in the ISR since before its start,
                                 without all that it had */
    int64_t had_count;        /* before its power was cut; a leader may think that it still has */
};

struct acknowledged {
    int64_t offset, id;
    int32_t leader_epoch; /* that committed it */
};

/* Below the high watermark of some leader; one an offset, from 0. */
struct committed {
    int64_t id;
    int32_t leader_epoch; /* of the first such leader */
};

struct oracle {
    struct uuid topic_id;
    bool is_doomed;
    struct acknowledged *items;
    size_t count, capacity;
    struct committed *committed;
    size_t committed_count, committed_capacity;
    struct znode_partition_state state; /* as last written; ISR below */
    int32_t isr[WORLD_BROKERS_MAX];
    bool has_state;
};

struct promises {
    struct shadow shadows[WORLD_BROKERS_MAX][WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    struct oracle oracles[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    int64_t acknowledged;
};

struct promises *promises_new(void)
{
    struct promises *promises = mem_new(struct promises);
    struct shadow *shadows = &promises->shadows[0][0][0];
    for (size_t i = 0; i < sizeof promises->shadows / sizeof *shadows; i++)
        shadows[i].epoch = shadows[i].led_epoch = NO_EPOCH;
    return promises;
}

static void oracle_done(struct oracle *oracle)
{
    free(oracle->items);
    free(oracle->committed);
}

void promises_free(struct promises *promises)
{
    struct shadow *shadows = &promises->shadows[0][0][0];
    for (size_t i = 0; i < sizeof promises->shadows / sizeof *shadows; i++) {
        free(shadows[i].ids);
        free(shadows[i].epochs);
    }
    for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++)
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++)
            oracle_done(&promises->oracles[t][p]);
    free(promises);
}

int64_t promises_count(const struct promises *promises)
{
    return promises->acknowledged;
}

/* ---- Shadows ---- */

static void shadow_add(struct shadow *shadow, int64_t id, int32_t epoch)
{
    size_t count = (size_t)shadow->count;
    shadow->ids = mem_grow(shadow->ids, &shadow->ids_capacity, count + 1, sizeof *shadow->ids);
    shadow->epochs =
        mem_grow(shadow->epochs, &shadow->epochs_capacity, count + 1, sizeof *shadow->epochs);
    shadow->ids[count] = id;
    shadow->epochs[count] = epoch;
    shadow->count++;
}

static void add_batch(struct cluster *cluster, struct shadow *shadow, const uint8_t *batch)
{
    struct record_reader reader;
    struct record record;
    enum err e = record_reader_open(&reader, batch);
    if (e) {
        world_complain(cluster->world, "a batch cannot be read: %s", err_sentence(e));
        return;
    }
    while (!record_reader_next(&reader, &record)) {
        if (record.offset < shadow->count)
            continue; /* its batch was known in part */
        if (record.offset > shadow->count || record.value.size != 8) {
            world_complain(cluster->world, "a log has a hole before %" PRId64, record.offset);
            break;
        }
        shadow_add(shadow, (int64_t)get_be64(record.value.data), batch_leader_epoch(batch));
    }
    record_reader_close(&reader);
}

static bool add_slice(struct cluster *cluster, struct shadow *shadow, const struct log_slice *slice)
{
    int64_t before = shadow->count;
    uint8_t *bytes = mem_alloc((size_t)slice->size_bytes);
    ssize_t n = pread(log_file_fd(slice->file), bytes, (size_t)slice->size_bytes, slice->position);
    for (int64_t at = 0; n == slice->size_bytes && at < n;) {
        struct batch_info info;
        if (batch_peek(slice_of(bytes + at, (size_t)(n - at)), &info) || info.size_bytes > n - at)
            break;
        add_batch(cluster, shadow, bytes + at);
        at += info.size_bytes;
    }
    free(bytes);
    return shadow->count > before;
}

static void read_on(struct cluster *cluster, struct shadow *shadow, struct log *log, int64_t end)
{
    while (shadow->count < end && !cluster->world->complaint[0]) {
        struct log_slice slice;
        enum err e = log_read(log, shadow->count, end, READ_MAX_BYTES, true, true, &slice);
        bool did = !e && slice.file && add_slice(cluster, shadow, &slice);
        if (!did)
            world_complain(cluster->world, "%s-%" PRId32 " cannot be read at %" PRId64 ": %s",
                           log_topic(log), log_partition(log), shadow->count, err_name(e));
        if (!e && slice.file)
            log_file_unref(slice.file);
    }
}

/* True: records went away. */
static bool follow_log(struct cluster *cluster, struct shadow *shadow, struct log *log)
{
    struct uuid topic_id = log_topic_id(log);
    int64_t end = log_end_offset(log);
    bool is_cut = end < shadow->count;
    /* One that was deleted and made anew meanwhile is empty. */
    if (shadow->was_killed && is_cut && end > 0 && uuid_equal(topic_id, shadow->topic_id))
        world_complain(cluster->world,
                       "%s-%" PRId32 " ended at %" PRId64 " when its process was killed and at "
                       "%" PRId64 " after it",
                       log_topic(log), log_partition(log), shadow->count, end);
    shadow->was_killed = false;
    if (!uuid_equal(topic_id, shadow->topic_id)) {
        shadow->topic_id = topic_id;
        shadow->count = 0;
        shadow->epoch = shadow->led_epoch = NO_EPOCH;
        is_cut = true;
    }
    if (shadow->count > end)
        shadow->count = end;
    read_on(cluster, shadow, log, end);
    return is_cut;
}

static bool shadow_has(const struct shadow *shadow, int64_t offset, int64_t id)
{
    return offset < shadow->count && shadow->ids[offset] == id;
}

/* ---- An acknowledged record is in every later leader's log ---- */

static void check_acknowledged(struct cluster *cluster, int32_t id, int32_t t, int32_t p)
{
    const struct shadow *leader = &cluster->promises->shadows[id][t][p];
    const struct oracle *oracle = &cluster->promises->oracles[t][p];
    if (!uuid_equal(leader->topic_id, oracle->topic_id) || oracle->is_doomed)
        return;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct acknowledged *item = &oracle->items[i];
        if (item->leader_epoch <= leader->led_epoch && !shadow_has(leader, item->offset, item->id))
            world_complain(cluster->world,
                           "broker %" PRId32 " leads %s-%" PRId32 " in epoch %" PRId32
                           " without the record at %" PRId64 " acknowledged in epoch %" PRId32,
                           id, cluster->world->topics[t], p, leader->led_epoch, item->offset,
                           item->leader_epoch);
    }
}

static const struct shadow *find_holder(struct cluster *cluster, int32_t t, int32_t p,
                                        int64_t offset, int64_t id)
{
    for (int32_t b = 0; b < cluster->world->broker_count; b++)
        if (shadow_has(&cluster->promises->shadows[b][t][p], offset, id))
            return &cluster->promises->shadows[b][t][p];
    return NULL;
}

/* A record may wait through elections: its producer's leader did not hear of those that were lost
 * in between, and leads again. Leaders of before it was committed need not have it. */
static int32_t epoch_that_committed(const struct oracle *oracle, const struct shadow *holder,
                                    int64_t offset, int64_t id)
{
    bool is_known = offset < (int64_t)oracle->committed_count && oracle->committed[offset].id == id;
    return is_known ? oracle->committed[offset].leader_epoch : holder->epochs[offset];
}

void promises_acknowledged(struct cluster *cluster, int32_t t, int32_t p, int64_t offset,
                           int64_t id)
{
    struct promises *promises = cluster->promises;
    struct oracle *oracle = &promises->oracles[t][p];
    const struct shadow *holder = find_holder(cluster, t, p, offset, id);
    if (!holder) {
        /* Perhaps of a topic that is being deleted, or was made anew meanwhile. */
        if (!oracle->is_doomed)
            world_complain(cluster->world,
                           "%s-%" PRId32 ": the record at %" PRId64
                           " was acknowledged and is nowhere",
                           cluster->world->topics[t], p, offset);
        return;
    }
    if (!uuid_equal(holder->topic_id, oracle->topic_id) || oracle->is_doomed)
        return;
    oracle->items =
        mem_grow(oracle->items, &oracle->capacity, oracle->count + 1, sizeof *oracle->items);
    int32_t epoch = epoch_that_committed(oracle, holder, offset, id);
    oracle->items[oracle->count++] = (struct acknowledged){offset, id, epoch};
    promises->acknowledged++;
    trace_debug("acknowledged topic=%s partition=%" PRId32 " offset=%" PRId64
                " leader_epoch=%" PRId32,
                cluster->world->topics[t], p, offset, epoch);
    for (int32_t b = 0; b < cluster->world->broker_count; b++)
        if (cluster->nodes[b].is_alive && promises->shadows[b][t][p].leads)
            check_acknowledged(cluster, b, t, p);
}

void promises_topic_doomed(struct cluster *cluster, int32_t t)
{
    for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
        cluster->promises->oracles[t][p].is_doomed = true;
        cluster->promises->oracles[t][p].count = 0;
    }
}

/* ---- A leader epoch has one leader ---- */

static void check_single_leader(struct cluster *cluster, int32_t id, int32_t t, int32_t p)
{
    const struct shadow *mine = &cluster->promises->shadows[id][t][p];
    for (int32_t b = 0; b < cluster->world->broker_count; b++) {
        const struct shadow *other = &cluster->promises->shadows[b][t][p];
        if (b != id && other->led_epoch == mine->led_epoch &&
            uuid_equal(other->topic_id, mine->topic_id))
            world_complain(cluster->world,
                           "brokers %" PRId32 " and %" PRId32 " lead %s-%" PRId32
                           " in the same epoch %" PRId32,
                           id, b, cluster->world->topics[t], p, mine->led_epoch);
    }
}

/* ---- The ISR has everything below the high watermark ---- */

/* The excuse ends when it has again whatever it may have told its leader that it had: from then on
 * the watermark cannot come to what it lacks. */
static void check_member(struct cluster *cluster, int32_t id, int32_t t, int32_t p,
                         const struct shadow *leader)
{
    struct shadow *member = &cluster->promises->shadows[id][t][p];
    int64_t at = 0;
    while (at < leader->count && shadow_has(member, at, leader->ids[at]))
        at++;
    if (at >= leader->high_watermark && (at == leader->count || at >= member->had_count))
        member->is_excused = false;
    if (at >= leader->high_watermark || member->is_excused)
        return;
    bool is_there = at < member->count;
    world_complain(cluster->world,
                   "%" PRId32 " is in the ISR of %s-%" PRId32 " without the record at %" PRId64
                   " of epoch %" PRId32 ": it has %" PRId64 ", there of epoch %" PRId32
                   "; the watermark is %" PRId64,
                   id, cluster->world->topics[t], p, at, leader->epochs[at], member->count,
                   is_there ? member->epochs[at] : NO_EPOCH, leader->high_watermark);
}

static void check_isr(struct cluster *cluster, int32_t t, int32_t p)
{
    const struct oracle *oracle = &cluster->promises->oracles[t][p];
    if (!oracle->has_state || oracle->is_doomed || oracle->state.leader < 0)
        return;
    const struct shadow *leader = &cluster->promises->shadows[oracle->state.leader][t][p];
    if (!leader->leads || leader->led_epoch != oracle->state.leader_epoch ||
        !uuid_equal(leader->topic_id, oracle->topic_id))
        return; /* it has not heard of it */
    for (int32_t i = 0; i < oracle->state.isr.count; i++)
        check_member(cluster, oracle->isr[i], t, p, leader);
}

void promises_state_written(struct cluster *cluster, int32_t t, int32_t p,
                            const struct znode_partition_state *state)
{
    struct oracle *oracle = &cluster->promises->oracles[t][p];
    bool is_member[WORLD_BROKERS_MAX] = {false};
    oracle->state = *state;
    oracle->has_state = true;
    for (int32_t i = 0; i < state->isr.count; i++) {
        oracle->isr[i] = state->isr.ids[i];
        is_member[state->isr.ids[i]] = true;
    }
    for (int32_t b = 0; b < cluster->world->broker_count; b++) {
        struct shadow *shadow = &cluster->promises->shadows[b][t][p];
        if (!is_member[b])
            shadow->is_excused = false;
        else if (!cluster->nodes[b].is_alive && !shadow->was_killed)
            shadow->is_excused = true; /* by a fetch from before: its session has not ended */
    }
    check_isr(cluster, t, p);
}

/* ---- After each step ---- */

struct looking {
    struct cluster *cluster;
    struct node *node;
};

static void begin_oracle(struct oracle *oracle, struct uuid topic_id)
{
    if (uuid_equal(oracle->topic_id, topic_id))
        return;
    oracle->topic_id = topic_id;
    oracle->is_doomed = false;
    oracle->count = oracle->committed_count = 0;
}

static void note_committed(struct oracle *oracle, const struct shadow *leader)
{
    if (!uuid_equal(oracle->topic_id, leader->topic_id))
        return;
    oracle->committed = mem_grow(oracle->committed, &oracle->committed_capacity,
                                 (size_t)leader->high_watermark + 1, sizeof *oracle->committed);
    while ((int64_t)oracle->committed_count < leader->high_watermark &&
           (int64_t)oracle->committed_count < leader->count) {
        oracle->committed[oracle->committed_count] =
            (struct committed){leader->ids[oracle->committed_count], leader->led_epoch};
        oracle->committed_count++;
    }
}

static void look_at_leader(struct cluster *cluster, struct shadow *shadow, struct partition *of,
                           int32_t id, int32_t t, int32_t p, bool is_cut)
{
    int64_t high_watermark = partition_high_watermark(of);
    bool is_new = shadow->led_epoch != shadow->epoch;
    bool has_moved = is_new || high_watermark != shadow->high_watermark;
    if (!is_new && high_watermark < shadow->high_watermark)
        world_complain(cluster->world,
                       "the watermark of %s-%" PRId32 " went back from %" PRId64 " to %" PRId64
                       " at its leader %" PRId32,
                       cluster->world->topics[t], p, shadow->high_watermark, high_watermark, id);
    shadow->led_epoch = shadow->epoch;
    shadow->high_watermark = high_watermark;
    if (is_new) {
        begin_oracle(&cluster->promises->oracles[t][p], shadow->topic_id);
        check_single_leader(cluster, id, t, p);
    }
    note_committed(&cluster->promises->oracles[t][p], shadow);
    if (is_new || is_cut)
        check_acknowledged(cluster, id, t, p);
    if (has_moved)
        check_isr(cluster, t, p);
}

static void look_at(void *context, struct partition *partition)
{
    const struct looking *looking = context;
    struct cluster *cluster = looking->cluster;
    int32_t id = looking->node->id, p = partition_id(partition);
    int32_t t = world_topic(cluster->world, slice_str(partition_topic(partition)));
    struct log *log = partition_log(partition);
    if (!log || t < 0 || p >= WORLD_PARTITIONS_MAX)
        return;
    struct shadow *shadow = &cluster->promises->shadows[id][t][p];
    bool is_cut = follow_log(cluster, shadow, log);
    int32_t epoch = partition_leader_epoch(partition);
    if (epoch < shadow->epoch)
        world_complain(cluster->world,
                       "broker %" PRId32 " went back to epoch %" PRId32 " of %s-%" PRId32, id,
                       epoch, cluster->world->topics[t], p);
    shadow->epoch = epoch;
    shadow->leads = partition_role(partition) == ROLE_LEADER;
    if (shadow->leads)
        look_at_leader(cluster, shadow, partition, id, t, p, is_cut);
    else if (is_cut)
        check_isr(cluster, t, p);
}

void promises_look(struct cluster *cluster, struct node *node)
{
    struct looking looking = {cluster, node};
    replica_manager_for_each(node->server.broker.replica_manager, look_at, &looking);
}

/* ---- Death and power ---- */

void promises_node_died(struct cluster *cluster, int32_t id)
{
    for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++)
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
            struct shadow *shadow = &cluster->promises->shadows[id][t][p];
            shadow->epoch = shadow->led_epoch = NO_EPOCH;
            shadow->leads = false;
            shadow->was_killed = true;
        }
}

static bool is_in_isr(const struct oracle *oracle, int32_t id)
{
    for (int32_t i = 0; oracle->has_state && i < oracle->state.isr.count; i++)
        if (oracle->isr[i] == id)
            return true;
    return false;
}

void promises_power_cut(struct cluster *cluster, int32_t id)
{
    for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++)
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
            struct shadow *shadow = &cluster->promises->shadows[id][t][p];
            if (!shadow->is_excused || shadow->had_count < shadow->count)
                shadow->had_count = shadow->count;
            shadow->count = 0; /* read anew once it is open again */
            shadow->is_excused = is_in_isr(&cluster->promises->oracles[t][p], id);
            shadow->was_killed = false;
        }
}

/* ---- The end ---- */

const char *promises_differ(struct cluster *cluster, int32_t t, int32_t p)
{
    int32_t leader_id = world_leader(cluster->world, cluster->world->topics[t], p);
    if (leader_id < 0)
        return leader_id == -2 ? NULL : "has no leader";
    const struct oracle *oracle = &cluster->promises->oracles[t][p];
    const struct shadow *leader = &cluster->promises->shadows[leader_id][t][p];
    if (!leader->leads)
        return "is not led by its leader";
    if (leader->high_watermark != leader->count)
        return "does not commit all records";
    for (int32_t i = 0; i < oracle->state.isr.count; i++) {
        const struct shadow *member = &cluster->promises->shadows[oracle->isr[i]][t][p];
        if (member->count != leader->count)
            return "has a replica that stays behind";
        if (leader->count > 0 &&
            memcmp(member->ids, leader->ids, (size_t)leader->count * sizeof *leader->ids) != 0)
            return "has replicas that differ";
    }
    check_acknowledged(cluster, leader_id, t, p);
    return NULL;
}
