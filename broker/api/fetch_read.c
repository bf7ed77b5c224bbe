/* Reads the partitions of a fetch in turn: the first that has something may exceed the limits by
 * one batch, so that a client whose limits are small still gets on (KIP-74); the rest share what is
 * left. */
#include "broker/api/fetch_read.h"

#include "broker/api/fetch_convert.h"
#include "broker/api/fetch_rack.h"

static int32_t replica_of(const struct fetch_request *message, int16_t api_version)
{
    return api_version >= 15 ? message->replica_state.replica_id : message->replica_id;
}

static int8_t newest_magic_of(int16_t api_version)
{
    return api_version <= 1 ? 0 : api_version <= 3 ? 1 : 2;
}

static void resolve(struct fetch_part *part, struct broker *broker, struct arena *arena, bool by_id)
{
    part->topic = part->asked->topic;
    if (by_id && slice_is_null(part->topic)) {
        const char *name =
            metadata_topic_name(broker->metadata_cache, part->asked->topic_id, arena);
        part->topic = slice_str(name);
        if (!name) {
            part->is_unresolved = true;
            part->error = ERR_UNKNOWN_TOPIC_ID;
            return;
        }
        fetch_session_remember_name(part->asked, part->topic);
    }
    part->error = replica_manager_find(broker->replica_manager, part->topic, part->asked->partition,
                                       &part->partition);
    part->is_unresolved = part->error == ERR_UNKNOWN_TOPIC_OR_PARTITION;
}

enum err fetch_wait_init(struct fetch_wait *wait, struct request *request)
{
    const struct fetch_request *message = request->message;
    struct broker *broker = request->broker;
    wait->request = request;
    wait->replica_id = replica_of(message, request->api_version);
    wait->newest_magic = newest_magic_of(request->api_version);
    wait->max_bytes = request->api_version >= 3 ? message->max_bytes : INT32_MAX;
    if (wait->max_bytes > broker->config->fetch_max_bytes)
        wait->max_bytes = broker->config->fetch_max_bytes;
    wait->min_bytes = message->min_bytes < wait->max_bytes ? message->min_bytes : wait->max_bytes;
    enum err e = fetch_sessions_begin(broker->fetch_sessions, message, request->api_version,
                                      wait->replica_id >= 0, request->arena, &wait->context);
    if (e)
        return e;
    wait->parts_count = wait->context.partitions_count;
    wait->parts = arena_new_array(request->arena, struct fetch_part, wait->parts_count + 1);
    for (int32_t i = 0; i < wait->parts_count; i++) {
        wait->parts[i].asked = &wait->context.partitions[i];
        wait->parts[i].wait = wait;
        resolve(&wait->parts[i], broker, request->arena, request->api_version >= 13);
    }
    return ERR_OK;
}

/* --- reading --- */

static void release(struct fetch_part *part)
{
    if (part->result.slice.file)
        log_file_unref(part->result.slice.file);
    part->result.slice.file = NULL;
    part->is_converted = false;
}

void fetch_read_release(struct fetch_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        release(&wait->parts[i]);
}

static enum err check_asked(const struct fetch_part *part)
{
    if (part->wait->max_bytes < 0)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "the byte limit of the request is negative");
    if (part->asked->max_bytes < 0)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "the byte limit %d is negative",
                        part->asked->max_bytes);
    struct uuid own = partition_topic_id(part->partition);
    if (!uuid_is_zero(part->asked->topic_id) && !uuid_is_zero(own) &&
        !uuid_equal(part->asked->topic_id, own))
        return ERR_INCONSISTENT_TOPIC_ID;
    return ERR_OK;
}

static int64_t broker_epoch_of(const struct request *request)
{
    const struct fetch_request *message = request->message;
    return request->api_version >= 15 ? message->replica_state.replica_epoch : UNKNOWN_BROKER_EPOCH;
}

/* What a follower asks for says what it has. The watermark that it is told is the one before this.
 */
static enum err note_follower(struct fetch_part *part)
{
    if (part->is_noted || part->result.is_diverging)
        return ERR_OK;
    part->is_noted = true;
    return replica_manager_follower_fetched(
        part->wait->request->broker->replica_manager, part->partition, part->result.leader_epoch,
        part->wait->replica_id, broker_epoch_of(part->wait->request), part->asked->fetch_offset,
        part->result.limit_offset, part->asked->log_start_offset);
}

static enum err read_part(struct fetch_part *part, int64_t left_bytes, bool at_least_one,
                          bool may_block)
{
    struct fetch_wait *wait = part->wait;
    const struct request *request = wait->request;
    const struct fetch_request *message = request->message;
    enum err e = check_asked(part);
    if (e)
        return e;
    if (left_bytes < 0)
        left_bytes = 0;
    struct partition_read read = {
        .fetch_offset = part->asked->fetch_offset,
        .max_bytes =
            (int32_t)(part->asked->max_bytes < left_bytes ? part->asked->max_bytes : left_bytes),
        .current_leader_epoch =
            part->asked->current_leader_epoch < 0 ? -1 : part->asked->current_leader_epoch,
        .last_fetched_epoch = part->asked->last_fetched_epoch,
        .replica_id = wait->replica_id,
        .isolation = (enum isolation)message->isolation_level,
        .at_least_one = at_least_one && request->api_version >= 3,
        .may_follow = wait->replica_id < 0 && request->api_version >= 11,
        .may_block = may_block,
    };
    part->preferred_replica = fetch_preferred_replica(part);
    if (part->preferred_replica != NO_BROKER) {
        read.max_bytes = 0; /* the checks and the offsets, no records */
        read.at_least_one = false;
    }
    e = partition_read(part->partition, &read, request->arena, &part->result);
    if (!e && wait->replica_id >= 0)
        e = note_follower(part);
    if (!e && part->result.slice.size_bytes)
        e = fetch_convert_if_needed(part, may_block);
    return e;
}

static int64_t bytes_of(const struct fetch_part *part)
{
    return part->is_converted ? (int64_t)part->converted.size : part->result.slice.size_bytes;
}

/* Whether the last reading, which found nothing, still tells all there is. */
static bool is_as_read(const struct fetch_part *part)
{
    return part->is_exhausted && partition_moves(part->partition) == part->moves;
}

static void read_anew(struct fetch_part *part, bool may_block)
{
    struct fetch_wait *wait = part->wait;
    part->moves = partition_moves(part->partition); /* first: what moves meanwhile is read again */
    part->error = read_part(part, wait->max_bytes - wait->bytes, wait->bytes == 0, may_block);
    part->is_exhausted = !part->error && !part->result.is_diverging &&
                         part->preferred_replica == NO_BROKER &&
                         part->asked->fetch_offset >= part->result.limit_offset;
}

bool fetch_read_all(struct fetch_wait *wait, bool may_block)
{
    wait->bytes = 0;
    wait->must_answer = wait->has_interest = false;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct fetch_part *part = &wait->parts[i];
        if (!part->partition) {
            wait->must_answer |= !part->is_unresolved;
            continue;
        }
        wait->has_interest = true;
        if (is_as_read(part))
            continue;
        release(part);
        read_anew(part, may_block);
        if (part->error == ERR_AGAIN && !may_block) {
            fetch_read_release(wait);
            return false;
        }
        if (part->error) {
            release(part);
            wait->must_answer = true;
            continue;
        }
        wait->must_answer |= part->result.is_diverging || part->preferred_replica != NO_BROKER;
        wait->bytes += bytes_of(part);
    }
    return true;
}

/* --- waiting --- */

static void moved(struct partition_waiter *waiter)
{
    struct fetch_wait *wait = CONTAINER_OF(waiter, struct fetch_part, waiter)->wait;
    atomic_store(&wait->moved_meanwhile, true);
    if (!atomic_exchange(&wait->is_posted, true)) {
        atomic_store(&wait->moved_meanwhile, false);
        request_post(wait->request, wait->on_moved);
    }
}

void fetch_wait_register(struct fetch_wait *wait, void (*on_moved)(struct request *request))
{
    wait->on_moved = on_moved;
    wait->is_registered = true;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        wait->parts[i].waiter.moved = moved;
        if (wait->parts[i].partition)
            partition_wait_fetch(wait->parts[i].partition, &wait->parts[i].waiter);
    }
}

void fetch_wait_unregister(struct fetch_wait *wait)
{
    if (!wait->is_registered)
        return;
    wait->is_registered = false;
    for (int32_t i = 0; i < wait->parts_count; i++)
        if (wait->parts[i].partition)
            partition_stop_waiting(wait->parts[i].partition, &wait->parts[i].waiter);
}

void fetch_wait_release_partitions(struct fetch_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        partition_unref(TAKE(wait->parts[i].partition));
}
