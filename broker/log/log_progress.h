/* Says every few seconds how far the reading of one long log has come: who waits for a broker that
 * reads 200 GB again after a crash sees that it works, how fast, and how long it will take. A log
 * that is read sooner says nothing. Internal to this folder. Threads: one. */
#pragma once

#include "broker/log/log_internal.h"

enum log_reading { READ_TO_RECOVER, READ_FOR_PRODUCERS };

struct log_progress {
    const struct log *log;
    enum log_reading reading;
    int64_t of_bytes, done_bytes;
    int of_segments, done_segments;

    int64_t begun_ms, next_ms; /* monotonic */
    int64_t looked_at_bytes;   /* as of the last look at the clock */
    bool has_spoken;
};

/* The segments from slot `first` on, `count` of them, will be read. Keeps the log, whose lock is
 * held until log_progress_end(). */
void log_progress_begin(struct log_progress *progress, const struct log *log,
                        enum log_reading reading, int first, int count);
/* The first bytes of a segment need not be read. */
void log_progress_skip(struct log_progress *progress, int64_t bytes);
void log_progress_bytes(struct log_progress *progress, int64_t bytes);
void log_progress_segment(struct log_progress *progress);
/* Who was told that it goes on is told that it is over; of an error the caller speaks. */
void log_progress_end(struct log_progress *progress, enum err e);
