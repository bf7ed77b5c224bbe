/* What the files of the network share: threads, connections, and requests with what the network
 * keeps of them.
 *
 * A connection's life (connection_move() is the only place that changes it):
 *
 *     READING --frame whole--> WORKING --answered--> ANSWERING --sent--> READING
 *        |                        |                      |  \--sent, throttled--> THROTTLED -->
 * READING
 *        '------------------------'---- CLOSED <---------'
 *
 *   READING    no request; bytes of at most one frame have arrived
 *   WORKING    `request` is with its handler, or has been answered away, which is found later
 *              (request_soon.c); what arrives stays in the kernel
 *   ANSWERING  `request` holds the answer, of which some has not left yet; nothing is read
 * meanwhile, so a client that does not take its answers gets no more requests in THROTTLED  as
 * READING, but nothing is read until the timer CLOSED     the socket is gone; the struct lives
 * until its request comes back from its handler */
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "broker/base/mailbox.h"
#include "broker/base/thread.h"
#include "broker/base/timers.h"
#include "broker/server/frame.h"
#include "broker/server/limits.h"
#include "broker/server/output.h"

/* One read of a connection that has no buffer of its own: room for a few requests of the usual
 * batch sizes, and few enough bytes to stay in a processor's cache until they are written. */
#define SCRATCH_BYTES      (128 << 10)
#define IN_PLACE_MIN_BYTES (8 << 10) /* smaller frames are copied out of there */
#define INPUT_FIRST_BYTES  512       /* a half frame begins with so much, and doubles */
#define READ_TURN_MAX_BYTES                                                                        \
    (256 << 10)               /* what one connection may read before others have their turn */
#define SPARE_REQUESTS_MAX 64 /* kept for use again, per thread */
#define ACCEPT_TURN_MAX    64
#define MEMORY_RETRY_MS    10  /* paused connections look again for room */
#define LOOK_IF_GONE_MS    500 /* and whether their clients are there still */
#define MEMORY_STALL_MS                                                                            \
    10000 /* nobody got room for so long: the oldest half request is given up                      \
           */
#define DECODE_MAX_PER_BYTE   64 /* arena bytes that decoding may use for each byte of a frame, */
#define DECODE_MAX_FLAT_BYTES (1 << 20) /* and besides */
#define DECODE_FREE_BYTES                                                                          \
    (16 << 10) /* of one request that are not counted: so many every request may need */

enum connection_state { READING, WORKING, ANSWERING, THROTTLED, CLOSED };

struct network_thread;
struct listener;

struct mail {
    struct list_node node;
    void (*take)(struct network_thread *thread, struct mail *mail);
};

/* On its way to a thread that has a connection to give up; a thread without one passes it on. */
struct eviction {
    struct mail mail;
    int asked_count; /* threads */
};

/* A listener has gone, and with it its connections of this thread. */
struct farewell {
    struct mail mail;
    uint32_t listener;
};

struct connection {
    struct mail arrival;
    struct network_thread *thread;
    struct list_node lru;    /* thread->connections, least recently active first; CLOSED: none */
    struct list_node paused; /* thread->paused, while there is no room for its bytes */
    struct list_node resume; /* thread->resumes, while whole frames may wait in `input` */
    struct event read_event, write_event;
    struct timer throttle_timer;
    struct network_request *request; /* WORKING, ANSWERING, and CLOSED until it is back */
    uint8_t *input;                  /* what arrived beyond whole frames; NULL: nothing */
    size_t input_size, input_capacity;
    int64_t last_active_ms;
    int64_t look_if_gone_ms; /* while it is paused with half a request: not before */
    struct in6_addr address;
    uint32_t listener;
    int fd;
    enum connection_state state;
    pthread_mutex_t turn; /* of whoever runs its request away from home (request_soon.c); guards
                             that, the descriptor's closing, and `rests` */
    bool rests;           /* its request may be run and answered away */
    bool is_reading;      /* read_event is in the loop */
    bool in_use;          /* a function further up the stack still needs the struct */
    bool is_followed;     /* another whole frame is at hand: an answer may wait for the next one */
    bool is_corked;       /* an answer does: connection_uncork() sends it */
    bool requests_wait;   /* the last one was not answered at once */
    bool has_asked;       /* a whole request has come */
    char peer[64];
};

struct network_request {
    struct request request; /* first */
    struct mail mail;
    struct list_node outstanding; /* thread->outstanding or thread->spare */
    struct network_thread *thread;
    struct connection *connection;
    const struct api_entry *entry;
    uint8_t *frame_memory;
    struct slice body;    /* of the frame, behind its header */
    size_t frame_charged; /* of the bound that unfinished requests share, with what was decoded */
    size_t decode_tried_bytes; /* decoding waits for more room than that */
    int64_t decode_give_up_ms; /* until then */
    struct output output;
    bool has_answer;
    char *refused_why; /* close instead of an answer */
    void (*posted_run)(struct request *request);
    struct timer timer;
    bool (*timer_claim)(struct request *request);
    void (*timer_fire)(struct request *request);
    bool is_answered_away, is_timer_cancelled; /* guarded by the connection's turn */
    int64_t throttle_ms;
};

struct thread_counters {
    _Atomic int64_t connections, idle_closed, bad_frames, evicted, requests, answers, answers_away,
        received_bytes, sent_bytes, sendfile_bytes, send_blocked, memory_pauses;
};

struct network_thread {
    struct network *network;
    int index;
    pthread_t pthread;
    struct mailbox *mailbox;
    struct mail stop;
    struct thread_counters counters;

    /* the thread's own from here on */
    struct event_base *base;
    struct event mailbox_event, timer_event, resume_event;
    struct timers timers;
    int64_t armed_ms; /* for when timer_event is set; INT64_MAX: it is not */
    uint8_t *scratch;
    struct list_node connections, paused, resumes, outstanding, spare;
    struct list_node soon;        /* struct network_request: to run when this turn is done */
    struct list_node resume_mark; /* in resumes while they are walked: behind it is the next turn */
    size_t spare_count;
    struct timer idle_timer, memory_timer, drain_timer;
    int64_t memory_progress_ms;
    bool is_stopping;
};

/* What the acceptor is told of a listener. */
struct listener_mail {
    struct list_node node;
    void (*take)(struct listener *listener, int fd);
    struct listener *listener;
    int fd;          /* bound and listening */
    sem_t *ret_done; /* NULL: nobody waits */
};

/* One name's place. The struct and its name live as long as the network: requests point at them.
 */
struct listener {
    struct network *network;
    struct listener_options options; /* name and is_inter_broker: fixed; others: the updater's */
    uint32_t index;
    uint16_t port; /* the updater's */
    bool in_use;   /* the updater's: it is listened on */

    int fd; /* the acceptor's from here on */
    struct event event;
    struct timer pause_timer;
    bool is_listening; /* event is in the loop */
    bool waits_for_slot;
};

struct acceptor {
    struct network *network;
    pthread_t pthread;
    struct event_base *base;
    struct event slot_event, timer_event, mailbox_event;
    struct mailbox *mailbox; /* of struct listener_mail */
    struct timers timers;
    int reserve_fd; /* given up for a moment when descriptors are exhausted */
    unsigned next_thread;
    _Atomic unsigned next_evicting;
    int64_t last_complaint_ms;
    _Atomic bool is_open; /* connections are taken */
    _Atomic bool is_stopping;
    bool is_started;
    _Atomic int64_t accepted, refused_per_ip, accept_errors;
};

struct network {
    struct network_options options; /* fixed from birth, as are the pointers */
    struct listener *listeners;     /* LISTENERS_MAX places */
    struct limits *limits;
    struct network_thread *threads; /* NETWORK_THREADS_MAX places */
    struct acceptor acceptor;
    _Atomic int threads_count;  /* started ones */
    _Atomic int threads_in_use; /* those that get new connections */
    int64_t drain_ms;           /* written before the threads are told to stop */
    _Atomic int64_t unfinished_bytes;

    pthread_mutex_t update_lock; /* taken before any ranked lock; guards down to the end */
    size_t listeners_count;      /* places that have a name */
    bool is_stopped;             /* nothing is updated any more */
};

/* --- connection.c: thread: the connection's --- */
void connection_arrive(struct network_thread *thread, struct mail *mail);
void connection_close(struct connection *conn);
void connection_discard(struct connection *conn); /* never arrived */
void connection_free(struct connection *conn);
void connection_continue(struct connection *conn);
void connection_retry_memory(struct connection *conn);
void connection_touch(struct connection *conn);

/* --- answering.c --- */
void connection_answer(struct connection *conn);
void connection_uncork(struct connection *conn);
void connection_refuse(struct connection *conn, const char *why);
/* WORKING: if its request has been answered away, that is over now; in any case the owner has it.
 */
void connection_settle(struct connection *conn);
void connection_on_writable(evutil_socket_t fd, short what, void *context);

/* --- request.c --- */
/* A whole frame: takes `memory`. NULL: the frame is the caller's, who gives it with request_keep()
 * unless the request is over at once. The connection is READING before, and may be in any state
 * after. */
void request_begin(struct connection *conn, uint8_t *memory, size_t charged, struct slice frame);
/* `memory`, in which the frame lies, is now the request's. Takes it. */
void request_keep(struct network_request *nr, uint8_t *memory, size_t charged);
void request_release(struct network_request *nr);
void request_free_all(struct network_thread *thread);

/* --- request_soon.c --- */
void thread_run_soon(struct network_thread *thread); /* at the end of each of the loop's events */
bool request_runs_away(const struct network_request *nr);
/* The answer is encoded. False: it, or the rest of it, is the owner's to send. */
bool request_answer_away(struct network_request *nr);

/* --- network_thread.c --- */
struct network_thread *network_thread_here(void); /* NULL: this is none */
void thread_init(struct network_thread *thread, struct network *network, int index);
void thread_done(struct network_thread *thread);
void *network_thread_run(void *context);
bool thread_is_current(const struct network_thread *thread);
int64_t thread_now_ms(const struct network_thread *thread);
void thread_timer_set(struct network_thread *thread, struct timer *timer, int64_t delay_ms);
void thread_check_done(struct network_thread *thread);
void thread_take_stop(struct network_thread *thread, struct mail *mail);
void thread_take_evict(struct network_thread *thread, struct mail *mail);
void thread_take_farewell(struct network_thread *thread, struct mail *mail);
void thread_pause_for_memory(struct network_thread *thread, struct connection *conn);

/* --- acceptor.c --- */
void acceptor_init(struct network *network);
void acceptor_start(struct network *network);
/* Tell the acceptor of a listener and its socket, and wait until it has done it. Before
 * acceptor_start() it is done at once. */
void acceptor_tell(struct listener *listener, void (*take)(struct listener *listener, int fd),
                   int fd);
void acceptor_add(struct listener *listener, int fd);
void acceptor_remove(struct listener *listener, int fd);
void acceptor_stop(struct network *network);
void acceptor_done(struct network *network);
void network_ask_for_eviction(struct network *network);

/* --- listeners.c --- */
/* Holding update_lock. */
MUST_USE enum err listeners_change(struct network *network, const struct network_options *options);

/* --- network.c --- */
void network_start_threads(struct network *network, int count);

static inline void count(_Atomic int64_t *counter, int64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}
static inline int64_t counted(const _Atomic int64_t *counter)
{
    return atomic_load_explicit((_Atomic int64_t *)counter, memory_order_relaxed);
}
