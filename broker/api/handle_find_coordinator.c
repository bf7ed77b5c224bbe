/* FindCoordinator: who coordinates a group or a transactional id. It is the leader of the partition
 * of an internal topic to which the hash of the name leads. This broker coordinates nothing yet,
 * but beside JVM brokers it is asked like any other, and librdkafka goes on asking the broker that
 * it began with: so it names them. What does not exist is not created here. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "wire/find_coordinator.h"

enum coordinator_type { COORDINATOR_GROUP = 0, COORDINATOR_TXN = 1, COORDINATOR_SHARE = 2 };

struct coordinator {
    enum err error;
    int32_t node_id, port;
    const char *host;
};

/* --- the hash --- */

#define REPLACEMENT 0xFFFD /* of bytes that are no UTF-8 */

/* The next code point; the slice moves behind it. Only what is well-formed enough for its length
 * is looked at: the key was a Java string once. */
static uint32_t next_code_point(struct slice *text)
{
    uint8_t first = text->data[0];
    size_t more = first < 0xC0 ? 0 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF8 ? 3 : 0;
    uint32_t point = first < 0x80 ? first : more ? first & (0x3Fu >> more) : REPLACEMENT;
    if (more >= text->size) {
        *text = slice_of(text->data + text->size, 0);
        return REPLACEMENT;
    }
    for (size_t i = 1; i <= more; i++)
        point = point << 6 | (text->data[i] & 0x3Fu);
    *text = slice_of(text->data + more + 1, text->size - more - 1);
    return point;
}

/* String.hashCode() of Java, over UTF-16. */
static uint32_t java_hash(struct slice text)
{
    uint32_t hash = 0;
    while (text.size > 0) {
        uint32_t point = next_code_point(&text);
        if (point < 0x10000) {
            hash = 31 * hash + point;
            continue;
        }
        hash = 31 * hash + 0xD800 + ((point - 0x10000) >> 10);
        hash = 31 * hash + 0xDC00 + ((point - 0x10000) & 0x3FF);
    }
    return hash;
}

static int32_t partition_for(struct slice key, int32_t partitions_count)
{
    int32_t hash = (int32_t)java_hash(key);
    return hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash) % partitions_count;
}

/* --- the coordinator --- */

static int32_t leader_for(struct metadata_cache *cache, struct slice topic_name, struct slice key)
{
    int32_t leader = LEADER_NONE;
    metadata_cache_lock(cache);
    const struct topic_metadata *topic = metadata_topic(cache, topic_name);
    if (topic && topic->partitions_count > 0) {
        const struct partition_metadata *partition =
            metadata_partition(topic, partition_for(key, topic->partitions_count));
        leader = partition ? partition->leader : LEADER_NONE;
    }
    metadata_cache_unlock(cache);
    return leader;
}

/* What leads to this broker is not served yet. */
static enum err look_up(const struct request *request, struct slice topic, struct slice key,
                        struct coordinator *ret)
{
    const struct broker *broker = request->broker;
    int32_t leader = leader_for(broker->metadata_cache, topic, key);
    const char *host;
    int32_t port;
    if (leader < 0 || leader == broker->id ||
        metadata_endpoint(broker->metadata_cache, leader, request->listener, request->arena, &host,
                          &port))
        return ERR_COORDINATOR_NOT_AVAILABLE;
    ret->node_id = leader;
    ret->host = host;
    ret->port = port;
    return ERR_OK;
}

static struct coordinator find(const struct request *request, int8_t key_type, struct slice key)
{
    struct coordinator found = {.node_id = -1, .port = -1, .host = ""};
    if (key_type == COORDINATOR_GROUP)
        found.error = look_up(request, SLICE_LITERAL("__consumer_offsets"), key, &found);
    else if (key_type == COORDINATOR_TXN)
        found.error = look_up(request, SLICE_LITERAL("__transaction_state"), key, &found);
    else if (key_type == COORDINATOR_SHARE && request->api_version >= 6)
        found.error = ERR_COORDINATOR_NOT_AVAILABLE;
    else
        found.error = ERR_INVALID_REQUEST;
    return found;
}

/* --- the answer --- */

/* What Kafka's clients show of these errors. */
static struct slice sentence_of(enum err e)
{
    return e == ERR_COORDINATOR_NOT_AVAILABLE
               ? SLICE_LITERAL("The coordinator is not available.")
               : SLICE_LITERAL("This most likely occurs because of a request being malformed by "
                               "the client library or the message was sent to an incompatible "
                               "broker. See the broker logs for more details.");
}

static void answer_one(struct request *request, const struct find_coordinator_request *message)
{
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    struct coordinator found = find(request, message->key_type, message->key);
    response.error_code = err_wire_code(found.error);
    response.error_message = found.error ? sentence_of(found.error) : SLICE_LITERAL("NONE");
    response.node_id = found.node_id;
    response.host = slice_str(found.host);
    response.port = found.port;
    request_answer(request, &response);
}

static void answer_all(struct request *request, const struct find_coordinator_request *message)
{
    struct find_coordinator_response response;
    find_coordinator_response_init(&response);
    int32_t count = message->coordinator_keys_count;
    response.coordinators =
        arena_new_array(request->arena, struct find_coordinator_response_coordinator, count + 1);
    response.coordinators_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct find_coordinator_response_coordinator *to = &response.coordinators[i];
        struct coordinator found = find(request, message->key_type, message->coordinator_keys[i]);
        bool is_silent = !found.error || (message->key_type == COORDINATOR_SHARE &&
                                          found.error == ERR_COORDINATOR_NOT_AVAILABLE);
        find_coordinator_response_coordinator_init(to);
        to->key = message->coordinator_keys[i];
        to->node_id = found.node_id;
        to->host = slice_str(found.host);
        to->port = found.port;
        to->error_code = err_wire_code(found.error);
        to->error_message = is_silent ? SLICE_LITERAL("") : sentence_of(found.error);
    }
    request_answer(request, &response);
}

void handle_find_coordinator(struct request *request)
{
    const struct find_coordinator_request *message = request->message;
    if (request->api_version < 4)
        answer_one(request, message);
    else
        answer_all(request, message);
}
