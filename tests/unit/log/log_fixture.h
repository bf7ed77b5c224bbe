/* What the tests of the log share: a directory of their own, a clock moved by hand, batches made to
 * order, and a manager or a single log over them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/base/arena.h"
#include "broker/log/file_ops.h"
#include "broker/log/log_manager_internal.h"

struct fixture {
    char dir[64];
    char second_dir[80];
    int dirs_count;
    struct clock_manual clock;
    struct log_config config;
    int64_t producer_id_expiration_ms; /* looked at as often; 0: never */
    struct log_manager *manager;
    int dirs_failed;
};

/* From here on nothing is synced, and directories are made in memory where there is room: for who
 * makes thousands of them, and looks at no power cut. */
void fixture_leave_out_the_disk(void);

/* Warnings and errors that are traced from now on. */
void fixture_listen(void);
const char *fixture_said(void);
int fixture_said_count(const char *words);

/* For cmocka's setup and teardown. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Begin a run of the broker's log part on the directory; end it cleanly, or as kill -9 would. */
void fixture_start(struct fixture *f);
enum err fixture_try_start(struct fixture *f);
void fixture_stop(struct fixture *f);
void fixture_kill(struct fixture *f);
void fixture_restart(struct fixture *f);
void fixture_crash(struct fixture *f);
struct log *fixture_log(struct fixture *f, const char *topic,
                        int32_t partition); /* found or created */
struct log *fixture_find(struct fixture *f, const char *topic, int32_t partition);

struct batch_spec {
    int records;         /* 0: 1 */
    int value_size;      /* bytes of each value; 0: 8 */
    int64_t timestamp;   /* of the first, +1 each; 0: 1000 */
    int64_t producer_id; /* 0: none; use has_producer */
    bool has_producer, is_transactional;
    int16_t producer_epoch;
    int32_t base_sequence;
    int64_t base_offset; /* as replicas send it */
    int32_t leader_epoch;
};

/* Append a batch's bytes. */
void batch_make(struct buf *out, const struct batch_spec *spec);
void marker_make(struct buf *out, int64_t producer_id, int16_t producer_epoch,
                 int32_t coordinator_epoch, bool is_abort, int64_t timestamp);

/* Append as a leader of epoch `leader_epoch`; the result is in *ret (may be NULL). */
enum err append(struct log *log, const struct batch_spec *spec, struct append_result *ret);
enum err append_marker(struct log *log, int64_t producer_id, int16_t producer_epoch,
                       int32_t coordinator_epoch, bool is_abort);
void append_many(struct log *log, int batches, int records, int value_size);
enum err append_replica(struct log *log, const struct batch_spec *spec);

/* Read all batches from `offset` on and check that they are whole, right and ascending; gives how
 * many records. */
int64_t check_readable(struct log *log, int64_t offset, int64_t upper_offset);

#define assert_err(expression, code)                                                               \
    do {                                                                                           \
        enum err got_ = (expression);                                                              \
        if (got_ != (code))                                                                        \
            fail_msg("%s gave %s (%s), not %s", #expression, err_name(got_), err_sentence(got_),   \
                     err_name(code));                                                              \
    } while (0)

/* Files. Paths relative to the first directory. */
bool file_exists(struct fixture *f, const char *name);
int64_t file_size(struct fixture *f, const char *name);
void file_put(struct fixture *f, const char *name, const void *data, size_t size, int64_t position);
void file_append_bytes(struct fixture *f, const char *name, const void *data, size_t size);
void file_cut(struct fixture *f, const char *name, int64_t size);
void file_remove(struct fixture *f, const char *name);
struct buf file_get(struct fixture *f, const char *name);
