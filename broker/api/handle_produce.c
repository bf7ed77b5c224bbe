/* Produce (KIP-98 format, KIP-467 record errors, KIP-951 leader hints): each partition's records
 * are checked, stamped in the request's own buffer and appended on the connection's thread. acks=1
 * answers at once; acks=all waits until every partition's high watermark has passed its records, or
 * the time is up.
 *
 *      append all --(flush.messages)--> sync all at once --(acks=all)--> wait --> answer
 *
 * While a request waits for disks or replicas it has no thread. */
#include "broker/api/handlers.h"
#include "broker/api/produce_work.h"
#include "broker/base/trace.h"
#include "broker/record/validate.h"
#include "broker/wire/topic_name.h"

#define TELL_EVERY_MS 1000 /* about a full disk */

/* --- stable storage --- */

static void acks_or_answer(struct request *request)
{
    struct produce_wait *wait = request->waiting;
    if (produce_message(wait)->acks == ACKS_ALL)
        produce_wait_for_acks(wait);
    else
        produce_answer(wait);
}

/* On the thread that synced, or our own where there was nothing to sync. The last one posts the
 * request home. */
static void part_flushed(struct log_flush_waiter *waiter, enum err e)
{
    struct produce_part *part = CONTAINER_OF(waiter, struct produce_part, flush);
    struct produce_wait *wait = part->wait;
    if (e)
        produce_part_set_error(part, e);
    else
        partition_flushed(part->partition);
    if (atomic_fetch_sub(&wait->open_count, 1) == 1)
        request_post(wait->request, acks_or_answer);
}

/* All partitions side by side; those that arrive while a sync runs share the next one. */
static void flush(struct produce_wait *wait)
{
    wait->open_count = 1;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct produce_part *part = &wait->parts[i];
        if (part->error || !part->needs_flush)
            continue;
        struct log *log = partition_log(part->partition);
        if (!log) {
            produce_part_set_error(part, ERR_NOT_LEADER_OR_FOLLOWER);
            continue;
        }
        part->flush.offset = part->required_offset;
        part->flush.done = part_flushed;
        atomic_fetch_add(&wait->open_count, 1);
        log_flush_begin(log, &part->flush);
    }
    if (atomic_fetch_sub(&wait->open_count, 1) == 1)
        acks_or_answer(wait->request);
}

/* --- appending --- */

static void answer_record_errors(struct produce_part *part, const struct append_result *result,
                                 struct arena *arena)
{
    if (!result->record_errors_count)
        return;
    int32_t count = result->record_errors_count;
    part->answer->record_errors =
        arena_new_array(arena, struct produce_response_batch_index_and_error_message, count);
    part->answer->record_errors_count = count;
    for (int32_t i = 0; i < count; i++) {
        part->answer->record_errors[i].batch_index = result->record_errors[i].batch_index;
        part->answer->record_errors[i].batch_index_error_message =
            slice_str(result->record_errors[i].message);
    }
}

/* In Kafka's words: how many, and the first of them. */
static struct slice sentence_of_record_errors(const struct append_result *result, enum err e,
                                              struct arena *arena)
{
    enum { SHOWN_MAX = 3 };
    if (e == ERR_INVALID_TIMESTAMP)
        return SLICE_LITERAL("One or more records have been rejected due to invalid timestamp");
    const char *shown = "";
    for (int32_t i = 0; i < result->record_errors_count && i < SHOWN_MAX; i++)
        shown = arena_printf(arena, "%s%sRecordError(batchIndex=%d, message='%s')", shown,
                             i ? ", " : "", (int)result->record_errors[i].batch_index,
                             result->record_errors[i].message);
    return slice_str(arena_printf(arena,
                                  "One or more records have been rejected due to %d record errors "
                                  "in total, and only showing the first three errors at most: [%s]",
                                  (int)result->record_errors_count, shown));
}

/* Where the log itself turned the records away the answer tells its start; what never came that far
 * has none. */
static bool tells_log_start(enum err e)
{
    switch (e) {
    case ERR_CORRUPT_MESSAGE:
    case ERR_INVALID_REQUIRED_ACKS:
    case ERR_INVALID_TOPIC_EXCEPTION:
    case ERR_IO:
    case ERR_KAFKA_STORAGE_ERROR:
    case ERR_MESSAGE_TOO_LARGE:
    case ERR_NO_SPACE:
    case ERR_NOT_ENOUGH_REPLICAS:
    case ERR_NOT_LEADER_OR_FOLLOWER:
    case ERR_RECORD_LIST_TOO_LARGE:
    case ERR_UNKNOWN_TOPIC_OR_PARTITION:
        return false;
    default:
        return true;
    }
}

/* While a disk is full every append fails; a line for each would fill it again. */
static bool may_tell(struct clock *clock)
{
    static _Atomic int64_t next_ms;
    int64_t now_ms = clock_mono_ms(clock), next = atomic_load(&next_ms);
    return now_ms >= next &&
           atomic_compare_exchange_strong(&next_ms, &next, now_ms + TELL_EVERY_MS);
}

static void answer_log_error(struct produce_part *part, enum err e,
                             const struct append_result *result)
{
    struct arena *arena = part->wait->request->arena;
    produce_part_set_error(part, e);
    struct log *log = part->partition ? partition_log(part->partition) : NULL;
    if (log && tells_log_start(e))
        part->answer->log_start_offset = log_start_offset(log);
    if (result->record_errors_count) {
        answer_record_errors(part, result, arena);
        part->answer->error_message = sentence_of_record_errors(result, e, arena);
    }
    if (e == ERR_IO || (e == ERR_NO_SPACE && may_tell(part->wait->request->broker->clock)))
        trace_warn("append failed topic=%.*s partition=%d: %s", SLICE_ARG(part->topic),
                   part->data->index, err_sentence(e));
}

/* KIP-890: before the first records of a transaction the leader asks the transaction's coordinator
 * whether the partition takes part. There is no coordinator to ask, so the JVM broker's answer for
 * that case is given; a transaction that is open in this log (a JVM broker led it before) goes on.
 */
static enum err verify_transaction(struct produce_part *part)
{
    struct broker *broker = part->wait->request->broker;
    struct log *log = NULL;
    enum err e = replica_manager_find(broker->replica_manager, part->topic, part->data->index,
                                      &part->partition);
    if (!e)
        e = partition_check(part->partition, NO_LEADER_EPOCH, true, &log);
    if (e || log_has_open_txn(log, batch_producer_id(part->data->records.bytes.data)))
        return e;
    part->answer->error_message =
        SLICE_LITERAL("Unable to verify the partition has been added to the transaction. "
                      "Underlying error: COORDINATOR_NOT_AVAILABLE");
    return ERR_NOT_ENOUGH_REPLICAS;
}

/* What is checked before the log is asked, in the JVM broker's order. */
static enum err check_part(struct produce_part *part)
{
    const struct request *request = part->wait->request;
    const struct produce_request *message = produce_message(part->wait);
    if (!metadata_has_partition(request->broker->metadata_cache, part->topic, part->data->index))
        return ERR_UNKNOWN_TOPIC_OR_PARTITION;
    enum err e = records_check_version(part->data->records.bytes, request->api_version);
    if (!e && part->continues_txn)
        e = verify_transaction(part);
    if (e)
        return e;
    if (message->acks < ACKS_ALL || message->acks > ACKS_LEADER)
        return ERR_INVALID_REQUIRED_ACKS;
    if (topic_is_internal(part->topic) && !slice_equal_str(request->client_id, "__admin_client"))
        return ERR_INVALID_TOPIC_EXCEPTION;
    return part->partition ? ERR_OK
                           : replica_manager_find(request->broker->replica_manager, part->topic,
                                                  part->data->index, &part->partition);
}

static void append(struct produce_part *part)
{
    struct request *request = part->wait->request;
    struct append_result result = {0};
    enum err e = check_part(part);
    if (e) {
        produce_part_set_error(part, e);
        return;
    }
    e = partition_append(part->partition, (uint8_t *)(uintptr_t)part->data->records.bytes.data,
                         part->data->records.bytes.size, produce_message(part->wait)->acks,
                         APPEND_CLIENT, part->continues_txn, request->api_version, request->arena,
                         &result, &part->required_offset);
    if (e) {
        answer_log_error(part, e, &result);
        return;
    }
    part->answer->base_offset = result.base_offset;
    part->answer->log_append_time_ms = result.log_append_time_ms;
    part->answer->log_start_offset = result.log_start_offset;
    part->needs_flush = result.needs_flush;
}

/* --- the request as a whole --- */

/* Are these bytes with which no batch of any format can begin? In Kafka's words. */
static enum err check_is_batch(struct slice bytes)
{
    enum { SHORTEST_LENGTH = 14, NEWEST_MAGIC = 2 };
    if (bytes.size >= BATCH_PREFIX_SIZE && batch_length(bytes.data) < SHORTEST_LENGTH)
        return err_note(ERR_CORRUPT_MESSAGE,
                        "Record size %d is less than the minimum record overhead (%d)",
                        (int)batch_length(bytes.data), SHORTEST_LENGTH);
    if (bytes.size > BATCH_MAGIC_AT &&
        (batch_magic(bytes.data) < 0 || batch_magic(bytes.data) > NEWEST_MAGIC))
        return err_note(ERR_CORRUPT_MESSAGE, "Invalid magic found in record: %d",
                        (int)batch_magic(bytes.data));
    return ERR_OK;
}

static bool is_transactional(const struct batch_info *first)
{
    return first->magic >= 2 && (first->attributes & BATCH_TRANSACTIONAL);
}

/* What the first batch of each part says, as the JVM broker looks before anything else:
 * CORRUPT_MESSAGE where it is no batch at all; transactional records need a transactional id, and
 * all of them one producer. */
static enum err look_at_first_batches(struct produce_wait *wait)
{
    bool has_id = !slice_is_null(produce_message(wait)->transactional_id);
    bool must_verify = wait->request->broker->config->transaction_partition_verification_enable;
    struct batch_info one = {.producer_id = NO_PRODUCER_ID}; /* of the transactional batches */
    bool is_mixed = false;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        struct slice records = wait->parts[i].data->records.bytes;
        struct batch_info info;
        enum err e = check_is_batch(records);
        if (e)
            return e;
        e = batch_peek(records, &info);
        bool is_whole = !e && (size_t)info.size_bytes <= records.size;
        if (!is_whole || !is_transactional(&info))
            continue;
        if (!has_id)
            return ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        if (info.producer_id < 0)
            continue;
        wait->parts[i].continues_txn = must_verify;
        is_mixed |= one.producer_id >= 0 && (one.producer_id != info.producer_id ||
                                             one.producer_epoch != info.producer_epoch);
        one = info;
    }
    return is_mixed ? err_note(ERR_INVALID_PRODUCER_ID_MAPPING,
                               "Transactional records contained more than one producer ID")
                    : ERR_OK;
}

static void refuse_all(struct produce_wait *wait, enum err e)
{
    for (int32_t i = 0; i < wait->parts_count; i++) {
        produce_part_set_error(&wait->parts[i], e);
        if (e != ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
            wait->parts[i].answer->error_message =
                arena_copy(wait->request->arena, slice_str(err_sentence(e)));
    }
    produce_answer(wait);
}

void handle_produce(struct request *request)
{
    struct produce_wait *wait = arena_alloc(request->arena, sizeof *wait);
    wait->request = request;
    request->waiting = wait;
    produce_parts_gather(wait);
    enum err e = look_at_first_batches(wait);
    if (e) {
        refuse_all(wait, e);
        return;
    }
    bool needs_flush = false;
    for (int32_t i = 0; i < wait->parts_count; i++) {
        append(&wait->parts[i]);
        needs_flush |= wait->parts[i].needs_flush;
    }
    if (needs_flush)
        flush(wait);
    else
        acks_or_answer(request);
}
