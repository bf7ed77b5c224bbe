/* Reads the partitions of a fetch in turn: the first that has something may exceed the limits by
 * one batch, so that a client whose limits are small still gets on (KIP-74); the rest share what is
 * left. */
#include "broker/api/fetch_read.h"

#include "broker/api/fetch_convert.h"
#include "broker/api/fetch_rack.h"
#include "broker/base/trace.h"

static int8_t newest_magic_of(int16_t api_version)
{
    return api_version <= 1 ? 0 : api_version <= 3 ? 1 : 2;
}

enum err fetch_wait_init(struct fetch_wait *wait, struct request *request)
{
    const struct fetch_request *message = request->message;
    const struct broker *broker = request->broker;
    wait->request = request;
    wait->replica_id = fetch_request_replica_id(message, request->api_version);
    wait->newest_magic = newest_magic_of(request->api_version);
    wait->max_bytes = request->api_version >= 3 ? message->max_bytes : INT32_MAX;
    if (wait->max_bytes > broker->config->fetch_max_bytes)
        wait->max_bytes = broker->config->fetch_max_bytes;
    wait->min_bytes = message->min_bytes < wait->max_bytes ? message->min_bytes : wait->max_bytes;
    enum err e = fetch_sessions_begin(broker->fetch_sessions, message, request->api_version,
                                      request->arena, &wait->context);
    if (!e && fetch_rack_is_asked(request, wait->replica_id))
        fetch_context_add_all(&wait->context); /* brokers of the rack come and go unseen */
    return e;
}

void fetch_wait_end(struct fetch_wait *wait)
{
    for (int32_t i = 0; i < wait->parts_count; i++)
        wait->parts[i]->asked->in_hand = NULL;
    fetch_session_end(&wait->context);
}

/* --- what is in hand --- */

static struct fetch_part *add_part(struct fetch_wait *wait, struct fetch_partition *asked)
{
    struct arena *arena = wait->request->arena;
    if (wait->parts_count == wait->parts_capacity) {
        int32_t capacity = 2 * wait->parts_capacity;
        if (capacity < wait->context.partitions_count)
            capacity = wait->context.partitions_count;
        struct fetch_part **more = arena_new_array(arena, struct fetch_part *, capacity);
        if (wait->parts_count)
            memcpy(more, wait->parts, (size_t)wait->parts_count * sizeof *more);
        wait->parts = more;
        wait->parts_capacity = capacity;
    }
    struct fetch_part *part = arena_alloc(arena, sizeof *part);
    part->asked = asked;
    part->wait = wait;
    asked->in_hand = part;
    return wait->parts[wait->parts_count++] = part;
}

static enum err find_name(struct fetch_part *part)
{
    const struct request *request = part->wait->request;
    if (request->api_version < 13 || !slice_is_null(part->asked->topic))
        return ERR_OK;
    const char *name =
        metadata_topic_name(request->broker->metadata_cache, part->asked->topic_id, request->arena);
    if (!name)
        return ERR_UNKNOWN_TOPIC_ID;
    fetch_context_remember_name(&part->wait->context, part->asked, slice_str(name));
    return ERR_OK;
}

/* The partition behind what is asked: the one found before, unless it has been deleted meanwhile,
 * which leaves it without a role. */
static enum err find_partition(struct fetch_part *part)
{
    struct fetch_partition *asked = part->asked;
    if (asked->at && partition_role(asked->at) != ROLE_NONE)
        return ERR_OK;
    fetch_partition_lost(asked);
    struct partition *found;
    enum err e = find_name(part);
    if (!e)
        e = replica_manager_find(part->wait->request->broker->replica_manager, asked->topic,
                                 asked->partition, &found);
    if (!e)
        fetch_partition_found(asked, found);
    return e;
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
        release(wait->parts[i]);
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
    enum err e = find_partition(part);
    part->partition = part->asked->at;
    part->is_unresolved = e == ERR_UNKNOWN_TOPIC_ID || e == ERR_UNKNOWN_TOPIC_OR_PARTITION;
    if (!e)
        e = check_asked(part);
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

static bool is_exhausted(const struct fetch_part *part)
{
    return !part->error && !part->result.is_diverging && part->preferred_replica == NO_BROKER &&
           part->asked->fetch_offset >= part->result.limit_offset;
}

/* What may still change without a movement is looked at again; what is read to its end rests. */
static void read_one(struct fetch_part *part, bool may_block)
{
    struct fetch_wait *wait = part->wait;
    release(part);
    part->preferred_replica = NO_BROKER;
    part->result = (struct partition_read_result){0};
    part->error = read_part(part, wait->max_bytes - wait->bytes, wait->bytes == 0, may_block);
    if (part->error)
        release(part);
    if (part->error == ERR_OFFSET_OUT_OF_RANGE && wait->replica_id >= 0)
        trace_info("a follower asks for what is not here topic=%.*s partition=%d follower=%d "
                   "offset=%lld last_fetched_epoch=%d",
                   SLICE_ARG(part->asked->topic), part->asked->partition, wait->replica_id,
                   (long long)part->asked->fetch_offset, part->asked->last_fetched_epoch);
    if (is_exhausted(part))
        fetch_context_rest(&wait->context, part->asked, part->result.leader_epoch);
    else
        fetch_context_keep(&wait->context, part->asked);
    if (part->error) {
        wait->must_answer |= !part->is_unresolved;
        return;
    }
    wait->must_answer |= part->result.is_diverging || part->preferred_replica != NO_BROKER;
    wait->bytes += bytes_of(part);
}

static void keep_from(struct fetch_wait *wait, int32_t index)
{
    for (int32_t i = index; i < wait->context.partitions_count; i++)
        fetch_context_keep(&wait->context, wait->context.partitions[i]);
}

bool fetch_read_due(struct fetch_wait *wait, bool may_block)
{
    struct fetch_context *context = &wait->context;
    wait->bytes = 0;
    wait->must_answer = false;
    fetch_context_take(context);
    for (int32_t i = 0; i < context->partitions_count; i++) {
        struct fetch_partition *asked = context->partitions[i];
        struct fetch_part *part = asked->in_hand ? asked->in_hand : add_part(wait, asked);
        read_one(part, may_block);
        if (part->error == ERR_AGAIN && !may_block) {
            fetch_read_release(wait);
            keep_from(wait, i + 1);
            return false;
        }
    }
    return true;
}
