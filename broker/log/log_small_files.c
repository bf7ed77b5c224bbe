/* The two small files beside a log's segments, partition.metadata and leader-epoch-checkpoint, and
 * when they are written.
 *
 * A new topic or an election touches thousands of logs at one moment, and each file costs the file
 * system more than all the other work together. So what they are to hold is known in memory first,
 * and the files follow within a second or two, on a log worker. They follow at once where it
 * matters:
 *
 *     partition.metadata       before the log's first record: a topic of the same name that is made
 *                              after a crash must not inherit the records of the old one
 *     leader-epoch-checkpoint  before the recovery point passes: what lies above it is read again
 *                              after a crash, and the batches tell their epochs themselves
 *
 * An epoch without a record is not missed after a crash: the next leader's epoch begins at the same
 * offset and would have replaced it.
 *
 * New epochs are on stable storage before they take the place of the old ones. A file that a power
 * cut left empty would lose the history below the recovery point, too, which nobody can tell again.
 */
#include <inttypes.h>
#include <stdio.h>

#include "broker/log/segment.h"
#include "broker/log/text_file.h"

#define EPOCHS_FILE "leader-epoch-checkpoint"

static void say_due(struct log *log)
{
    atomic_store(&log->small_files_unwritten, true);
    if (log->host->small_files_due)
        log->host->small_files_due(log->host->context);
}

/* --- partition.metadata --- */

static enum err write_topic_id(struct log *log, struct uuid id)
{
    char text[128], id_text[UUID_TEXT_SIZE];
    uuid_text(id, id_text);
    int size = snprintf(text, sizeof text, "version: 0\ntopic_id: %s", id_text);
    enum err e = text_file_replace(atomic_load(&log->path), "partition.metadata",
                                   slice_of(text, (size_t)size), false);
    if (e)
        return err_wrap(e, "topic id of %s-%" PRId32, log->topic, log->partition);
    log->topic_id_unwritten = false;
    atomic_store(&log->names_unsynced, true);
    return ERR_OK;
}

enum err log_write_topic_id(struct log *log)
{
    assert_held(&log->lock);
    enum err e = log_make_dir(log);
    return !e && log->topic_id_unwritten ? write_topic_id(log, log_topic_id(log)) : e;
}

enum err log_set_topic_id(struct log *log, struct uuid id)
{
    char id_text[UUID_TEXT_SIZE], own_text[UUID_TEXT_SIZE];
    enum err e = log_check_online(log);
    if (e || uuid_is_zero(id))
        return e;
    LOCK_SCOPE(&log->lock);
    struct uuid own = log_topic_id(log);
    uuid_text(id, id_text);
    uuid_text(own, own_text);
    if (uuid_equal(own, id))
        return ERR_OK;
    if (!uuid_is_zero(own))
        return err_note(ERR_INCONSISTENT_TOPIC_ID,
                        "log %s-%" PRId32 " belongs to topic id %s, not to %s", log->topic,
                        log->partition, own_text, id_text);
    bool has_records = log->list && !log_active(log)->is_unborn;
    if (has_records && (e = write_topic_id(log, id)))
        return log_failed(log, e);
    lock_acquire(&log->view);
    log->topic_id = id;
    lock_release(&log->view);
    if (!has_records) {
        log->topic_id_unwritten = true;
        say_due(log);
    }
    return ERR_OK;
}

/* --- leader-epoch-checkpoint --- */

void log_epochs_changed(struct log *log)
{
    assert_held(&log->lock);
    log->epochs_unwritten = true;
    say_due(log);
}

enum err log_assign_epoch(struct log *log, int32_t leader_epoch, int64_t start_offset)
{
    enum err e = log_check_online(log);
    if (e)
        return e;
    LOCK_SCOPE(&log->lock);
    lock_acquire(&log->view);
    bool has_changed = epoch_cache_assign(&log->epochs, leader_epoch, start_offset);
    lock_release(&log->view);
    if (has_changed)
        log_epochs_changed(log);
    return ERR_OK;
}

/* The text of the epochs, where the file does not hold it yet. False: nothing to write. */
static bool take_epochs(struct log *log, struct buf *ret_text)
{
    LOCK_SCOPE(&log->lock);
    if (!log->epochs_unwritten)
        return false;
    log->epochs_unwritten = false;
    lock_acquire(&log->view);
    epoch_cache_encode(&log->epochs, ret_text);
    lock_release(&log->view);
    return true;
}

static void epochs_are_unwritten(struct log *log)
{
    lock_acquire(&log->lock);
    log->epochs_unwritten = true;
    lock_release(&log->lock);
}

static enum err write_epochs(struct log *log, bool only_prepare)
{
    struct buf text = {0};
    if (!take_epochs(log, &text))
        return ERR_OK;
    const char *dir = atomic_load(&log->path);
    enum err e = only_prepare ? text_file_prepare(dir, EPOCHS_FILE, buf_slice(&text))
                              : text_file_replace_synced(dir, EPOCHS_FILE, buf_slice(&text));
    buf_done(&text);
    if (e) {
        epochs_are_unwritten(log);
        return err_wrap(e, "leader epochs of %s-%" PRId32, log->topic, log->partition);
    }
    atomic_store(only_prepare ? &log->epochs_prepared : &log->names_unsynced, true);
    return ERR_OK;
}

/* --- both --- */

/* Deleted: nobody will read them. */
static bool is_gone(const struct log *log)
{
    return log->old_path != NULL;
}

static enum err write_both(struct log *log, bool only_prepare)
{
    lock_acquire(&log->lock);
    bool has_gone = is_gone(log);
    enum err e = has_gone ? ERR_OK : log_write_topic_id(log);
    lock_release(&log->lock);
    return e || has_gone ? e : write_epochs(log, only_prepare);
}

static enum err write_or_prepare(struct log *log, bool only_prepare)
{
    enum err e = ERR_OK;
    pthread_mutex_lock(&log->small_files_mutex); /* waits for one who is at it, and for its end */
    if (atomic_exchange(&log->epochs_prepared, false)) { /* the new text replaces it */
        epochs_are_unwritten(log);
        atomic_store(&log->small_files_unwritten, true);
    }
    if (atomic_exchange(&log->small_files_unwritten, false)) {
        e = write_both(log, only_prepare);
        if (e)
            atomic_store(&log->small_files_unwritten, true);
    }
    pthread_mutex_unlock(&log->small_files_mutex);
    return e;
}

enum err log_write_small_files(struct log *log)
{
    return write_or_prepare(log, false);
}

enum err log_prepare_small_files(struct log *log)
{
    return write_or_prepare(log, true);
}

static enum err place(struct log *log)
{
    lock_acquire(&log->lock);
    bool has_gone = is_gone(log);
    lock_release(&log->lock);
    if (has_gone)
        return ERR_OK;
    enum err e = text_file_place(atomic_load(&log->path), EPOCHS_FILE);
    if (!e) {
        atomic_store(&log->names_unsynced, true);
        return ERR_OK;
    }
    epochs_are_unwritten(log);
    atomic_store(&log->small_files_unwritten, true);
    return err_wrap(e, "leader epochs of %s-%" PRId32, log->topic, log->partition);
}

enum err log_place_small_files(struct log *log)
{
    pthread_mutex_lock(&log->small_files_mutex);
    enum err e = atomic_exchange(&log->epochs_prepared, false) ? place(log) : ERR_OK;
    pthread_mutex_unlock(&log->small_files_mutex);
    return log_failed(log, e);
}
