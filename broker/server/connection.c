/* Reading. A connection without a half request reads into its thread's scratch buffer, so an idle
 * one holds no memory. A large frame that is whole in there is worked where it lies, and if its
 * request has to wait, the buffer goes with it and the thread takes another; a small one is copied.
 * One that is not whole gets a buffer which grows with the bytes that arrive, whatever size was
 * announced, and which becomes the request's own once the frame is whole; what follows it in the
 * socket comes into the scratch with the same call.
 *
 * Reading is stopped lazily: while a request is worked on the event stays in the loop, and only if
 * bytes come meanwhile is it taken out. A client that waits for its answers costs no epoll_ctl at
 * all. */
#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "broker/base/trace.h"
#include "broker/server/network_internal.h"

static void start_reading(struct connection *conn)
{
    if (!conn->is_reading)
        event_add(&conn->read_event, NULL);
    conn->is_reading = true;
}

static void stop_reading(struct connection *conn)
{
    if (conn->is_reading)
        event_del(&conn->read_event);
    conn->is_reading = false;
}

static void charge(struct connection *conn, int64_t bytes)
{
    count(&conn->thread->network->unfinished_bytes, bytes);
}

static void input_free(struct connection *conn)
{
    charge(conn, -(int64_t)conn->input_capacity);
    free(conn->input);
    conn->input = NULL;
    conn->input_size = conn->input_capacity = 0;
}

void connection_free(struct connection *conn)
{
    pthread_mutex_destroy(&conn->turn);
    free(conn);
}

void connection_discard(struct connection *conn)
{
    struct network *network = conn->thread->network;
    if (conn->fd >= 0) {
        close(conn->fd);
        limits_release(network->limits, conn->listener, conn->address);
    }
    connection_free(conn);
}

static void free_if_unused(struct connection *conn)
{
    if (conn->state == CLOSED && !conn->in_use && !conn->request)
        connection_free(conn);
}

/* Nobody else sends on it any more. Gives whether its request has been answered. */
static bool close_socket(struct connection *conn)
{
    pthread_mutex_lock(&conn->turn);
    conn->rests = false;
    close(conn->fd);
    conn->fd = -1;
    bool is_answered = conn->request && conn->request->is_answered_away;
    pthread_mutex_unlock(&conn->turn);
    return is_answered;
}

void connection_close(struct connection *conn)
{
    if (conn->state == CLOSED)
        return;
    struct network_thread *thread = conn->thread;
    stop_reading(conn);
    event_del(&conn->write_event);
    timer_cancel(&thread->timers, &conn->throttle_timer);
    list_remove(&conn->lru);
    list_remove(&conn->paused);
    list_remove(&conn->resume);
    input_free(conn);
    bool is_answering = close_socket(conn) || conn->state == ANSWERING;
    limits_release(thread->network->limits, conn->listener, conn->address);
    count(&thread->counters.connections, -1);
    conn->state = CLOSED;
    if (is_answering)
        request_release(conn->request); /* gives the struct back through connection_continue() */
    else
        free_if_unused(conn);
    thread_check_done(thread);
}

void connection_touch(struct connection *conn)
{
    conn->last_active_ms = thread_now_ms(conn->thread);
    list_remove(&conn->lru);
    list_push_back(&conn->thread->connections, &conn->lru);
}

/* Errors close the connection, with a line that says why. */
static bool size_is_good(struct connection *conn, int32_t size)
{
    int32_t max = conn->thread->network->options.request_max_bytes;
    if (size >= 0 && size <= max)
        return true;
    char why[96];
    snprintf(why, sizeof why, "a frame announces %d bytes, socket.request.max.bytes is %d", size,
             max);
    connection_refuse(conn, why);
    return false;
}

static void begin_with_copy(struct connection *conn, const uint8_t *bytes, size_t size)
{
    uint8_t *memory = mem_try(size ? size : 1);
    if (!memory) {
        connection_refuse(conn, "memory is exhausted");
        return;
    }
    memcpy(memory, bytes, size);
    charge(conn, (int64_t)size);
    request_begin(conn, memory, size, slice_of(memory, size));
}

/* The frame stays in the scratch. A request that is not answered at once keeps the whole buffer;
 * the caller may read on in it, as the request cannot end before the loop turns. */
static void begin_in_scratch(struct connection *conn, const uint8_t *bytes, size_t size)
{
    struct network_thread *thread = conn->thread;
    request_begin(conn, NULL, 0, slice_of(bytes, size));
    conn->requests_wait = conn->request;
    if (!conn->request)
        return;
    charge(conn, SCRATCH_BYTES);
    request_keep(conn->request, thread->scratch, SCRATCH_BYTES);
    thread->scratch = mem_alloc(SCRATCH_BYTES);
}

/* Whoever had to wait last time will again (acks=all of several replicas): a copy of its frame is
 * smaller than the scratch. */
static void begin(struct connection *conn, const uint8_t *frame, size_t size, bool is_in_scratch)
{
    if (is_in_scratch && size >= IN_PLACE_MIN_BYTES && !conn->requests_wait) {
        begin_in_scratch(conn, frame, size);
        return;
    }
    begin_with_copy(conn, frame, size);
    conn->requests_wait = conn->request;
}

/* How many bytes the frame at the front has with its size; 0 while it is not whole, or refused. */
static size_t whole_frame_size(struct connection *conn, const uint8_t *data, size_t size)
{
    if (size < FRAME_SIZE_BYTES)
        return 0;
    int32_t frame_size = (int32_t)get_be32(data);
    if (!size_is_good(conn, frame_size) || size - FRAME_SIZE_BYTES < (size_t)frame_size)
        return 0;
    return FRAME_SIZE_BYTES + (size_t)frame_size;
}

static bool is_whole(const uint8_t *data, size_t size)
{
    return size >= FRAME_SIZE_BYTES && size - FRAME_SIZE_BYTES >= get_be32(data);
}

/* Begin a request with each whole frame for as long as they are answered at once. Gives the bytes
 * that were used. */
static size_t consume(struct connection *conn, const uint8_t *data, size_t size, bool is_in_scratch)
{
    size_t used = 0;
    while (conn->state == READING) {
        size_t whole = whole_frame_size(conn, data + used, size - used);
        if (whole == 0)
            break;
        const uint8_t *frame = data + used + FRAME_SIZE_BYTES;
        used += whole;
        conn->is_followed = is_whole(data + used, size - used);
        begin(conn, frame, whole - FRAME_SIZE_BYTES, is_in_scratch);
    }
    conn->is_followed = false;
    return used;
}

/* Room for the bytes of a frame that is not whole. False: the bound of all connections is reached.
 */
static bool input_has_room(struct connection *conn, size_t capacity)
{
    struct network *network = conn->thread->network;
    int64_t others = counted(&network->unfinished_bytes) - (int64_t)conn->input_capacity;
    return others <= 0 || others + (int64_t)capacity <= network->options.unfinished_max_bytes;
}

static bool input_resize(struct connection *conn, size_t capacity)
{
    uint8_t *grown = realloc(conn->input, capacity);
    if (!grown) {
        connection_refuse(conn, "memory is exhausted");
        return false;
    }
    charge(conn, (int64_t)capacity - (int64_t)conn->input_capacity);
    conn->input = grown;
    conn->input_capacity = capacity;
    return true;
}

static void input_put(struct connection *conn, const uint8_t *data, size_t size)
{
    assert(!conn->input);
    size_t capacity = size < INPUT_FIRST_BYTES ? INPUT_FIRST_BYTES : size;
    if (!input_resize(conn, capacity))
        return;
    memcpy(conn->input, data, size);
    conn->input_size = size;
}

/* How many bytes the first frame has with its size, or those of the size while it is not there. */
static size_t input_needed(const struct connection *conn)
{
    if (conn->input_size < FRAME_SIZE_BYTES)
        return FRAME_SIZE_BYTES;
    return FRAME_SIZE_BYTES + (size_t)get_be32(conn->input);
}

static bool input_grow(struct connection *conn, size_t needed)
{
    if (conn->input_size < conn->input_capacity)
        return true;
    size_t capacity = conn->input_capacity * 2;
    if (capacity > needed)
        capacity = needed;
    if (!input_has_room(conn, capacity)) {
        stop_reading(conn);
        thread_pause_for_memory(conn->thread, conn);
        return false;
    }
    return input_resize(conn, capacity);
}

/* The buffer holds one whole frame and nothing else: it becomes the request's. */
static void begin_with_input(struct connection *conn)
{
    uint8_t *memory = conn->input;
    size_t charged = conn->input_capacity, size = conn->input_size;
    conn->input = NULL;
    conn->input_size = conn->input_capacity = 0;
    request_begin(conn, memory, charged,
                  slice_of(memory + FRAME_SIZE_BYTES, size - FRAME_SIZE_BYTES));
}

/* Its end is no news where it had asked for nothing more. */
static void close_gone(struct connection *conn)
{
    if (conn->input)
        trace_info("connection closed peer=%s listener=%s reason=the client left half a request",
                   conn->peer, conn->thread->network->listeners[conn->listener].options.name);
    connection_close(conn);
}

static void on_gone(struct connection *conn, ssize_t n)
{
    if (n < 0 && errno != ECONNRESET && errno != EPIPE) {
        trace_info("connection failed peer=%s reason=%s", conn->peer, strerror(errno));
        connection_close(conn);
        return;
    }
    close_gone(conn);
}

/* Closes on the end and on errors. 0: nothing (more) to do now. */
static size_t receive(struct connection *conn, struct iovec *rooms, size_t count_of_rooms)
{
    struct msghdr message = {.msg_iov = rooms, .msg_iovlen = count_of_rooms};
    ssize_t n;
    do
        n = recvmsg(conn->fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n <= 0) {
        on_gone(conn, n);
        return 0;
    }
    count(&conn->thread->counters.received_bytes, n);
    return (size_t)n;
}

/* What came into the scratch: whole frames begin, what is left waits in the connection's buffer. */
static void take_scratch(struct connection *conn, size_t from, size_t to)
{
    const uint8_t *scratch = conn->thread->scratch;
    size_t used = from + consume(conn, scratch + from, to - from, true);
    if (conn->state != CLOSED && used < to)
        input_put(conn, scratch + used, to - used);
}

/* Gives whether there may be more to read now. */
static bool read_to_scratch(struct connection *conn, size_t *ret_size)
{
    struct iovec room = {conn->thread->scratch, SCRATCH_BYTES};
    *ret_size = receive(conn, &room, 1);
    if (*ret_size == 0)
        return false;
    connection_touch(conn);
    take_scratch(conn, 0, *ret_size);
    return *ret_size == SCRATCH_BYTES;
}

/* The half frame has grown: refuse it, or begin its request if it is whole. */
static void input_look(struct connection *conn)
{
    if (conn->input_size < FRAME_SIZE_BYTES || !size_is_good(conn, (int32_t)get_be32(conn->input)))
        return;
    if (conn->input_size == input_needed(conn))
        begin_with_input(conn);
}

/* The half frame takes of the bytes in the scratch what belongs to it. Gives how many. */
static size_t input_take(struct connection *conn, size_t size)
{
    size_t needed = input_needed(conn), missing = needed - conn->input_size;
    size_t taken = missing < size ? missing : size;
    size_t capacity = conn->input_size + taken;
    if (capacity > conn->input_capacity && !input_resize(conn, capacity))
        return size;
    memcpy(conn->input + conn->input_size, conn->thread->scratch, taken);
    conn->input_size += taken;
    return taken;
}

/* Add to the half frame in the buffer. Its end is read together with what follows it: the bytes for
 * which the buffer has no room yet go by way of the scratch, so that memory still follows what has
 * arrived. Gives whether there may be more to read now. */
static bool read_to_input(struct connection *conn, size_t *ret_size)
{
    size_t needed = input_needed(conn);
    bool reads_on = needed > FRAME_SIZE_BYTES && needed - conn->input_size <= SCRATCH_BYTES &&
                    input_has_room(conn, conn->input_capacity + SCRATCH_BYTES);
    *ret_size = 0;
    if (!reads_on && !input_grow(conn, needed))
        return false;
    size_t end = needed < conn->input_capacity ? needed : conn->input_capacity;
    size_t room = end - conn->input_size;
    struct iovec rooms[] = {{conn->input + conn->input_size, room},
                            {conn->thread->scratch, SCRATCH_BYTES}};
    size_t size = receive(conn, rooms, reads_on ? 2 : 1);
    *ret_size = size;
    if (size == 0)
        return false;
    connection_touch(conn);
    size_t beyond = size > room ? size - room : 0, taken = 0;
    conn->input_size += size - beyond;
    if (beyond)
        taken = input_take(conn, beyond);
    if (conn->state != CLOSED)
        input_look(conn);
    if (taken < beyond && conn->state != CLOSED)
        take_scratch(conn, taken, beyond);
    return size == room + (reads_on ? SCRATCH_BYTES : 0);
}

/* Until the socket is empty, a request waits, or the others' turn has come. A short read means
 * that nothing is left: the loop tells when there is. */
static void read_on(struct connection *conn)
{
    size_t turn = 0, size;
    bool is_more = true;
    while (is_more && conn->state == READING && turn < READ_TURN_MAX_BYTES) {
        is_more = conn->input ? read_to_input(conn, &size) : read_to_scratch(conn, &size);
        turn += size;
    }
}

/* How many of the bytes are whole frames; a size that is not good counts, so that it is refused. */
static size_t whole_frames_size(const struct connection *conn, const uint8_t *data, size_t size)
{
    size_t whole = 0;
    while (size - whole >= FRAME_SIZE_BYTES) {
        int32_t frame_size = (int32_t)get_be32(data + whole);
        if (frame_size < 0 || frame_size > conn->thread->network->options.request_max_bytes)
            return whole + FRAME_SIZE_BYTES;
        if (size - whole - FRAME_SIZE_BYTES < (size_t)frame_size)
            break;
        whole += FRAME_SIZE_BYTES + (size_t)frame_size;
    }
    return whole;
}

/* The whole frames that wait in the socket; not 0 where reading tells more (its end, an error). */
static size_t peek_whole_frames(struct connection *conn)
{
    uint8_t *scratch = conn->thread->scratch;
    ssize_t n = recv(conn->fd, scratch, SCRATCH_BYTES, MSG_DONTWAIT | MSG_PEEK);
    return n > 0 ? whole_frames_size(conn, scratch, (size_t)n) : FRAME_SIZE_BYTES;
}

/* While unfinished requests fill the memory they share, whole ones are still served: they need none
 * of it. Only what is whole is taken off the socket. False: there is none. */
static bool read_whole_frames(struct connection *conn)
{
    size_t whole = peek_whole_frames(conn);
    if (whole == 0)
        return false;
    struct iovec room = {conn->thread->scratch, whole};
    size_t size = receive(conn, &room, 1);
    if (size > 0) {
        connection_touch(conn);
        take_scratch(conn, 0, size);
    }
    return true;
}

/* The owner does nothing with it until bytes come, so that its request may be answered away. */
static void let_rest(struct connection *conn)
{
    if (conn->state != WORKING || !conn->is_reading || conn->input || conn->thread->is_stopping)
        return;
    pthread_mutex_lock(&conn->turn);
    conn->rests = true;
    pthread_mutex_unlock(&conn->turn);
}

static void leave(struct connection *conn)
{
    connection_uncork(conn);
    conn->in_use = false;
    let_rest(conn);
    free_if_unused(conn);
}

static void take_bytes(struct connection *conn)
{
    if (conn->state != READING || list_is_linked(&conn->resume)) {
        stop_reading(conn); /* connection_continue() starts it again */
        return;
    }
    if (!conn->input && !input_has_room(conn, SCRATCH_BYTES)) {
        if (read_whole_frames(conn))
            return;
        stop_reading(conn);
        thread_pause_for_memory(conn->thread, conn);
        return;
    }
    read_on(conn);
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct connection *conn = context;
    struct network_thread *thread = conn->thread;
    conn->in_use = true;
    if (conn->state == WORKING)
        connection_settle(conn);
    take_bytes(conn);
    leave(conn);
    thread_run_soon(thread);
}

/* Frames that came behind one that had to wait for its answer. */
static void consume_input(struct connection *conn)
{
    size_t used = consume(conn, conn->input, conn->input_size, false);
    if (conn->state == CLOSED)
        return;
    if (used == conn->input_size) {
        input_free(conn);
    } else {
        memmove(conn->input, conn->input + used, conn->input_size - used);
        conn->input_size -= used;
    }
}

/* READING again after a wait: first what is here, then the socket. From the loop itself, not from
 * within a handler. */
void connection_continue(struct connection *conn)
{
    if (conn->state == CLOSED || conn->in_use) {
        free_if_unused(conn);
        return;
    }
    conn->in_use = true;
    if (conn->state == READING && conn->input)
        consume_input(conn);
    if (conn->state == READING)
        start_reading(conn);
    leave(conn);
}

/* Nobody reads from it, so nobody sees its end; and what it holds is missing to the others. What
 * lies in the socket may still make the request whole: a client may close its side behind it. */
static bool has_gone(struct connection *conn)
{
    int64_t now_ms = thread_now_ms(conn->thread);
    if (now_ms < conn->look_if_gone_ms)
        return false;
    conn->look_if_gone_ms = now_ms + LOOK_IF_GONE_MS;
    struct pollfd poll_fd = {.fd = conn->fd, .events = POLLRDHUP};
    int waiting = 0;
    if (poll(&poll_fd, 1, 0) <= 0)
        return false;
    return (poll_fd.revents & (POLLERR | POLLHUP)) || ioctl(conn->fd, FIONREAD, &waiting) ||
           conn->input_size + (size_t)waiting < input_needed(conn);
}

void connection_retry_memory(struct connection *conn)
{
    size_t more = conn->input ? conn->input_capacity * 2 : SCRATCH_BYTES;
    if (!input_has_room(conn, more) && (conn->input || peek_whole_frames(conn) == 0)) {
        if (conn->input && has_gone(conn))
            close_gone(conn);
        return;
    }
    list_remove(&conn->paused);
    if (conn->input) /* small ones that pass by free nothing */
        conn->thread->memory_progress_ms = thread_now_ms(conn->thread);
    if (conn->state == READING)
        start_reading(conn);
}

static void on_throttle_over(struct timer *timer)
{
    struct connection *conn = list_entry(timer, struct connection, throttle_timer);
    conn->state = READING;
    connection_continue(conn);
}

void connection_arrive(struct network_thread *thread, struct mail *mail)
{
    struct connection *conn = list_entry(mail, struct connection, arrival);
    if (thread->is_stopping) {
        connection_discard(conn);
        return;
    }
    list_init(&conn->lru);
    list_init(&conn->paused);
    list_init(&conn->resume);
    conn->state = READING;
    conn->throttle_timer.fire = on_throttle_over;
    event_assign(&conn->read_event, thread->base, conn->fd, EV_READ | EV_PERSIST, on_readable,
                 conn);
    event_assign(&conn->write_event, thread->base, conn->fd, EV_WRITE, connection_on_writable,
                 conn);
    count(&thread->counters.connections, 1);
    connection_touch(conn);
    int64_t idle_ms = thread->network->options.idle_max_ms;
    if (idle_ms >= 0 && !timer_is_set(&thread->idle_timer))
        thread_timer_set(thread, &thread->idle_timer, idle_ms);
    start_reading(conn);
}
