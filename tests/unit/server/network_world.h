/* What the tests of the network share: raw sockets against a table of small APIs of our own, an
 * echo that is answered on the loop, on another thread at random times, never, or from a file. */
#pragma once

/* clang-format off: cmocka.h needs these before it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/base/mailbox.h"
#include "broker/base/thread.h"
#include "broker/base/trace.h"
#include "broker/server/network.h"

enum {
    KEY_ECHO = 0,
    KEY_FILE = 1,
    KEY_LATER = 2,
    KEY_SILENT = 3,
    KEY_NEVER = 4,
    KEY_THROTTLED = 5,
    KEY_SPREADING = 6,
    KEY_SPREADING_NEVER = 7,
    KEY_REFUSED = 8,
    KEY_WAITING = 9, /* until it is woken as often as its first byte says */
    KEY_WAKING = 10  /* all that wait */
};

#define SPREAD 60 /* bytes decoded for each of the body */

#define BIG_FILE_BYTES (8 << 20)

struct world {
    struct network *network;
    struct mailbox *worker_mail;
    pthread_t worker;
    struct list_node stop;
    FILE *file;
    struct request *held;
    _Atomic int held_count;
    pthread_mutex_t waiting_mutex;
    struct list_node waiting; /* guarded by the mutex */
    int64_t waiting_max_ms;   /* 0: for ever */
    bool stays_closed;        /* start() does not open it */
};

extern struct world world;
extern _Atomic int files_released;

/* The table of the APIs above. */
const struct api_entry *lookup(int16_t key);
/* With two threads and, where none are given, one listener. */
void start(const struct network_options *changes);
void start_default(void);
void stop(void);
/* A client. */
int dial_listener(size_t listener);
int dial(void);
void put_request(struct buf *to, int16_t key, int16_t version, int32_t id, struct slice body);
void send_all(int fd, const void *data, size_t size);
void send_request(int fd, int16_t key, int16_t version, int32_t id, struct slice body);
void receive_all(int fd, void *data, size_t size);
/* Gives the answer without its size; the caller frees it. */
uint8_t *receive_answer(int fd, size_t *ret_size);
void expect_answer(int fd, int32_t id, struct slice body);
void expect_closed(int fd);
int waiting_count(void);
struct network_counters counters_now(void);
struct slice body_of(size_t size, uint8_t seed);

/* Bounded by the test's own time-out. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        for (int i_ = 0; !(condition); i_++) {                                                     \
            assert_true(i_ < 20000);                                                               \
            poll(NULL, 0, 1);                                                                      \
        }                                                                                          \
    } while (0)
