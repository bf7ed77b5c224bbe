/* See log_progress.h. */
#include "broker/log/log_progress.h"

#include <inttypes.h>

#include "broker/base/trace.h"

#define SPEAK_EVERY_MS   5000
#define LOOK_EVERY_BYTES (256 * 1024) /* batches may be tiny, and the clock is not free */

static const struct words {
    const char *during, *after;
} words[] = {
    [READ_TO_RECOVER] = {"log is being recovered", "log is recovered"},
    [READ_FOR_PRODUCERS] = {"producers are being read from the log",
                            "producers are read from the log"},
};

void log_progress_begin(struct log_progress *progress, const struct log *log,
                        enum log_reading reading, int first, int count)
{
    int64_t now = clock_mono_ms(log->host->clock);
    *progress = (struct log_progress){.log = log,
                                      .reading = reading,
                                      .of_segments = count,
                                      .begun_ms = now,
                                      .next_ms = now + SPEAK_EVERY_MS};
    for (int slot = first; slot < first + count; slot++)
        progress->of_bytes += log->list->items[slot]->size_bytes;
}

static int64_t per_second(int64_t bytes, int64_t elapsed_ms)
{
    return elapsed_ms > 0 ? (int64_t)((double)bytes * 1000 / (double)elapsed_ms) : 0;
}

static int64_t time_left_ms(const struct log_progress *progress, int64_t elapsed_ms)
{
    int64_t left = progress->of_bytes - progress->done_bytes;
    if (left <= 0 || progress->done_bytes == 0)
        return 0;
    return (int64_t)((double)elapsed_ms * (double)left / (double)progress->done_bytes);
}

static void speak(struct log_progress *progress, const char *what, int64_t now)
{
    int64_t elapsed = now - progress->begun_ms;
    trace_info("%s topic=%s partition=%" PRId32 " done_bytes=%" PRId64 " of_bytes=%" PRId64
               " done_segments=%d of_segments=%d bytes_per_second=%" PRId64 " elapsed_ms=%" PRId64
               " left_ms=%" PRId64,
               what, progress->log->topic, progress->log->partition, progress->done_bytes,
               progress->of_bytes, progress->done_segments, progress->of_segments,
               per_second(progress->done_bytes, elapsed), elapsed, time_left_ms(progress, elapsed));
}

void log_progress_skip(struct log_progress *progress, int64_t bytes)
{
    progress->of_bytes -= bytes;
}

void log_progress_bytes(struct log_progress *progress, int64_t bytes)
{
    progress->done_bytes += bytes;
    if (progress->done_bytes - progress->looked_at_bytes < LOOK_EVERY_BYTES)
        return;
    progress->looked_at_bytes = progress->done_bytes;
    int64_t now = clock_mono_ms(progress->log->host->clock);
    if (now < progress->next_ms)
        return;
    progress->has_spoken = true;
    progress->next_ms = now + SPEAK_EVERY_MS;
    speak(progress, words[progress->reading].during, now);
}

void log_progress_segment(struct log_progress *progress)
{
    progress->done_segments++;
}

void log_progress_end(struct log_progress *progress, enum err e)
{
    if (e || !progress->has_spoken)
        return;
    progress->of_bytes = progress->done_bytes; /* what lies behind a tear was not read */
    progress->of_segments = progress->done_segments;
    speak(progress, words[progress->reading].after, clock_mono_ms(progress->log->host->clock));
}
