/* Requests by hand: Metadata version 1, Produce version 7. */
#include "tests/bench/failover_metadata.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "broker/record/build.h"
#include "tests/bench/client.h"

#define METADATA_KEY       3
#define METADATA_VERSION   1
#define PRODUCE_KEY        0
#define PRODUCE_VERSION    7
#define REQUEST_TIMEOUT_MS 60000
#define ANSWER_BYTES_MAX   (64 << 20)
#define VALUE_BYTES        10

/* ---- Bytes ---- */

struct reader {
    const uint8_t *at, *end;
};

static const uint8_t *take(struct reader *r, size_t size)
{
    if ((size_t)(r->end - r->at) < size)
        bench_fail("an answer ends too soon");
    r->at += size;
    return r->at - size;
}

static int32_t take_be32(struct reader *r)
{
    return (int32_t)get_be32(take(r, 4));
}

static int16_t take_be16(struct reader *r)
{
    return (int16_t)get_be16(take(r, 2));
}

static struct slice take_text(struct reader *r)
{
    int16_t size = take_be16(r);
    return size < 0 ? SLICE_NULL : slice_of(take(r, (size_t)size), (size_t)size);
}

static void put_text(struct buf *buf, const char *text)
{
    buf_put_be16(buf, (uint16_t)strlen(text));
    buf_put(buf, text, strlen(text));
}

static void put_header(struct buf *buf, uint16_t key, uint16_t version)
{
    buf_put_be16(buf, key);
    buf_put_be16(buf, version);
    buf_put_be32(buf, 1);
    put_text(buf, "bench");
}

/* ---- Connections ---- */

int bench_connect(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool bench_ask(int fd, const struct buf *request, struct buf *ret_answer)
{
    uint8_t head[4];
    put_be32(head, (uint32_t)request->size);
    if (!send_all(fd, head, sizeof head) || !send_all(fd, request->data, request->size) ||
        recv(fd, head, sizeof head, MSG_WAITALL) != sizeof head)
        return false;
    size_t size = get_be32(head);
    if (size < 4 || size > ANSWER_BYTES_MAX)
        bench_fail("an answer of %zu bytes", size);
    ret_answer->size = 0;
    uint8_t *answer = buf_extend(ret_answer, size);
    return recv(fd, answer, size, MSG_WAITALL) == (ssize_t)size;
}

/* ---- Metadata ---- */

void metadata_view_clear(struct metadata_view *view)
{
    for (size_t i = 0; i < view->names_count; i++)
        free(view->names[i]);
    free(view->names);
    free(view->partitions);
    *view = (struct metadata_view){0};
}

static void read_topic(struct reader *r, int32_t gone, struct metadata_view *view)
{
    take_be16(r);
    view->names =
        mem_grow(view->names, &view->names_capacity, view->names_count + 1, sizeof *view->names);
    char *name = view->names[view->names_count++] = slice_dup(take_text(r));
    take(r, 1); /* is it internal */
    for (int32_t left = take_be32(r); left > 0; left--) {
        view->partitions =
            mem_grow(view->partitions, &view->capacity, view->count + 1, sizeof *view->partitions);
        struct led_partition *partition = &view->partitions[view->count++];
        int16_t error = take_be16(r);
        *partition = (struct led_partition){.topic = name, .id = take_be32(r)};
        partition->leader = take_be32(r);
        view->led += (error == 0) & (partition->leader >= 0) & (partition->leader != gone);
        take(r, 4 * (size_t)take_be32(r)); /* replicas */
        take(r, 4 * (size_t)take_be32(r)); /* ISR */
    }
}

static void read_metadata(struct reader *r, int32_t gone, struct metadata_view *view)
{
    take(r, 4); /* correlation id */
    for (int32_t left = take_be32(r); left > 0; left--) {
        take_be32(r);
        take_text(r);
        take_be32(r);
        take_text(r);
    }
    take_be32(r); /* controller */
    for (int32_t left = take_be32(r); left > 0; left--)
        read_topic(r, gone, view);
}

bool metadata_ask(int fd, int32_t gone, struct metadata_view *ret_view)
{
    struct buf request = {0}, answer = {0};
    put_header(&request, METADATA_KEY, METADATA_VERSION);
    buf_put_be32(&request, UINT32_MAX); /* all topics */
    bool is_answered = bench_ask(fd, &request, &answer);
    if (is_answered) {
        struct reader r = {answer.data, answer.data + answer.size};
        metadata_view_clear(ret_view);
        read_metadata(&r, gone, ret_view);
    }
    buf_done(&request);
    buf_done(&answer);
    return is_answered;
}

/* ---- Produce ---- */

static void make_batch(struct buf *batch)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    OWNED_MEM char *value = bench_payload(VALUE_BYTES);
    struct batch_options options = BATCH_OPTIONS_DEFAULT;
    struct batch_builder builder;
    batch_builder_init(&builder, &options, batch);
    batch_builder_add(&builder, 0, now.tv_sec * 1000 + now.tv_nsec / 1000000, SLICE_NULL,
                      slice_of(value, VALUE_BYTES), SLICE_NULL);
    if (batch_builder_finish(&builder))
        bench_fail("the batch cannot be built");
    batch_builder_done(&builder);
}

static bool is_wanted(const struct led_partition *partition, int32_t leader)
{
    return partition->leader == leader && !partition->is_done;
}

/* The view lists a topic's partitions one after the other. */
static size_t put_topic(struct buf *request, const struct metadata_view *view, size_t from,
                        int32_t leader, const struct buf *batch, uint32_t *topics)
{
    size_t to = from;
    uint32_t wanted = 0;
    for (; to < view->count && view->partitions[to].topic == view->partitions[from].topic; to++)
        wanted += is_wanted(&view->partitions[to], leader);
    if (wanted == 0)
        return to;
    ++*topics;
    put_text(request, view->partitions[from].topic);
    buf_put_be32(request, wanted);
    for (; from < to; from++) {
        if (!is_wanted(&view->partitions[from], leader))
            continue;
        buf_put_be32(request, (uint32_t)view->partitions[from].id);
        buf_put_be32(request, (uint32_t)batch->size);
        buf_put_slice(request, buf_slice(batch));
    }
    return to;
}

static struct led_partition *find(struct metadata_view *view, struct slice topic, int32_t id)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->partitions[i].id == id && slice_equal_str(topic, view->partitions[i].topic))
            return &view->partitions[i];
    bench_fail("an answer for a partition that was not asked for");
}

static size_t read_produced(struct reader *r, struct metadata_view *view)
{
    size_t refused = 0;
    take(r, 4); /* correlation id */
    for (int32_t topics = take_be32(r); topics > 0; topics--) {
        struct slice topic = take_text(r);
        struct led_partition *next = NULL; /* where the last one stood: often just before */
        for (int32_t left = take_be32(r); left > 0; left--) {
            int32_t id = take_be32(r);
            if (!next || ++next == view->partitions + view->count || next->id != id ||
                !slice_equal_str(topic, next->topic))
                next = find(view, topic, id);
            int16_t error = take_be16(r);
            take(r, 8 + 8 + 8);
            next->is_done = error == 0;
            refused += error != 0;
        }
    }
    return refused;
}

bool produce_to_led(int fd, struct metadata_view *view, int32_t leader, int16_t acks,
                    size_t *ret_refused)
{
    struct buf request = {0}, answer = {0}, batch = {0};
    make_batch(&batch);
    put_header(&request, PRODUCE_KEY, PRODUCE_VERSION);
    buf_put_be16(&request, UINT16_MAX); /* no transaction */
    buf_put_be16(&request, (uint16_t)acks);
    buf_put_be32(&request, REQUEST_TIMEOUT_MS);
    size_t count_at = request.size;
    uint32_t topics = 0;
    buf_put_be32(&request, 0);
    for (size_t i = 0; i < view->count;)
        i = put_topic(&request, view, i, leader, &batch, &topics);
    put_be32(request.data + count_at, topics);
    *ret_refused = 0;
    bool is_answered = topics == 0 || bench_ask(fd, &request, &answer);
    if (is_answered && topics > 0) {
        struct reader r = {answer.data, answer.data + answer.size};
        *ret_refused = read_produced(&r, view);
    }
    buf_done(&request);
    buf_done(&answer);
    buf_done(&batch);
    return is_answered;
}
