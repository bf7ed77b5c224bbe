/* DescribeLogDirs (KIP-113, KIP-827): what is in the log directories. It looks at disks, so it runs
 * on a worker. */
#include "broker/api/broker.h"
#include "broker/api/handlers.h"
#include "wire/describe_log_dirs.h"

struct dir_work {
    struct request *request;
    struct describe_log_dirs_response_describe_log_dirs_result *results;
    const struct log_dir **dirs; /* beside results */
    int32_t count;
    struct log **logs; /* all that were asked for */
    size_t logs_count, logs_capacity;
};

static bool is_asked(const struct request *request, const struct log *log)
{
    const struct describe_log_dirs_request *message = request->message;
    if (message->topics_count < 0)
        return true;
    for (int32_t t = 0; t < message->topics_count; t++) {
        if (!slice_equal_str(message->topics[t].topic, log_topic(log)))
            continue;
        for (int32_t i = 0; i < message->topics[t].partitions_count; i++)
            if (message->topics[t].partitions[i] == log_partition(log))
                return true;
    }
    return false;
}

static void collect(void *context, struct log *log)
{
    struct dir_work *work = context;
    if (!is_asked(work->request, log))
        return;
    work->logs =
        mem_grow(work->logs, &work->logs_capacity, work->logs_count + 1, sizeof work->logs[0]);
    work->logs[work->logs_count++] = log;
}

static int compare_logs(const void *a, const void *b)
{
    const struct log *left = *(struct log *const *)a, *right = *(struct log *const *)b;
    int order = strcmp(log_topic(left), log_topic(right));
    return order ? order
                 : (log_partition(left) > log_partition(right)) -
                       (log_partition(left) < log_partition(right));
}

static int64_t lag_of(const struct request *request, struct log *log)
{
    struct partition *partition = replica_manager_get(
        request->broker->replica_manager, slice_str(log_topic(log)), log_partition(log));
    if (!partition)
        return -1;
    int64_t lag = partition_high_watermark(partition) - log_end_offset(log);
    partition_unref(partition);
    return lag > 0 ? lag : 0;
}

static void fill_dir(struct dir_work *work, const struct log_dir_view *view,
                     struct describe_log_dirs_response_describe_log_dirs_result *to)
{
    struct arena *arena = work->request->arena;
    describe_log_dirs_response_describe_log_dirs_result_init(to);
    to->log_dir = arena_copy(arena, slice_str(view->path));
    if (!view->is_online) {
        to->error_code = err_wire_code(ERR_KAFKA_STORAGE_ERROR);
        return;
    }
    to->total_bytes = view->total_bytes;
    to->usable_bytes = view->usable_bytes;
    to->topics = arena_new_array(arena, struct describe_log_dirs_response_describe_log_dirs_topic,
                                 work->logs_count + 1);
    struct describe_log_dirs_response_describe_log_dirs_partition *next = arena_new_array(
        arena, struct describe_log_dirs_response_describe_log_dirs_partition, work->logs_count + 1);
    for (size_t i = 0; i < work->logs_count; i++) {
        struct log *log = work->logs[i];
        if (log_dir_of(log) != view->dir)
            continue;
        struct describe_log_dirs_response_describe_log_dirs_topic *topic =
            to->topics_count ? &to->topics[to->topics_count - 1] : NULL;
        if (!topic || !slice_equal_str(topic->name, log_topic(log))) {
            topic = &to->topics[to->topics_count++];
            describe_log_dirs_response_describe_log_dirs_topic_init(topic);
            topic->name = arena_copy(arena, slice_str(log_topic(log)));
            topic->partitions = next;
        }
        describe_log_dirs_response_describe_log_dirs_partition_init(next);
        next->partition_index = log_partition(log);
        next->partition_size = log_size_bytes(log);
        next->offset_lag = lag_of(work->request, log);
        topic->partitions_count++;
        next++;
    }
}

static void describe_log_dirs(struct request *request)
{
    struct log_manager *logs = request->broker->log_manager;
    struct dir_work work = {.request = request};
    log_manager_for_each(logs, collect, &work);
    if (work.logs_count)
        qsort(work.logs, work.logs_count, sizeof work.logs[0], compare_logs);
    struct describe_log_dirs_response response;
    describe_log_dirs_response_init(&response);
    int count = log_manager_dirs_count(logs);
    response.results = arena_new_array(
        request->arena, struct describe_log_dirs_response_describe_log_dirs_result, count + 1);
    for (int i = 0; i < count; i++) {
        struct log_dir_view view;
        log_manager_dir_view(logs, i, &view);
        fill_dir(&work, &view, &response.results[response.results_count++]);
    }
    free(work.logs);
    request_answer(request, &response);
}

void handle_describe_log_dirs(struct request *request)
{
    request_to_worker(request, describe_log_dirs);
}
