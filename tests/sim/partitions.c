/* Modelled partitions. See the header. */
#include "tests/sim/partitions.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/base/trace.h"
#include "tests/sim/requests.h"

/* STOKER_TRACE=debug tells the story of a partition. */
#define TELL(all, topic, partition, format, ...)                                                   \
    trace_debug("%s-%" PRId32 ": " format, (all)->world->topics[topic], partition, __VA_ARGS__)

#define NOBODY        (-1)
#define UNKNOWN_END   (-1)
#define PICKS_MAX     64
#define SETTLE_ROUNDS 400
#define LOSS_ONE_IN   12

struct sim_record {
    int32_t leader_epoch;
    int64_t id;
};

struct replica_log {
    struct uuid topic_id;
    struct sim_record *records;
    size_t capacity;
    int64_t end;
    int64_t high_watermark;
};

enum sim_role_kind { ROLE_NONE, ROLE_LEADER, ROLE_FOLLOWER };

struct cell {
    struct replica_log log; /* outlives a crash; the rest does not */
    enum sim_role_kind role;
    struct uuid topic_id;
    int32_t leader, leader_epoch, partition_epoch;
    int32_t replicas[SIM_REPLICAS_MAX], replicas_count;
    bool is_fetching;

    /* While it leads. */
    int32_t isr[SIM_REPLICAS_MAX], isr_count;
    int64_t ends[WORLD_BROKERS_MAX]; /* of followers, in this epoch */
    int64_t epoch_start, answered_to;
    bool is_isr_pending;
    bool is_isr_asked; /* a request about it is under way */
    int32_t joining;
    int32_t wished[SIM_REPLICAS_MAX], wished_count;
};

struct oracle {
    struct uuid topic_id;
    bool is_given_up; /* the topic of this id is to be deleted */
    struct acknowledged {
        int64_t offset, id;
        int32_t leader_epoch;
    } * items;
    size_t count, capacity;
};

struct fetch {
    struct list_node node;
    int32_t from, to, topic, partition, leader_epoch;
    int64_t offset;
    int32_t last_epoch; /* of the record before offset */
    bool is_answered, failed, diverges;
    int32_t diverging_epoch;
    int64_t diverging_end, high_watermark;
    struct sim_record records[SIM_FETCH_MAX];
    int32_t count;
};

struct asking {
    struct list_node node;
    int32_t from, topic, partition;
    bool is_sent, is_lost; /* lost: nobody waits for the answer */
    struct world_isr_wish wish;
    struct world_isr answer;
};

struct sim_partitions {
    struct world *world;
    struct cell cells[WORLD_BROKERS_MAX][WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    struct oracle oracles[WORLD_TOPICS_MAX][WORLD_PARTITIONS_MAX];
    struct list_node fetches, asked;
    int32_t fetch_count;
    int64_t next_id, acknowledged;
    int32_t min_isr;
};

static bool is_mutated(const struct sim_partitions *all, enum sim_mutation mutation)
{
    return all->world->mutation == (int)mutation;
}

static bool contains(const int32_t *ids, int32_t count, int32_t id)
{
    for (int32_t i = 0; i < count; i++)
        if (ids[i] == id)
            return true;
    return false;
}

static int32_t copy_ids(int32_t *to, const int32_t *ids, int32_t count)
{
    assert(count <= SIM_REPLICAS_MAX);
    for (int32_t i = 0; i < count; i++)
        to[i] = ids[i];
    return count;
}

/* ---- Logs ---- */

static void log_add(struct replica_log *log, struct sim_record record)
{
    log->records =
        mem_grow(log->records, &log->capacity, (size_t)log->end + 1, sizeof *log->records);
    log->records[log->end++] = record;
}

static void log_cut(struct replica_log *log, int64_t end)
{
    if (end >= log->end)
        return;
    log->end = end;
    if (log->high_watermark > end)
        log->high_watermark = end;
}

/* The greatest epoch of the log that is not above `leader_epoch`, and where it ends. */
static void log_epoch_end(const struct replica_log *log, int32_t leader_epoch, int32_t *ret_epoch,
                          int64_t *ret_end)
{
    int64_t end = log->end;
    while (end > 0 && log->records[end - 1].leader_epoch > leader_epoch)
        end--;
    *ret_epoch = end > 0 ? log->records[end - 1].leader_epoch : -1;
    *ret_end = end;
}

static bool log_has(const struct replica_log *log, int64_t offset, int64_t id)
{
    return offset < log->end && log->records[offset].id == id;
}

/* ---- Promises ---- */

static void check_acknowledged(struct sim_partitions *all, int32_t broker, int32_t topic,
                               int32_t partition)
{
    const struct cell *cell = &all->cells[broker][topic][partition];
    const struct oracle *oracle = &all->oracles[topic][partition];
    if (cell->role != ROLE_LEADER || !uuid_equal(cell->topic_id, oracle->topic_id))
        return;
    for (size_t i = 0; i < oracle->count; i++) {
        const struct acknowledged *item = &oracle->items[i];
        if (item->leader_epoch <= cell->leader_epoch &&
            !log_has(&cell->log, item->offset, item->id))
            world_complain(all->world,
                           "broker %" PRId32 " leads %s-%" PRId32 " in epoch %" PRId32
                           " without the record at %" PRId64 " acknowledged in epoch %" PRId32,
                           broker, all->world->topics[topic], partition, cell->leader_epoch,
                           item->offset, item->leader_epoch);
    }
}

static void check_single_leader(struct sim_partitions *all, int32_t broker, int32_t topic,
                                int32_t partition)
{
    const struct cell *cell = &all->cells[broker][topic][partition];
    for (int32_t other = 0; other < all->world->broker_count; other++) {
        const struct cell *its = &all->cells[other][topic][partition];
        if (other != broker && its->role == ROLE_LEADER &&
            its->leader_epoch == cell->leader_epoch && uuid_equal(its->topic_id, cell->topic_id))
            world_complain(all->world,
                           "brokers %" PRId32 " and %" PRId32 " lead %s-%" PRId32
                           " in the same epoch %" PRId32,
                           broker, other, all->world->topics[topic], partition, cell->leader_epoch);
    }
}

void sim_partition_check_isr(struct sim_partitions *all, int32_t topic, int32_t partition,
                             int32_t leader, int32_t leader_epoch, const int32_t *isr,
                             int32_t count)
{
    if (leader < 0 || leader >= all->world->broker_count)
        return;
    const struct cell *cell = &all->cells[leader][topic][partition];
    if (cell->role != ROLE_LEADER || cell->leader_epoch != leader_epoch ||
        all->oracles[topic][partition].is_given_up)
        return;
    for (int32_t i = 0; i < count; i++) {
        if (isr[i] >= all->world->broker_count)
            continue;
        const struct replica_log *log = &all->cells[isr[i]][topic][partition].log;
        for (int64_t offset = 0; offset < cell->log.high_watermark; offset++) {
            if (log_has(log, offset, cell->log.records[offset].id))
                continue;
            world_complain(all->world,
                           "%" PRId32 " is in the ISR of %s-%" PRId32
                           " without the record at %" PRId64 ", the watermark is %" PRId64,
                           isr[i], all->world->topics[topic], partition, offset,
                           cell->log.high_watermark);
            return;
        }
    }
}

static void acknowledge(struct sim_partitions *all, int32_t topic, int32_t partition,
                        const struct cell *cell, int64_t offset)
{
    struct oracle *oracle = &all->oracles[topic][partition];
    if (!uuid_equal(cell->topic_id, oracle->topic_id) || oracle->is_given_up)
        return;
    oracle->items =
        mem_grow(oracle->items, &oracle->capacity, oracle->count + 1, sizeof *oracle->items);
    oracle->items[oracle->count++] = (struct acknowledged){
        .offset = offset, .id = cell->log.records[offset].id, .leader_epoch = cell->leader_epoch};
    all->acknowledged++;
    TELL(all, topic, partition, "epoch %" PRId32 " acknowledges %" PRId64, cell->leader_epoch,
         offset);
    for (int32_t broker = 0; broker < all->world->broker_count; broker++)
        check_acknowledged(all, broker, topic, partition);
}

/* ---- Leading ---- */

static void answer_producers(struct sim_partitions *all, int32_t topic, int32_t partition,
                             struct cell *cell, int64_t to)
{
    bool is_enough = cell->isr_count >= all->min_isr;
    for (; cell->answered_to < to; cell->answered_to++)
        if (is_enough) /* else NOT_ENOUGH_REPLICAS_AFTER_APPEND */
            acknowledge(all, topic, partition, cell, cell->answered_to);
}

static bool holds_watermark(const struct sim_partitions *all, const struct cell *cell, int32_t id)
{
    if (contains(cell->isr, cell->isr_count, id))
        return true;
    return cell->is_isr_pending && cell->joining == id && !is_mutated(all, MUTATION_COMMITTED_ISR);
}

static void advance(struct sim_partitions *all, int32_t broker, int32_t topic, int32_t partition)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    int64_t to = cell->log.end;
    for (int32_t id = 0; id < all->world->broker_count; id++)
        if (id != broker && holds_watermark(all, cell, id) && cell->ends[id] < to)
            to = cell->ends[id];
    if (to > cell->log.high_watermark) {
        cell->log.high_watermark = to;
        world_check_isr(all->world, topic, partition);
    }
    if (cell->log.high_watermark > cell->answered_to)
        answer_producers(all, topic, partition, cell, cell->log.high_watermark);
}

static void lead(struct sim_partitions *all, int32_t broker, int32_t topic, int32_t partition,
                 const struct sim_role *role, bool was_leader)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    struct oracle *oracle = &all->oracles[topic][partition];
    cell->role = ROLE_LEADER;
    cell->isr_count = copy_ids(cell->isr, role->isr, role->isr_count);
    if (!uuid_equal(oracle->topic_id, role->topic_id)) {
        oracle->topic_id = role->topic_id;
        oracle->is_given_up = false;
        oracle->count = 0;
    }
    if (!was_leader) {
        cell->answered_to = cell->log.end;
        for (int32_t id = 0; id < WORLD_BROKERS_MAX; id++)
            cell->ends[id] = UNKNOWN_END;
    }
    cell->epoch_start = cell->log.end;
    check_single_leader(all, broker, topic, partition);
    check_acknowledged(all, broker, topic, partition);
    advance(all, broker, topic, partition);
}

void sim_partition_role(struct sim_partitions *all, int32_t broker, int32_t topic,
                        int32_t partition, const struct sim_role *role)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    bool was_leader = cell->role == ROLE_LEADER;
    TELL(all, topic, partition,
         "broker %" PRId32 " takes epoch %" PRId32 " of leader %" PRId32 " version %" PRId32
         ", has %" PRId64 " records, watermark %" PRId64,
         broker, role->leader_epoch, role->leader, role->partition_epoch, cell->log.end,
         cell->log.high_watermark);
    if (cell->role != ROLE_NONE && uuid_equal(cell->topic_id, role->topic_id) &&
        role->leader_epoch < cell->leader_epoch)
        world_complain(all->world, "broker %" PRId32 " was taken back to epoch %" PRId32, broker,
                       role->leader_epoch);
    if (!uuid_equal(cell->log.topic_id, role->topic_id)) {
        sim_partition_delete(all, broker, topic, partition);
        cell->log.topic_id = role->topic_id;
        was_leader = false;
    }
    cell->topic_id = role->topic_id;
    cell->leader = role->leader;
    cell->leader_epoch = role->leader_epoch;
    cell->partition_epoch = role->partition_epoch;
    cell->replicas_count = copy_ids(cell->replicas, role->replicas, role->replicas_count);
    cell->is_isr_pending = false;
    cell->is_isr_asked = false;
    cell->joining = NOBODY;
    cell->is_fetching = false;
    if (role->leader == broker)
        lead(all, broker, topic, partition, role, was_leader);
    else
        cell->role = ROLE_FOLLOWER;
    if (is_mutated(all, MUTATION_CUT_AT_WATERMARK) && role->leader != broker)
        log_cut(&cell->log, cell->log.high_watermark);
}

void sim_partition_delete(struct sim_partitions *all, int32_t broker, int32_t topic,
                          int32_t partition)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    TELL(all, topic, partition, "broker %" PRId32 " deletes %" PRId64 " records", broker,
         cell->log.end);
    free(cell->log.records);
    *cell = (struct cell){0};
}

void sim_topic_given_up(struct sim_partitions *all, int32_t topic)
{
    for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
        all->oracles[topic][p].is_given_up = true;
        all->oracles[topic][p].count = 0;
    }
}

void sim_partitions_crash(struct sim_partitions *all, int32_t broker)
{
    for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++) {
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
            struct cell *cell = &all->cells[broker][t][p];
            *cell = (struct cell){.log = cell->log};
            if (cell->log.high_watermark > 0) /* the checkpoint is a little old */
                cell->log.high_watermark -=
                    world_random(all->world, (uint32_t)cell->log.high_watermark);
        }
    }
    list_for_each (&all->asked, node) {
        struct asking *asking = list_entry(node, struct asking, node);
        asking->is_lost = asking->is_lost || asking->from == broker;
    }
}

/* ---- Producers ---- */

static bool produce(struct sim_partitions *all, int32_t broker, int32_t topic, int32_t partition)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    if (cell->role != ROLE_LEADER || cell->isr_count < all->min_isr)
        return false;
    log_add(&cell->log, (struct sim_record){cell->leader_epoch, ++all->next_id});
    if (is_mutated(all, MUTATION_EARLY_ACK))
        answer_producers(all, topic, partition, cell, cell->log.end);
    advance(all, broker, topic, partition);
    return true;
}

/* ---- The ISR ---- */

static void wish(struct cell *cell, const int32_t *isr, int32_t count, int32_t joining)
{
    cell->wished_count = copy_ids(cell->wished, isr, count);
    cell->is_isr_pending = true;
    cell->joining = joining;
}

static void maybe_join(struct sim_partitions *all, struct cell *cell, int32_t id)
{
    bool has_all = cell->ends[id] >= cell->log.high_watermark &&
                   cell->ends[id] >= cell->epoch_start && cell->ends[id] >= 0;
    if (cell->is_isr_pending || contains(cell->isr, cell->isr_count, id) ||
        !contains(cell->replicas, cell->replicas_count, id) ||
        !(has_all || is_mutated(all, MUTATION_ANYONE_JOINS)))
        return;
    int32_t isr[SIM_REPLICAS_MAX];
    int32_t count = copy_ids(isr, cell->isr, cell->isr_count);
    if (count == SIM_REPLICAS_MAX)
        return;
    isr[count++] = id;
    wish(cell, isr, count, id);
}

/* Somebody who is behind lags, by the leader's clock. */
static bool maybe_shrink(struct sim_partitions *all, int32_t broker, struct cell *cell)
{
    int32_t isr[SIM_REPLICAS_MAX], count = 0;
    for (int32_t i = 0; i < cell->isr_count; i++)
        if (cell->isr[i] == broker || cell->ends[cell->isr[i]] == cell->log.end)
            isr[count++] = cell->isr[i];
    if (cell->role != ROLE_LEADER || cell->is_isr_pending || count == cell->isr_count)
        return false;
    (void)all;
    wish(cell, isr, count, NOBODY);
    return true;
}

static bool ask(struct sim_partitions *all, int32_t broker, int32_t topic, int32_t partition)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    if (cell->role != ROLE_LEADER || !cell->is_isr_pending || cell->is_isr_asked)
        return false;
    struct asking *asking = mem_new(struct asking);
    *asking = (struct asking){.from = broker, .topic = topic, .partition = partition};
    asking->wish = (struct world_isr_wish){.broker_id = broker,
                                           .broker_epoch = all->world->brokers[broker].broker_epoch,
                                           .topic = all->world->topics[topic],
                                           .topic_id = cell->topic_id,
                                           .partition = partition,
                                           .leader_epoch = cell->leader_epoch,
                                           .partition_epoch = cell->partition_epoch,
                                           .api_version = 3};
    asking->wish.isr_count = copy_ids(asking->wish.isr, cell->wished, cell->wished_count);
    cell->is_isr_asked = true;
    list_push_back(&all->asked, &asking->node);
    return true;
}

static bool is_asked_by(const struct cell *cell, const struct asking *asking)
{
    return cell->role == ROLE_LEADER && cell->is_isr_asked &&
           cell->leader_epoch == asking->wish.leader_epoch &&
           cell->partition_epoch == asking->wish.partition_epoch &&
           uuid_equal(cell->topic_id, asking->wish.topic_id);
}

static void take_isr(struct sim_partitions *all, const struct asking *asking)
{
    struct cell *cell = &all->cells[asking->from][asking->topic][asking->partition];
    const struct world_isr *answer = &asking->answer;
    if (!is_asked_by(cell, asking))
        return; /* a LeaderAndIsr came in between */
    enum err e = err_from_wire(answer->error);
    TELL(all, asking->topic, asking->partition,
         "broker %" PRId32 " is answered %s, ISR of %" PRId32, asking->from, err_name(e),
         answer->isr_count);
    switch (e) {
    case ERR_OK:
        if (answer->leader_epoch != cell->leader_epoch ||
            answer->partition_epoch < cell->partition_epoch)
            return;
        cell->isr_count = copy_ids(cell->isr, answer->isr, answer->isr_count);
        cell->partition_epoch = answer->partition_epoch;
        cell->is_isr_pending = cell->is_isr_asked = false;
        advance(all, asking->from, asking->topic, asking->partition);
        return;
    case ERR_INELIGIBLE_REPLICA:
    case ERR_OPERATION_NOT_ATTEMPTED:
        cell->is_isr_pending = cell->is_isr_asked = false;
        return;
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
    case ERR_UNKNOWN_TOPIC_ID:
    case ERR_FENCED_LEADER_EPOCH:
    case ERR_INVALID_UPDATE_VERSION:
    case ERR_INVALID_REQUEST:
        return; /* pending until the LeaderAndIsr that must follow */
    default:
        cell->is_isr_asked = false; /* again */
        return;
    }
}

/* It was not answered, as far as its sender knows. */
static void asking_lost(struct sim_partitions *all, struct asking *asking)
{
    struct cell *cell = &all->cells[asking->from][asking->topic][asking->partition];
    if (!asking->is_lost && is_asked_by(cell, asking))
        cell->is_isr_asked = false;
    asking->is_lost = true;
}

static void asking_free(struct asking *asking)
{
    list_remove(&asking->node);
    free(asking);
}

static bool carry_asking(struct sim_partitions *all, struct asking *asking, bool is_lossy)
{
    if (is_lossy)
        asking_lost(all, asking);
    if (!asking->is_sent && asking->is_lost) {
        asking_free(asking);
        return true;
    }
    if (!asking->is_sent) {
        int32_t to = all->world->brokers[asking->from].controller_id;
        if (all->world->brokers[to].paused)
            return true;
        asking->is_sent = all->world->brokers[to].accepting &&
                          world_alter_partition(all->world, to, &asking->wish, &asking->answer);
        if (!asking->is_sent) {
            asking_lost(all, asking);
            asking_free(asking);
        }
        return true;
    }
    if (asking->answer.error == WORLD_PENDING)
        return is_lossy;
    if (!asking->is_lost)
        take_isr(all, asking);
    asking_free(asking);
    return true;
}

/* ---- Followers ---- */

static bool begin_fetch(struct sim_partitions *all, int32_t broker, int32_t topic,
                        int32_t partition)
{
    struct cell *cell = &all->cells[broker][topic][partition];
    if (cell->role != ROLE_FOLLOWER || cell->is_fetching || cell->leader < 0 ||
        cell->leader >= all->world->broker_count)
        return false;
    struct fetch *fetch = mem_new(struct fetch);
    *fetch = (struct fetch){.from = broker,
                            .to = cell->leader,
                            .topic = topic,
                            .partition = partition,
                            .leader_epoch = cell->leader_epoch,
                            .offset = cell->log.end,
                            .last_epoch = -1};
    if (cell->log.end > 0)
        fetch->last_epoch = cell->log.records[cell->log.end - 1].leader_epoch;
    cell->is_fetching = true;
    all->fetch_count++;
    list_push_back(&all->fetches, &fetch->node);
    return true;
}

static void serve(struct sim_partitions *all, struct fetch *fetch)
{
    struct cell *cell = &all->cells[fetch->to][fetch->topic][fetch->partition];
    fetch->is_answered = true;
    fetch->failed = cell->role != ROLE_LEADER || cell->leader_epoch != fetch->leader_epoch ||
                    !contains(cell->replicas, cell->replicas_count, fetch->from);
    if (fetch->failed)
        return;
    if (fetch->offset > 0 && !is_mutated(all, MUTATION_NO_TRUNCATION)) {
        log_epoch_end(&cell->log, fetch->last_epoch, &fetch->diverging_epoch,
                      &fetch->diverging_end);
        fetch->diverges =
            fetch->diverging_epoch < fetch->last_epoch || fetch->diverging_end < fetch->offset;
        if (fetch->diverges)
            return;
    }
    cell->ends[fetch->from] = fetch->offset;
    maybe_join(all, cell, fetch->from);
    advance(all, fetch->to, fetch->topic, fetch->partition);
    for (int64_t at = fetch->offset; at < cell->log.end && fetch->count < SIM_FETCH_MAX; at++)
        fetch->records[fetch->count++] = cell->log.records[at];
    fetch->high_watermark = cell->log.high_watermark;
}

static void take_records(struct sim_partitions *all, const struct fetch *fetch)
{
    struct cell *cell = &all->cells[fetch->from][fetch->topic][fetch->partition];
    if (cell->role != ROLE_FOLLOWER || !cell->is_fetching ||
        cell->leader_epoch != fetch->leader_epoch || cell->log.end != fetch->offset)
        return;
    cell->is_fetching = false;
    if (fetch->failed)
        return;
    if (fetch->diverges) {
        int32_t own_epoch;
        int64_t own_end;
        log_epoch_end(&cell->log, fetch->diverging_epoch, &own_epoch, &own_end);
        TELL(all, fetch->topic, fetch->partition,
             "broker %" PRId32 " cuts from %" PRId64 " to %" PRId64, fetch->from, cell->log.end,
             own_end < fetch->diverging_end ? own_end : fetch->diverging_end);
        log_cut(&cell->log, own_end < fetch->diverging_end ? own_end : fetch->diverging_end);
        return;
    }
    for (int32_t i = 0; i < fetch->count; i++)
        log_add(&cell->log, fetch->records[i]);
    int64_t to = fetch->high_watermark < cell->log.end ? fetch->high_watermark : cell->log.end;
    if (to > cell->log.high_watermark)
        cell->log.high_watermark = to;
}

static void fetch_free(struct sim_partitions *all, struct fetch *fetch)
{
    list_remove(&fetch->node);
    all->fetch_count--;
    free(fetch);
}

static void carry_fetch(struct sim_partitions *all, struct fetch *fetch, bool is_lossy)
{
    struct world_broker *to = &all->world->brokers[fetch->to];
    struct cell *cell = &all->cells[fetch->from][fetch->topic][fetch->partition];
    bool is_stopped = fetch->is_answered ? all->world->brokers[fetch->from].paused : to->paused;
    if (is_stopped && !is_lossy)
        return;
    if (is_lossy || (!fetch->is_answered && !to->accepting)) {
        if (cell->leader_epoch == fetch->leader_epoch)
            cell->is_fetching = false;
        fetch_free(all, fetch);
    } else if (!fetch->is_answered) {
        serve(all, fetch);
    } else {
        take_records(all, fetch);
        fetch_free(all, fetch);
    }
}

/* ---- Steps ---- */

static struct list_node *pick(struct world *world, struct list_node *list)
{
    int32_t count = 0;
    list_for_each (list, counted)
        count++;
    if (count == 0)
        return NULL;
    int32_t at = (int32_t)world_random(world, (uint32_t)count);
    struct list_node *node = list->next;
    while (at-- > 0)
        node = node->next;
    return node;
}

static bool act(struct sim_partitions *all, int32_t broker, int32_t topic, int32_t partition,
                uint32_t what, bool has_faults)
{
    if (!all->world->brokers[broker].up || all->world->brokers[broker].paused)
        return false;
    switch (what) {
    case 0:
        return produce(all, broker, topic, partition);
    case 1:
        return has_faults && maybe_shrink(all, broker, &all->cells[broker][topic][partition]);
    case 2:
    case 3:
        return ask(all, broker, topic, partition);
    default:
        return begin_fetch(all, broker, topic, partition);
    }
}

void sim_partitions_step(struct sim_partitions *all, bool has_faults)
{
    struct world *world = all->world;
    bool is_lossy = has_faults && world_random(world, LOSS_ONE_IN) == 0;
    struct list_node *node;
    switch (world_random(world, 4)) {
    case 0:
        if ((node = pick(world, &all->fetches)))
            carry_fetch(all, list_entry(node, struct fetch, node), is_lossy);
        return;
    case 1:
        if ((node = pick(world, &all->asked)))
            carry_asking(all, list_entry(node, struct asking, node), is_lossy);
        return;
    default:
        for (int32_t i = 0; i < PICKS_MAX; i++) {
            int32_t broker = (int32_t)world_random(world, (uint32_t)world->broker_count);
            int32_t topic = (int32_t)world_random(world, WORLD_TOPICS_MAX);
            int32_t partition = (int32_t)world_random(world, WORLD_PARTITIONS_MAX);
            if (all->cells[broker][topic][partition].role != ROLE_NONE &&
                act(all, broker, topic, partition, world_random(world, 8), has_faults))
                return;
        }
    }
}

/* ---- The end of a run ---- */

static void settle_round(struct sim_partitions *all)
{
    for (int32_t b = 0; b < all->world->broker_count; b++)
        for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++)
            for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
                begin_fetch(all, b, t, p);
                ask(all, b, t, p);
            }
    for (int phase = 0; phase < 2; phase++) {
        struct list_node *next;
        for (struct list_node *n = all->fetches.next; n != &all->fetches; n = next) {
            next = n->next;
            carry_fetch(all, list_entry(n, struct fetch, node), false);
        }
        for (struct list_node *n = all->asked.next; n != &all->asked; n = next) {
            next = n->next;
            carry_asking(all, list_entry(n, struct asking, node), false);
        }
        while (!all->world->complaint[0] && world_step(all->world))
            continue;
    }
}

/* Where it is not as it should be in the end; NULL: all well. */
static const char *unsettled(struct sim_partitions *all, int32_t topic, int32_t partition)
{
    int32_t leader = world_leader(all->world, all->world->topics[topic], partition);
    if (leader < 0)
        return leader == -2 ? NULL : "has no leader";
    const struct cell *cell = &all->cells[leader][topic][partition];
    if (cell->role != ROLE_LEADER)
        return "is not led by its leader";
    if (cell->isr_count != cell->replicas_count)
        return "does not get all replicas into its ISR";
    if (cell->log.high_watermark != cell->log.end)
        return "does not commit all records";
    for (int32_t i = 0; i < cell->replicas_count; i++) {
        const struct replica_log *log = &all->cells[cell->replicas[i]][topic][partition].log;
        if (log->end != cell->log.end)
            return "has a replica that stays behind";
        for (int64_t at = 0; at < log->end; at++)
            if (log->records[at].id != cell->log.records[at].id)
                return "has replicas that differ";
    }
    check_acknowledged(all, leader, topic, partition);
    return NULL;
}

bool sim_partitions_settle(struct sim_partitions *all)
{
    struct world *world = all->world;
    const char *what = NULL;
    for (int32_t i = 0; i < SETTLE_ROUNDS && !world->complaint[0]; i++) {
        settle_round(all);
        what = NULL;
        for (int32_t t = 0; t < WORLD_TOPICS_MAX && world->topics[t][0]; t++)
            for (int32_t p = 0; p < WORLD_PARTITIONS_MAX && !what; p++)
                if ((what = unsettled(all, t, p)) && i + 1 == SETTLE_ROUNDS)
                    world_complain(world, "at the end: %s-%" PRId32 " %s", world->topics[t], p,
                                   what);
        if (!what)
            break;
    }
    return !world->complaint[0];
}

/* ---- Birth and death ---- */

struct sim_partitions *sim_partitions_new(struct world *world)
{
    struct sim_partitions *all = mem_new(struct sim_partitions);
    all->world = world;
    all->min_isr = 1 + (int32_t)world_random(world, 2);
    list_init(&all->fetches);
    list_init(&all->asked);
    return all;
}

/* After the controllers: they answer what is asked of them to the last. */
void sim_partitions_free(struct sim_partitions *all)
{
    if (!all)
        return;
    struct list_node *node;
    while ((node = list_pop_front(&all->fetches)))
        free(list_entry(node, struct fetch, node));
    while ((node = list_pop_front(&all->asked)))
        free(list_entry(node, struct asking, node));
    for (int32_t t = 0; t < WORLD_TOPICS_MAX; t++) {
        for (int32_t p = 0; p < WORLD_PARTITIONS_MAX; p++) {
            free(all->oracles[t][p].items);
            for (int32_t b = 0; b < WORLD_BROKERS_MAX; b++)
                free(all->cells[b][t][p].log.records);
        }
    }
    free(all);
}

int64_t sim_partitions_acknowledged(const struct sim_partitions *all)
{
    return all->acknowledged;
}
