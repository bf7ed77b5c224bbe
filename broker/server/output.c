/* Sending: MSG_MORE joins a header to the file slice behind it, so that TCP does not send two small
 * packets. */
#include "broker/server/output.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

void answer_splice_file(struct answer *answer, const struct answer_splice *splice)
{
    answer->splices = mem_grow(answer->splices, &answer->splices_capacity,
                               answer->splices_count + 1, sizeof *splice);
    answer->splices[answer->splices_count++] = *splice;
}

static void release(struct answer_splice *splice)
{
    if (splice->release)
        splice->release(splice->file);
    splice->release = NULL;
}

static bool is_small(const struct answer_splice *splice)
{
    return splice->size_bytes <= OUTPUT_COPY_MAX_BYTES;
}

static enum err read_whole(const struct answer_splice *splice, uint8_t *to)
{
    for (size_t done = 0; done < splice->size_bytes;) {
        ssize_t n = pread(splice->fd, to + done, splice->size_bytes - done,
                          splice->position + (int64_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_note_errno("read a slice of a file");
        if (n == 0)
            return err_note(ERR_IO, "a file ended %zu bytes before its slice",
                            splice->size_bytes - done);
        done += (size_t)n;
    }
    return ERR_OK;
}

/* Build the bytes anew with the small slices in place; the large ones move on to their new places.
 */
static enum err copy_small(struct answer *answer, struct buf *flat)
{
    size_t copied = 0;
    for (size_t i = 0; i < answer->splices_count; i++) {
        struct answer_splice *splice = &answer->splices[i];
        buf_put(flat, answer->bytes.data + copied, splice->at - copied);
        copied = splice->at;
        splice->at = flat->size;
        if (!is_small(splice))
            continue;
        enum err e = read_whole(splice, buf_extend(flat, splice->size_bytes));
        if (e)
            return e;
    }
    buf_put(flat, answer->bytes.data + copied, answer->bytes.size - copied);
    return ERR_OK;
}

static void drop_small(struct answer *answer)
{
    size_t kept = 0;
    for (size_t i = 0; i < answer->splices_count; i++) {
        if (is_small(&answer->splices[i]))
            release(&answer->splices[i]);
        else
            answer->splices[kept++] = answer->splices[i];
    }
    answer->splices_count = kept;
}

enum err output_prepare(struct output *output)
{
    struct answer *answer = &output->answer;
    size_t small_count = 0, small_bytes = 0;
    for (size_t i = 0; i < answer->splices_count; i++)
        if (is_small(&answer->splices[i])) {
            small_count++;
            small_bytes += answer->splices[i].size_bytes;
        }
    if (small_count == 0)
        return ERR_OK;
    struct buf flat = {0};
    buf_reserve(&flat, answer->bytes.size + small_bytes);
    enum err e = copy_small(answer, &flat);
    if (e) {
        buf_done(&flat);
        return e;
    }
    drop_small(answer);
    buf_done(&answer->bytes);
    answer->bytes = flat;
    return ERR_OK;
}

static size_t lesser(size_t a, size_t b)
{
    return a < b ? a : b;
}

static ssize_t send_some(struct output *output, int fd, size_t max, bool more_follows,
                         size_t *ret_spliced)
{
    struct answer *answer = &output->answer;
    struct answer_splice *splice =
        output->splice < answer->splices_count ? &answer->splices[output->splice] : NULL;
    size_t until = splice ? splice->at : answer->bytes.size;
    ssize_t n;
    if (output->sent_bytes < until) {
        n = send(fd, answer->bytes.data + output->sent_bytes,
                 lesser(until - output->sent_bytes, max),
                 MSG_NOSIGNAL | MSG_DONTWAIT | (splice || more_follows ? MSG_MORE : 0));
        if (n > 0)
            output->sent_bytes += (size_t)n;
        return n;
    }
    off_t position = splice->position + (off_t)output->spliced_bytes;
    n = sendfile(fd, splice->fd, &position,
                 lesser(splice->size_bytes - output->spliced_bytes, max));
    if (n == 0) {
        errno = ENODATA; /* the file is shorter than the slice: nothing can complete this answer */
        return -1;
    }
    if (n < 0)
        return n;
    *ret_spliced += (size_t)n;
    output->spliced_bytes += (size_t)n;
    if (output->spliced_bytes == splice->size_bytes) {
        release(splice);
        output->splice++;
        output->spliced_bytes = 0;
    }
    return n;
}

static bool is_sent(const struct output *output)
{
    return output->sent_bytes == output->answer.bytes.size &&
           output->splice == output->answer.splices_count;
}

enum output_state output_send(struct output *output, int fd, bool more_follows, size_t *ret_sent,
                              size_t *ret_spliced)
{
    *ret_sent = *ret_spliced = 0;
    while (!is_sent(output)) {
        if (*ret_sent >= OUTPUT_TURN_MAX_BYTES)
            return OUTPUT_BLOCKED;
        ssize_t n =
            send_some(output, fd, OUTPUT_TURN_MAX_BYTES - *ret_sent, more_follows, ret_spliced);
        if (n >= 0) {
            *ret_sent += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return OUTPUT_BLOCKED;
        err_note_errno("send");
        return OUTPUT_FAILED;
    }
    return OUTPUT_DONE;
}

void output_reset(struct output *output)
{
    struct answer *answer = &output->answer;
    for (size_t i = output->splice; i < answer->splices_count; i++)
        release(&answer->splices[i]);
    answer->splices_count = 0;
    answer->bytes.size = 0;
    if (answer->bytes.capacity > OUTPUT_KEEP_MAX_BYTES)
        buf_done(&answer->bytes);
    output->sent_bytes = output->splice = output->spliced_bytes = 0;
}

void output_done(struct output *output)
{
    output_reset(output);
    buf_done(&output->answer.bytes);
    free(output->answer.splices);
    output->answer.splices = NULL;
    output->answer.splices_capacity = 0;
}
