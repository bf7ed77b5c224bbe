/* What the files of a partition's directory hold, in the lines of kafka-dump-log.sh (format for
 * format, so that scripts which read those read these). */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "broker/base/buf.h"
#include "broker/base/err.h"
#include "broker/record/batch.h"

struct dump_options {
    bool print_data;    /* keys and values: implies `deep` */
    bool deep;          /* every record, not only every batch */
    bool sanity_only;   /* of indexes: only what the broker checks when it starts */
    bool verify_only;   /* of indexes: only what does not fit the log */
    bool skip_metadata; /* of records: only keys and values */
    bool json;          /* a line of JSON for each batch, record and entry */
    int64_t max_bytes;  /* of a .log */
};

/* One run over several files: what does not fit is told at the end, file by file. */
struct dump {
    struct dump_options options;
    FILE *out;
    const char *path; /* the file at hand */
    struct buf index_mismatches, time_mismatches, gaps;
};

void dump_done(struct dump *dump);

/* Print one file, known by its name's end: .log .index .timeindex .txnindex .snapshot,
 * leader-epoch-checkpoint. Others are named on standard error and passed over.
 * Errors: ERR_IO; ERR_MALFORMED, what was readable before has been printed. */
MUST_USE enum err dump_file(struct dump *dump, const char *path);

/* The summary of what did not fit. */
void dump_summary(const struct dump *dump, FILE *out);

/* --- for the printers: dump_log.c, dump_index.c, dump_state.c --- */

/* The whole file, borrowed from the page cache; empty files give an empty slice. */
struct mapped {
    struct slice bytes;
};
MUST_USE enum err mapped_open(const char *path, struct mapped *ret);
void mapped_close(struct mapped *mapped);

/* The same path with its name up to the first dot, and another suffix. Freed by the caller. */
char *dump_sibling(const char *path, const char *suffix);
/* The offset that the file's name begins with. ERR_MALFORMED. */
MUST_USE enum err dump_base_offset(const char *path, int64_t *ret_offset);

MUST_USE enum err dump_log(struct dump *dump, const char *path);
MUST_USE enum err dump_offset_index(struct dump *dump, const char *path);
MUST_USE enum err dump_time_index(struct dump *dump, const char *path);
MUST_USE enum err dump_txn_index(struct dump *dump, const char *path);
MUST_USE enum err dump_snapshot(struct dump *dump, const char *path);
MUST_USE enum err dump_epochs(struct dump *dump, const char *path);

/* One line of JSON, with the name of the file; frees the row. */
void dump_row(const struct dump *dump, json_t *row);
/* "PATH WHAT." as a line or as JSON. */
void dump_says(const struct dump *dump, const char *path, const char *what);

/* The largest timestamp of the batch's records. */
MUST_USE enum err dump_max_timestamp(const uint8_t *batch, int64_t *ret_timestamp);
/* A whole batch at the beginning of `bytes`; ERR_NOT_FOUND where there is none. */
MUST_USE enum err dump_next_batch(struct slice bytes, struct batch_info *ret);
