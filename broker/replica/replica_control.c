/* What the controller asks: LeaderAndIsr and StopReplica (zookeeper-and-controller.md §6.1 to 6.3
 * has the rules; KIP-380 the broker epoch, KIP-516 the topic ids). All of it runs on the control
 * thread, one request at a time. */
#include "broker/replica/replica_manager_internal.h"

#include "broker/base/trace.h"
#include "broker/replica/partition_internal.h"

/* StopReplica may carry these instead of a leader epoch: the topic is being deleted; the sender is
 * old. */
#define EPOCH_DURING_DELETE (-2)
#define NO_EPOCH            (-1)

enum err replica_manager_judge_controller(struct replica_manager *manager, int32_t controller_epoch,
                                          int64_t broker_epoch, bool is_kraft)
{
    int64_t own_epoch = manager->options.broker_epoch(manager->options.context);
    if (broker_epoch != -1 && broker_epoch < own_epoch)
        return ERR_STALE_BROKER_EPOCH;
    if (controller_epoch < manager->controller_epoch)
        return ERR_STALE_CONTROLLER_EPOCH;
    if (is_kraft)
        return err_note(ERR_INVALID_REQUEST,
                        "the request is of a KRaft controller; this cluster uses ZooKeeper");
    manager->controller_epoch = controller_epoch;
    return ERR_OK;
}

/* --- LeaderAndIsr --- */

static struct partition_assignment
assignment_of(const struct leader_and_isr_request_leader_and_isr_partition_state *state,
              struct uuid topic_id)
{
    return (struct partition_assignment){
        .topic_id = topic_id,
        .controller_epoch = state->controller_epoch,
        .leader = state->leader,
        .leader_epoch = state->leader_epoch,
        .partition_epoch = state->partition_epoch,
        .isr = state->isr,
        .isr_count = state->isr_count,
        .replicas = state->replicas,
        .replicas_count = state->replicas_count,
        .adding = state->adding_replicas,
        .adding_count = state->adding_replicas_count,
        .removing = state->removing_replicas,
        .removing_count = state->removing_replicas_count,
        .recovery_state = state->leader_recovery_state,
        .is_new = state->is_new,
    };
}

static bool any_dir_is_offline(struct log_manager *logs)
{
    for (int i = 0; i < log_manager_dirs_count(logs); i++) {
        struct log_dir_view view;
        log_manager_dir_view(logs, i, &view);
        if (!view.is_online)
            return true;
    }
    return false;
}

/* A log that has lost its topic's id (a power cut tore the file, or took its deletion back) is not
 * that of a partition which is new here, and its records must not come to life there. */
static bool is_left_over(struct log *log, const struct partition_assignment *assignment)
{
    return assignment->is_new && !uuid_is_zero(assignment->topic_id) &&
           uuid_is_zero(log_topic_id(log)) && log_end_offset(log) > 0;
}

static enum err make_anew(struct log_manager *logs, const char *topic, int32_t id,
                          struct uuid topic_id, struct log **ret)
{
    trace_warn("a log without a topic id is in the place of a new replica and is deleted topic=%s "
               "partition=%d",
               topic, id);
    enum err e = log_manager_delete(logs, topic, id);
    return e ? e : log_manager_create(logs, topic, id, topic_id, ret);
}

/* The partition's log, opened or made. A partition that is not new is not made anew while a
 * directory is away: its data may be there. */
static enum err find_log(struct replica_manager *manager, struct partition *partition,
                         const struct partition_assignment *assignment, struct log **ret)
{
    struct log_manager *logs = manager->options.log_manager;
    const char *topic = partition_topic(partition);
    int32_t id = partition_id(partition);
    bool is_offline = false;
    struct log *log = log_manager_get(logs, topic, id, &is_offline);
    if (is_offline)
        return ERR_KAFKA_STORAGE_ERROR;
    if (log && !partition_log(partition) && is_left_over(log, assignment))
        return make_anew(logs, topic, id, assignment->topic_id, ret);
    if (log) {
        *ret = log;
        return uuid_is_zero(assignment->topic_id) ? ERR_OK
                                                  : log_set_topic_id(log, assignment->topic_id);
    }
    if (!assignment->is_new && any_dir_is_offline(logs))
        return err_note(ERR_KAFKA_STORAGE_ERROR, "%s-%d is not new and a log directory is offline",
                        topic, id);
    return log_manager_create(logs, topic, id, assignment->topic_id, ret);
}

static bool does_without_us(const struct replica_manager *manager,
                            const struct partition_assignment *assignment)
{
    return !ids_contain(assignment->isr, assignment->isr_count, manager->options.broker_id);
}

static enum err take_role(struct replica_manager *manager, struct partition *partition,
                          const struct partition_assignment *assignment)
{
    struct log *log = NULL;
    enum err e = find_log(manager, partition, assignment, &log);
    if (e)
        return e;
    const char *topic = partition_topic(partition);
    int64_t high_watermark = log_manager_checkpointed_high_watermark(
        manager->options.log_manager, topic, partition_id(partition));
    if (assignment->leader == manager->options.broker_id) {
        replica_unfollow(manager, partition);
        return partition_lead(
            partition, assignment, log, high_watermark,
            manager->options.min_insync_replicas(manager->options.context, topic));
    }
    /* Nobody leads: as the JVM broker, a leader that the controller believes dead goes on until
     * somebody takes its place. It is alive, and will be leader again as soon as it is registered.
     */
    if (assignment->leader < 0 && partition_role(partition) == ROLE_LEADER)
        return ERR_OK;
    partition_follow(partition, assignment, log, high_watermark);
    if (atomic_load(&manager->is_leaving) && does_without_us(manager, assignment))
        partition_stop(partition);
    if (assignment->leader >= 0 && manager->fetchers.follow && !partition_is_stopped(partition))
        manager->fetchers.follow(manager->fetchers.context, partition, assignment->leader,
                                 assignment->leader_epoch);
    else
        replica_unfollow(manager, partition);
    return ERR_OK;
}

/* What the client is told of a role that could not be taken. */
static enum err role_error(enum err e)
{
    switch (e) {
    case ERR_INCONSISTENT_TOPIC_ID:
    case ERR_STALE_CONTROLLER_EPOCH:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        return e;
    default:
        return ERR_KAFKA_STORAGE_ERROR;
    }
}

static enum err
apply_state(struct replica_manager *manager, struct slice topic, struct uuid topic_id,
            const struct leader_and_isr_request_leader_and_isr_partition_state *state)
{
    if (topic.size == 0 || topic.size > TOPIC_NAME_MAX || state->partition_index < 0)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition_assignment assignment = assignment_of(state, topic_id);
    struct partition *partition =
        replica_manager_get_or_make(manager, topic, state->partition_index, UUID_ZERO);
    bool is_id_only;
    enum err e = partition_judge_assignment(partition, &assignment, &is_id_only);
    if (!e && is_id_only) {
        struct log *log = partition_log(partition);
        e = log ? log_set_topic_id(log, topic_id) : ERR_OK;
        if (!e)
            partition_set_topic_id(partition, topic_id);
    } else if (!e) {
        e = take_role(manager, partition, &assignment);
    }
    bool is_known = state->leader_epoch == partition_leader_epoch(partition);
    if (e == ERR_STALE_CONTROLLER_EPOCH && is_known) { /* as each new controller tells it */
        trace_debug("role known already topic=%.*s partition=%d leader_epoch=%d", SLICE_ARG(topic),
                    state->partition_index, state->leader_epoch);
        e = role_error(e);
    } else if (e) {
        trace_warn("no role taken topic=%.*s partition=%d leader=%d leader_epoch=%d error=%s: %s",
                   SLICE_ARG(topic), state->partition_index, state->leader, state->leader_epoch,
                   err_name(e), err_sentence(e));
        if (!partition_log(partition) && partition_role(partition) == ROLE_NONE)
            replica_manager_remove(manager, topic, state->partition_index);
        e = role_error(e);
    } else {
        atomic_store(&manager->has_roles, true);
    }
    partition_unref(partition);
    return e;
}

/* One error a partition: the same for all where the request as a whole is refused. */
static struct leader_and_isr_response_leader_and_isr_partition_error *
answer_topic(struct replica_manager *manager, enum err refusal, struct slice topic,
             struct uuid topic_id,
             const struct leader_and_isr_request_leader_and_isr_partition_state *states,
             int32_t count, struct leader_and_isr_response_leader_and_isr_partition_error *errors)
{
    for (int32_t i = 0; i < count; i++, errors++) {
        struct slice name = topic.data ? topic : states[i].topic_name;
        enum err e = refusal ? refusal : apply_state(manager, name, topic_id, &states[i]);
        errors->topic_name = name;
        errors->partition_index = states[i].partition_index;
        errors->error_code = err_wire_code(e);
    }
    return errors;
}

static int32_t count_states(const struct leader_and_isr_request *request)
{
    int32_t count = request->ungrouped_partition_states_count > 0
                        ? request->ungrouped_partition_states_count
                        : 0;
    for (int32_t t = 0; t < request->topic_states_count; t++)
        count += request->topic_states[t].partition_states_count;
    return count;
}

void replica_manager_leader_and_isr(struct replica_manager *manager,
                                    const struct leader_and_isr_request *request,
                                    int16_t api_version, struct arena *arena,
                                    struct leader_and_isr_response *ret)
{
    leader_and_isr_response_init(ret);
    enum err refusal = replica_manager_judge_controller(
        manager, request->controller_epoch, request->broker_epoch, request->is_k_raft_controller);
    if (refusal)
        trace_warn(
            "LeaderAndIsr refused controller=%d controller_epoch=%d broker_epoch=%lld error=%s",
            request->controller_id, request->controller_epoch, (long long)request->broker_epoch,
            err_name(refusal));
    ret->error_code = err_wire_code(refusal);

    int32_t count = count_states(request);
    struct leader_and_isr_response_leader_and_isr_partition_error *errors = arena_new_array(
        arena, struct leader_and_isr_response_leader_and_isr_partition_error, count + 1);
    struct leader_and_isr_response_leader_and_isr_partition_error *next = errors;
    if (request->ungrouped_partition_states_count > 0)
        next = answer_topic(manager, refusal, SLICE_NULL, UUID_ZERO,
                            request->ungrouped_partition_states,
                            request->ungrouped_partition_states_count, next);
    int32_t topics = request->topic_states_count > 0 ? request->topic_states_count : 0;
    if (api_version >= 5) {
        ret->topics = arena_new_array(
            arena, struct leader_and_isr_response_leader_and_isr_topic_error, topics + 1);
        ret->topics_count = topics;
    }
    for (int32_t t = 0; t < topics; t++) {
        const struct leader_and_isr_request_leader_and_isr_topic_state *topic =
            &request->topic_states[t];
        struct leader_and_isr_response_leader_and_isr_partition_error *first = next;
        next = answer_topic(manager, refusal, topic->topic_name, topic->topic_id,
                            topic->partition_states, topic->partition_states_count, next);
        if (api_version < 5)
            continue;
        ret->topics[t].topic_id = topic->topic_id;
        ret->topics[t].partition_errors = first;
        ret->topics[t].partition_errors_count = (int32_t)(next - first);
        for (struct leader_and_isr_response_leader_and_isr_partition_error *error = first;
             error < next; error++)
            error->topic_name = SLICE_LITERAL("");
    }
    if (api_version < 5) {
        ret->partition_errors = errors;
        ret->partition_errors_count = count;
    }
}

/* --- StopReplica --- */

static enum err stop_partition(struct replica_manager *manager, struct slice topic, int32_t index,
                               int32_t leader_epoch, bool is_delete)
{
    if (topic.size == 0 || topic.size > TOPIC_NAME_MAX)
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    struct partition *partition = replica_manager_get(manager, topic, index);
    if (partition) {
        enum role role = partition_role(partition);
        int32_t own_epoch = partition_leader_epoch(partition);
        bool is_old = leader_epoch >= 0 && leader_epoch < own_epoch;
        if (role == ROLE_OFFLINE || is_old) {
            enum err e = is_old ? ERR_FENCED_LEADER_EPOCH : ERR_KAFKA_STORAGE_ERROR;
            trace_warn("replica not stopped topic=%.*s partition=%d leader_epoch=%d own_epoch=%d "
                       "error=%s",
                       SLICE_ARG(topic), index, leader_epoch, own_epoch, err_name(e));
            partition_unref(partition);
            return e;
        }
    }
    enum err e = ERR_OK;
    if (partition) {
        replica_unfollow(manager, partition);
        partition_stop(partition);
    }
    if (partition && is_delete) {
        partition_retire(partition, false);
        replica_manager_remove(manager, topic, index);
    }
    partition_unref(partition);
    if (is_delete) {
        OWNED_MEM char *name = slice_dup(topic);
        e = log_manager_delete(manager->options.log_manager, name, index);
        if (e == ERR_NOT_FOUND)
            e = ERR_OK;
        if (e)
            trace_error("replica not deleted topic=%s partition=%d: %s", name, index,
                        err_sentence(e));
    }
    return e;
}

static void add_stop(struct replica_manager *manager, struct stop_replica_response *ret,
                     struct slice topic, int32_t index, int32_t leader_epoch, bool is_delete)
{
    struct stop_replica_response_stop_replica_partition_error *error =
        &ret->partition_errors[ret->partition_errors_count++];
    error->topic_name = topic;
    error->partition_index = index;
    error->error_code =
        err_wire_code(stop_partition(manager, topic, index, leader_epoch, is_delete));
}

/* The controller forgets what it is told is deleted. */
static void settle_deletions(struct replica_manager *manager, struct stop_replica_response *ret)
{
    enum err e = log_manager_settle_deletions(manager->options.log_manager);
    if (!e)
        return;
    trace_error("replicas not deleted for good: %s", err_sentence(e));
    for (int32_t i = 0; i < ret->partition_errors_count; i++) {
        struct stop_replica_response_stop_replica_partition_error *error =
            &ret->partition_errors[i];
        if (error->error_code == 0)
            error->error_code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
    }
}

static int32_t count_stops(const struct stop_replica_request *request)
{
    int32_t count =
        request->ungrouped_partitions_count > 0 ? request->ungrouped_partitions_count : 0;
    for (int32_t t = 0; t < request->topics_count; t++)
        count += request->topics[t].partition_indexes_count;
    for (int32_t t = 0; t < request->topic_states_count; t++)
        count += request->topic_states[t].partition_states_count;
    return count;
}

void replica_manager_stop_replica(struct replica_manager *manager,
                                  const struct stop_replica_request *request, int16_t api_version,
                                  struct arena *arena, struct stop_replica_response *ret)
{
    (void)api_version;
    stop_replica_response_init(ret);
    enum err refusal = replica_manager_judge_controller(
        manager, request->controller_epoch, request->broker_epoch, request->is_k_raft_controller);
    ret->error_code = err_wire_code(refusal);
    if (refusal) {
        trace_warn(
            "StopReplica refused controller=%d controller_epoch=%d broker_epoch=%lld error=%s",
            request->controller_id, request->controller_epoch, (long long)request->broker_epoch,
            err_name(refusal));
        return;
    }
    ret->partition_errors = arena_new_array(
        arena, struct stop_replica_response_stop_replica_partition_error, count_stops(request) + 1);
    for (int32_t i = 0; i < request->ungrouped_partitions_count; i++)
        add_stop(manager, ret, request->ungrouped_partitions[i].topic_name,
                 request->ungrouped_partitions[i].partition_index, NO_EPOCH,
                 request->delete_partitions);
    for (int32_t t = 0; t < request->topics_count; t++)
        for (int32_t i = 0; i < request->topics[t].partition_indexes_count; i++)
            add_stop(manager, ret, request->topics[t].name, request->topics[t].partition_indexes[i],
                     NO_EPOCH, request->delete_partitions);
    for (int32_t t = 0; t < request->topic_states_count; t++) {
        const struct stop_replica_request_stop_replica_topic_state *topic =
            &request->topic_states[t];
        for (int32_t i = 0; i < topic->partition_states_count; i++)
            add_stop(manager, ret, topic->topic_name, topic->partition_states[i].partition_index,
                     topic->partition_states[i].leader_epoch,
                     topic->partition_states[i].delete_partition);
    }
    settle_deletions(manager, ret);
    static_assert(EPOCH_DURING_DELETE < 0 && NO_EPOCH < 0, "neither is compared with our epoch");
}
