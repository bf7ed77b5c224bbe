/* See network_world.h. */
#include "tests/unit/server/network_world.h"

struct world world;
_Atomic int files_released;

/* --- the APIs --- */
static enum err decode_bytes(const struct api_entry *entry, struct slice body, int16_t version,
                             struct arena *arena, void **ret)
{
    (void)entry, (void)version;
    if (body.size == 1 && body.data[0] == 0xee)
        return err_note(ERR_MALFORMED, "the body is 0xee");
    struct slice *s = arena_alloc(arena, sizeof *s);
    *s = body;
    *ret = s;
    return ERR_OK;
}

static enum err encode_bytes(const struct api_entry *entry, struct answer *answer, int16_t version,
                             const void *response)
{
    (void)entry, (void)version;
    buf_put_slice(&answer->bytes, *(const struct slice *)response);
    return ERR_OK;
}

static void on_file_released(void *file)
{
    (void)file;
    atomic_fetch_add(&files_released, 1);
}

/* Much memory for a short body, all of which is written to. */
static enum err decode_spreading(const struct api_entry *entry, struct slice body, int16_t version,
                                 struct arena *arena, void **ret)
{
    if (!arena_try(arena, body.size * SPREAD))
        return err_note(ERR_NO_MEMORY, "too much");
    return decode_bytes(entry, body, version, arena, ret);
}

/* The body names two sizes; "<", the first slice, "|", the second, ">". */
static enum err encode_file(const struct api_entry *entry, struct answer *answer, int16_t version,
                            const void *response)
{
    (void)entry, (void)version;
    const uint8_t *sizes = response;
    struct answer_splice splice = {.fd = fileno(world.file), .release = on_file_released};
    buf_put(&answer->bytes, "<", 1);
    for (int i = 0; i < 2; i++) {
        splice.at = answer->bytes.size;
        splice.position = i * 1000;
        splice.size_bytes = get_be32(sizes + 4 * i);
        answer_splice_file(answer, &splice);
        buf_put(&answer->bytes, i == 0 ? "|" : ">", 1);
    }
    return ERR_OK;
}

static void handle_echo(struct request *request)
{
    request_answer(request, request->message);
}

static void handle_file(struct request *request)
{
    request_answer(request, ((const struct slice *)request->message)->data);
}

static void handle_silent(struct request *request)
{
    request_answer(request, NULL);
}

static void time_is_up(struct request *request)
{
    request_answer(request, request->message);
}

/* As a fetch that waits for records: held by others, and with a time at which it is answered. */
static void handle_never(struct request *request)
{
    request_timer_set(request, INT64_MAX, NULL, time_is_up);
    world.held = request;
    atomic_fetch_add(&world.held_count, 1);
}

/* --- what waits for others, as a fetch does --- */
struct waiter {
    struct list_node node; /* of world.waiting; not linked: it has been woken */
    struct request *request;
    int wakes_left;
};

static void wait_for_wake(struct waiter *waiter)
{
    pthread_mutex_lock(&world.waiting_mutex);
    list_push_back(&world.waiting, &waiter->node);
    pthread_mutex_unlock(&world.waiting_mutex);
}

static bool claim(struct request *request)
{
    struct waiter *waiter = request->waiting;
    pthread_mutex_lock(&world.waiting_mutex);
    bool waits = list_is_linked(&waiter->node);
    list_remove(&waiter->node);
    pthread_mutex_unlock(&world.waiting_mutex);
    return waits;
}

static void on_woken(struct request *request)
{
    struct waiter *waiter = request->waiting;
    if (--waiter->wakes_left > 0) {
        wait_for_wake(waiter);
        return;
    }
    request_timer_cancel(request);
    request_answer(request, request->message);
}

static void handle_waiting(struct request *request)
{
    struct waiter *waiter = arena_alloc(request->arena, sizeof *waiter);
    *waiter = (struct waiter){.wakes_left = ((const struct slice *)request->message)->data[0]};
    list_init(&waiter->node);
    request->waiting = waiter;
    request_timer_set(request, world.waiting_max_ms ? world.waiting_max_ms : INT64_MAX, claim,
                      time_is_up);
    waiter->request = request;
    wait_for_wake(waiter);
}

static struct waiter *next_waiter(void)
{
    pthread_mutex_lock(&world.waiting_mutex);
    struct list_node *node = list_pop_front(&world.waiting);
    pthread_mutex_unlock(&world.waiting_mutex);
    return node ? list_entry(node, struct waiter, node) : NULL;
}

/* Nobody woken here runs before this has returned, so none comes back meanwhile. */
static void handle_waking(struct request *request)
{
    for (struct waiter *waiter; (waiter = next_waiter());)
        request_run_soon(waiter->request, on_woken);
    request_answer(request, request->message);
}

int waiting_count(void)
{
    pthread_mutex_lock(&world.waiting_mutex);
    int count = 0;
    list_for_each (&world.waiting, node)
        count++;
    pthread_mutex_unlock(&world.waiting_mutex);
    return count;
}

static void handle_throttled(struct request *request)
{
    request_throttle(request, 300);
    request_answer(request, request->message);
}

static void handle_refused(struct request *request)
{
    request_refuse(request, "nobody may ask this");
}

static const struct api_entry entries[] = {
    {KEY_ECHO, 0, 9, 5, "Echo", ON_LOOP, handle_echo, decode_bytes, encode_bytes},
    {KEY_FILE, 0, 0, INT16_MAX, "File", ON_LOOP, handle_file, decode_bytes, encode_file},
    {KEY_LATER, 0, 0, INT16_MAX, "Later", ON_WORKER, handle_echo, decode_bytes, encode_bytes},
    {KEY_SILENT, 0, 0, INT16_MAX, "Silent", ON_LOOP, handle_silent, decode_bytes, encode_bytes},
    {KEY_NEVER, 0, 0, INT16_MAX, "Never", ON_LOOP, handle_never, decode_bytes, encode_bytes},
    {KEY_THROTTLED, 0, 0, INT16_MAX, "Throttled", ON_LOOP, handle_throttled, decode_bytes,
     encode_bytes},
    {KEY_SPREADING, 0, 0, INT16_MAX, "Spreading", ON_LOOP, handle_echo, decode_spreading,
     encode_bytes},
    {KEY_SPREADING_NEVER, 0, 0, INT16_MAX, "SpreadingNever", ON_LOOP, handle_never,
     decode_spreading, encode_bytes},
    {KEY_WAITING, 0, 0, INT16_MAX, "Waiting", ON_LOOP, handle_waiting, decode_bytes, encode_bytes},
    {KEY_WAKING, 0, 0, INT16_MAX, "Waking", ON_LOOP, handle_waking, decode_bytes, encode_bytes},
    {KEY_REFUSED, 0, 0, INT16_MAX, "Refused", ON_LOOP, handle_refused, decode_bytes, encode_bytes},
    {API_KEY_API_VERSIONS, 0, 4, 3, "ApiVersions", ON_LOOP, handle_echo, decode_bytes,
     encode_bytes},
};

const struct api_entry *lookup(int16_t key)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (entries[i].api_key == key)
            return &entries[i];
    return NULL;
}

/* --- a worker --- */
static void to_worker(void *context, struct request *request)
{
    struct world *w = context;
    mailbox_post(w->worker_mail, &request->node);
}

static void *work(void *context)
{
    struct world *w = context;
    for (;;) {
        struct list_node messages;
        list_init(&messages);
        mailbox_wait(w->worker_mail, -1);
        mailbox_receive(w->worker_mail, &messages);
        for (struct list_node *node; (node = list_pop_front(&messages));) {
            if (node == &w->stop)
                return NULL;
            struct request *request = list_entry(node, struct request, node);
            if (random() % 3 == 0)
                sched_yield();
            request->run(request);
        }
    }
}

void start(const struct network_options *changes)
{
    struct network_options options = *changes;
    static const struct listener_options one = {"PLAIN", "127.0.0.1", 0,
                                                false,   INT32_MAX,   INT32_MAX};
    if (!options.listeners) {
        options.listeners = &one;
        options.listeners_count = 1;
    }
    options.threads_count = 2;
    options.lookup = lookup;
    options.to_worker = to_worker;
    options.context = &world;
    world.worker_mail = mailbox_new();
    list_init(&world.stop);
    atomic_store(&world.held_count, 0);
    pthread_mutex_init(&world.waiting_mutex, NULL);
    list_init(&world.waiting);
    world.worker = thread_start("worker", work, &world);
    assert_int_equal(network_start(&options, &world.network), ERR_OK);
    if (!world.stays_closed)
        network_open(world.network);
}

void stop(void)
{
    network_stop(world.network, 2000);
    mailbox_post(world.worker_mail, &world.stop);
    pthread_join(world.worker, NULL);
    network_free(world.network);
    mailbox_free(world.worker_mail);
}

void start_default(void)
{
    struct network_options options;
    network_options_init(&options);
    start(&options);
}

/* --- a client --- */
int dial_listener(size_t listener)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(network_port(world.network, listener)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
}

int dial(void)
{
    return dial_listener(0);
}

void put_request(struct buf *to, int16_t key, int16_t version, int32_t id, struct slice body)
{
    bool is_flexible = lookup(key) && version >= lookup(key)->flexible_version;
    buf_put_be32(to, (uint32_t)(8 + 3 + is_flexible + body.size));
    buf_put_be16(to, (uint16_t)key);
    buf_put_be16(to, (uint16_t)version);
    buf_put_be32(to, (uint32_t)id);
    buf_put_be16(to, 1);
    buf_put(to, "c", 1);
    if (is_flexible)
        buf_put_u8(to, 0);
    buf_put_slice(to, body);
}

void send_all(int fd, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = send(fd, (const uint8_t *)data + done, size - done, MSG_NOSIGNAL);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

void send_request(int fd, int16_t key, int16_t version, int32_t id, struct slice body)
{
    struct buf bytes = {0};
    put_request(&bytes, key, version, id, body);
    send_all(fd, bytes.data, bytes.size);
    buf_done(&bytes);
}

void receive_all(int fd, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = recv(fd, (uint8_t *)data + done, size - done, 0);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

uint8_t *receive_answer(int fd, size_t *ret_size)
{
    uint8_t head[4];
    receive_all(fd, head, 4);
    *ret_size = get_be32(head);
    uint8_t *answer = mem_alloc(*ret_size + 1);
    receive_all(fd, answer, *ret_size);
    return answer;
}

void expect_answer(int fd, int32_t id, struct slice body)
{
    size_t size;
    OWNED_MEM uint8_t *answer = receive_answer(fd, &size);
    assert_int_equal(size, 4 + body.size);
    assert_int_equal(get_be32(answer), id);
    assert_memory_equal(answer + 4, body.data, body.size);
}

void expect_closed(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

struct network_counters counters_now(void)
{
    struct network_counters c;
    network_counters(world.network, &c);
    return c;
}

struct slice body_of(size_t size, uint8_t seed)
{
    uint8_t *bytes = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((seed + i * 7) & 0x7f);
    return slice_of(bytes, size);
}
