/* A broker's Metadata and Produce of many partitions, asked over a bare socket: what the programs
 * of tests/bench/failover need to see when every partition is led again. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/slice.h"

struct led_partition {
    const char *topic; /* lives as long as the view */
    int32_t id, leader;
    bool is_done; /* for the caller */
};

struct metadata_view {
    struct led_partition *partitions;
    size_t count, capacity, led;
    char **names;
    size_t names_count, names_capacity;
};

void metadata_view_clear(struct metadata_view *view);

/* -1 while nobody listens there. */
int bench_connect(uint16_t port);
/* Sends a frame without its size, gives the answer after its correlation id. False when the
 * connection broke. */
bool bench_ask(int fd, const struct buf *request, struct buf *ret_answer);

/* All topics, as the broker knows them now. `gone`: a leader that does not count.
 * False when the connection broke. */
bool metadata_ask(int fd, int32_t gone, struct metadata_view *ret_view);

/* One record to each of `view`'s partitions that `leader` leads and that is not done; marks those
 * that were accepted, and counts those that were not. False when the connection broke. */
bool produce_to_led(int fd, struct metadata_view *view, int32_t leader, int16_t acks,
                    size_t *ret_refused);
