/* The journal and the snapshots on disk, in a directory that one server holds at a time.
 *
 * log.<zxid>: batches, each a length, a CRC-32C and the journal bytes that one fsync made durable;
 * its entries come after that zxid. snapshot.<zxid>: the state up to it, written aside and renamed.
 * When the log has grown, a snapshot and a new log take the place of the old ones.
 * Thread: one owner. */
#pragma once

#include "coordinator/embedded/embedded_core.h"

#define STORE_LOG_SIZE_DEFAULT (16 << 20) /* bytes of log before a snapshot is taken */

struct store;

/* Bring the core, fresh from core_new(), to the state on disk; creates the directory. A last batch
 * that a crash left torn is cut off.
 * Errors: ERR_EXISTS, another server holds the directory; ERR_MALFORMED, damage that no crash
 * leaves, nothing was changed; ERR_IO and its like. */
MUST_USE enum err store_open(const char *path, int64_t log_size_max, struct core *core,
                             struct store **ret);

/* Make the core's journal durable and empty it; from time to time take a snapshot. After an error
 * nothing more may be said to any client: what is on disk is not known. Only ERR_NO_SPACE may be
 * tried again: the torn write was cut off, the journal is as it was. */
MUST_USE enum err store_commit(struct store *store, struct core *core);

void store_close(struct store *store);
