/* ListOffsets: earliest, latest, by time, by greatest timestamp, and the old style of version 0
 * (KIP-79, KIP-207, KIP-734, KIP-405's special values without tiering). Looking by time may read a
 * disk, so it runs on a worker. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "broker/api/repeats.h"
#include "wire/list_offsets.h"

/* A longer request is answered by a worker, so that the network thread serves others meanwhile. */
#define SHORT_PARTITIONS_MAX 1000

enum special_timestamp {
    LATEST = -1,
    EARLIEST = -2,
    MAX_TIMESTAMP = -3,
    EARLIEST_LOCAL = -4,
    LATEST_TIERED = -5,
};

static bool is_known_timestamp(int64_t timestamp, int16_t api_version)
{
    switch (timestamp) {
    case MAX_TIMESTAMP:
        return api_version >= 7;
    case EARLIEST_LOCAL:
        return api_version >= 8;
    case LATEST_TIERED:
        return api_version >= 9;
    default: /* version 0 knows none but the first two */
        return timestamp >= EARLIEST;
    }
}

static bool may_ask_follower(const struct list_offsets_request *message)
{
    return message->replica_id == DEBUGGING_REPLICA_ID;
}

static int64_t limit_for(struct partition *partition, const struct list_offsets_request *message)
{
    return partition_read_limit(
        partition, message->replica_id >= 0 ? message->replica_id : CONSUMER_REPLICA_ID,
        (enum isolation)message->isolation_level);
}

static void set_found(struct list_offsets_response_list_offsets_partition_response *to,
                      int64_t timestamp_ms, int64_t offset, int32_t leader_epoch)
{
    to->timestamp = timestamp_ms;
    to->offset = offset;
    to->leader_epoch = leader_epoch;
}

static enum err find_latest(struct partition *partition, const struct request *request,
                            struct list_offsets_response_list_offsets_partition_response *to)
{
    const struct list_offsets_request *message = request->message;
    if (message->replica_id == CONSUMER_REPLICA_ID) {
        enum err e = partition_latest_is_known(partition);
        if (e == ERR_OFFSET_NOT_AVAILABLE && request->api_version < 5)
            return ERR_LEADER_NOT_AVAILABLE;
        if (e)
            return e;
    }
    set_found(to, -1, limit_for(partition, message), partition_leader_epoch(partition));
    return ERR_OK;
}

/* A record that the reader may not see yet counts as none. */
static enum err find_by_time(struct partition *partition, struct log *log,
                             const struct request *request, int64_t timestamp_ms,
                             struct list_offsets_response_list_offsets_partition_response *to)
{
    struct timestamp_offset found;
    enum err e = timestamp_ms == MAX_TIMESTAMP
                     ? log_offset_of_max_timestamp(log, &found)
                     : log_offset_for_timestamp(log, timestamp_ms, &found);
    if (e)
        return e;
    if (found.offset >= 0 && found.offset < limit_for(partition, request->message))
        set_found(to, found.timestamp_ms, found.offset, found.leader_epoch);
    return ERR_OK;
}

static enum err find(struct partition *partition, const struct request *request,
                     const struct list_offsets_request_list_offsets_partition *asked,
                     struct list_offsets_response_list_offsets_partition_response *to)
{
    const struct list_offsets_request *message = request->message;
    struct log *log = NULL;
    enum err e =
        partition_check(partition, asked->current_leader_epoch, !may_ask_follower(message), &log);
    if (e)
        return e;
    switch (asked->timestamp) {
    case LATEST:
        return find_latest(partition, request, to);
    case EARLIEST:
    case EARLIEST_LOCAL:
        set_found(to, -1, log_start_offset(log), log_epoch_for_offset(log, log_start_offset(log)));
        return ERR_OK;
    case LATEST_TIERED:
        set_found(to, -1, -1, -1);
        return ERR_OK;
    default:
        return find_by_time(partition, log, request, asked->timestamp, to);
    }
}

/* Version 0: the base offsets of old segments, the newest first, bounded by what the reader may
 * see. */
static enum err find_old_style(struct partition *partition, const struct request *request,
                               const struct list_offsets_request_list_offsets_partition *asked,
                               struct list_offsets_response_list_offsets_partition_response *to)
{
    struct log *log = NULL;
    enum err e = partition_check(partition, -1, !may_ask_follower(request->message), &log);
    if (e)
        return e;
    enum { MOST = 1024 };
    if (asked->max_num_offsets < 0)
        return err_note(ERR_UNKNOWN_SERVER_ERROR, "%d offsets cannot be listed",
                        asked->max_num_offsets);
    int32_t room = asked->max_num_offsets > MOST ? MOST : asked->max_num_offsets;
    to->old_style_offsets = arena_new_array(request->arena, int64_t, room + 1);
    int32_t count = 0;
    if (asked->timestamp == EARLIEST) {
        to->old_style_offsets[0] = log_start_offset(log);
        to->old_style_offsets_count = room > 0 ? 1 : 0;
        return ERR_OK;
    }
    e = log_legacy_offsets_before(log, asked->timestamp == LATEST ? INT64_MAX : asked->timestamp,
                                  room, to->old_style_offsets, &count);
    if (e)
        return e;
    int64_t limit = limit_for(partition, request->message);
    for (int32_t i = 0; i < count; i++)
        if (to->old_style_offsets[i] > limit)
            to->old_style_offsets[i] = limit;
    to->old_style_offsets_count = count;
    return ERR_OK;
}

static struct slice partition_key(struct arena *arena, struct slice topic, int32_t index)
{
    uint8_t *key = arena_alloc(arena, sizeof index + topic.size);
    memcpy(key, &index, sizeof index);
    if (topic.size)
        memcpy(key + sizeof index, topic.data, topic.size);
    return slice_of(key, sizeof index + topic.size);
}

static int32_t count_partitions(const struct list_offsets_request *message)
{
    int32_t count = 0;
    for (int32_t t = 0; t < message->topics_count; t++)
        count += message->topics[t].partitions_count;
    return count;
}

/* Which partitions, counted through all topics, are named more than once. */
static bool *find_twice_named(const struct list_offsets_request *message, struct arena *arena)
{
    int32_t count = count_partitions(message), at = 0;
    bool *is_twice = arena_new_array(arena, bool, count + 1);
    struct repeats repeats;
    repeats_init(&repeats, arena, count);
    for (int32_t t = 0; t < message->topics_count; t++)
        for (int32_t i = 0; i < message->topics[t].partitions_count; i++, at++) {
            int32_t first = repeats_note(
                &repeats, partition_key(arena, message->topics[t].name,
                                        message->topics[t].partitions[i].partition_index));
            if (first < at)
                is_twice[first] = is_twice[at] = true;
        }
    repeats_done(&repeats);
    return is_twice;
}

static void answer_partition(const struct request *request, struct slice topic, bool is_twice,
                             const struct list_offsets_request_list_offsets_partition *asked,
                             struct list_offsets_response_list_offsets_partition_response *to)
{
    struct partition *partition = NULL;
    const struct list_offsets_request *message = request->message;
    enum err e = ERR_OK;
    if (message->isolation_level != READ_UNCOMMITTED && message->isolation_level != READ_COMMITTED)
        e = ERR_UNKNOWN_SERVER_ERROR; /* as the JVM broker, which knows no other */
    else if (request->api_version >= 1 && is_twice)
        e = ERR_INVALID_REQUEST;
    else if (!is_known_timestamp(asked->timestamp, request->api_version))
        e = ERR_UNSUPPORTED_VERSION;
    if (!e)
        e = replica_manager_find(request->broker->replica_manager, topic, asked->partition_index,
                                 &partition);
    if (!e)
        e = request->api_version == 0 ? find_old_style(partition, request, asked, to)
                                      : find(partition, request, asked, to);
    partition_unref(partition);
    to->error_code = err_wire_code(e);
    if (request->api_version < 4)
        to->leader_epoch = -1; /* such an answer cannot carry it */
}

static void answer_all(struct request *request)
{
    const struct list_offsets_request *message = request->message;
    struct arena *arena = request->arena;
    struct list_offsets_response response;
    list_offsets_response_init(&response);
    const bool *is_twice = find_twice_named(message, arena);
    response.topics_count = message->topics_count;
    response.topics = arena_new_array(
        arena, struct list_offsets_response_list_offsets_topic_response, message->topics_count + 1);
    for (int32_t t = 0; t < message->topics_count; t++) {
        const struct list_offsets_request_list_offsets_topic *topic = &message->topics[t];
        response.topics[t].name = topic->name;
        response.topics[t].partitions_count = topic->partitions_count;
        response.topics[t].partitions =
            arena_new_array(arena, struct list_offsets_response_list_offsets_partition_response,
                            topic->partitions_count + 1);
        for (int32_t i = 0; i < topic->partitions_count; i++) {
            struct list_offsets_response_list_offsets_partition_response *to =
                &response.topics[t].partitions[i];
            list_offsets_response_list_offsets_partition_response_init(to);
            to->partition_index = topic->partitions[i].partition_index;
            answer_partition(request, topic->name, *is_twice++, &topic->partitions[i], to);
        }
    }
    request_answer(request, &response);
}

/* By time it reads files; and the network thread is not held up for many. */
static bool is_for_worker(const struct request *request)
{
    const struct list_offsets_request *message = request->message;
    if (request->api_version == 0 || message->topics_count > SHORT_PARTITIONS_MAX ||
        count_partitions(message) > SHORT_PARTITIONS_MAX)
        return true;
    for (int32_t t = 0; t < message->topics_count; t++)
        for (int32_t i = 0; i < message->topics[t].partitions_count; i++)
            if (message->topics[t].partitions[i].timestamp >= 0 ||
                message->topics[t].partitions[i].timestamp == MAX_TIMESTAMP)
                return true;
    return false;
}

void handle_list_offsets(struct request *request)
{
    if (is_for_worker(request))
        request_to_worker(request, answer_all);
    else
        answer_all(request);
}
