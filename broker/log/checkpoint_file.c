/* See checkpoint_file.h. An empty file reads as no entries; anything else must be whole, as the JVM
 * broker asks: version 0, exactly the lines announced. Words are separated by white space. */
#include "broker/log/checkpoint_file.h"

#include <inttypes.h>

#include "broker/log/partition_dir.h"

#define CHECKPOINT_VERSION 0
#define WORDS_MAX          3

static bool next_line(struct slice *text, struct slice *ret_line)
{
    if (text->size == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->size);
    size_t size = end ? (size_t)(end - text->data) : text->size;
    *ret_line = slice_of(text->data, size);
    size_t step = size + (end ? 1 : 0);
    *text = slice_of(text->data + step, text->size - step);
    if (size > 0 && ret_line->data[size - 1] == '\r')
        ret_line->size--;
    return true;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The words of a line; WORDS_MAX + 1 if there are more than fit. */
static int split(struct slice line, struct slice words[static WORDS_MAX])
{
    int count = 0;
    size_t at = 0;
    for (;;) {
        while (at < line.size && is_space(line.data[at]))
            at++;
        if (at == line.size)
            return count;
        size_t begin = at;
        while (at < line.size && !is_space(line.data[at]))
            at++;
        if (count == WORDS_MAX)
            return WORDS_MAX + 1;
        words[count++] = slice_of(line.data + begin, at - begin);
    }
}

static enum err malformed(const char *what, struct slice line)
{
    return err_note(ERR_MALFORMED, "%s in line '%.*s'", what,
                    (int)(line.size > 80 ? 80 : line.size),
                    line.data ? (const char *)line.data : "");
}

/* Version and count; -1 lines where the file is empty. */
static enum err read_head(struct slice *text, int64_t *ret_count)
{
    struct slice line = SLICE_NULL;
    int64_t version;
    *ret_count = 0;
    if (!next_line(text, &line))
        return ERR_OK;
    if (!slice_to_int64(line, &version) || version != CHECKPOINT_VERSION)
        return malformed("no known version", line);
    if (!next_line(text, &line))
        return ERR_OK;
    if (!slice_to_int64(line, ret_count) || *ret_count < 0)
        return malformed("no count", line);
    return ERR_OK;
}

/* Lines of `words_count` words, each handed to `read`; their number must be the one announced. */
static enum err read_lines(struct slice text, int words_count,
                           enum err (*read)(void *context, struct slice line, struct slice *words),
                           void *context)
{
    int64_t announced, count = 0;
    enum err e = read_head(&text, &announced);
    struct slice line, words[WORDS_MAX];
    while (!e && next_line(&text, &line)) {
        if (split(line, words) != words_count)
            return malformed("not the words expected", line);
        e = read(context, line, words);
        count++;
    }
    if (!e && count != announced)
        return err_note(ERR_MALFORMED, "%" PRId64 " entries announced, %" PRId64 " there",
                        announced, count);
    return e;
}

struct offsets_reader {
    checkpoint_offset_visit *visit;
    void *context;
};

static enum err read_offset_line(void *context, struct slice line, struct slice *words)
{
    struct offsets_reader *reader = context;
    int64_t partition, offset;
    if (!slice_to_int64(words[1], &partition) || partition < 0 || partition > INT32_MAX ||
        !slice_to_int64(words[2], &offset) || offset > LOG_END_MAX)
        return malformed("not a partition and an offset", line);
    return reader->visit(reader->context, words[0], (int32_t)partition, offset);
}

enum err checkpoint_read_offsets(struct slice text, checkpoint_offset_visit *visit, void *context)
{
    struct offsets_reader reader = {.visit = visit, .context = context};
    return read_lines(text, 3, read_offset_line, &reader);
}

struct epochs_reader {
    checkpoint_epoch_visit *visit;
    void *context;
};

static enum err read_epoch_line(void *context, struct slice line, struct slice *words)
{
    struct epochs_reader *reader = context;
    int64_t epoch, offset;
    if (!slice_to_int64(words[0], &epoch) || epoch < 0 || epoch > INT32_MAX ||
        !slice_to_int64(words[1], &offset) || offset > LOG_END_MAX)
        return malformed("not an epoch and an offset", line);
    return reader->visit(reader->context, (int32_t)epoch, offset);
}

enum err checkpoint_read_epochs(struct slice text, checkpoint_epoch_visit *visit, void *context)
{
    struct epochs_reader reader = {.visit = visit, .context = context};
    return read_lines(text, 2, read_epoch_line, &reader);
}

void checkpoint_begin(struct buf *out, size_t count)
{
    buf_printf(out, "%d\n%zu\n", CHECKPOINT_VERSION, count);
}

void checkpoint_put_offset(struct buf *out, const char *topic, int32_t partition, int64_t offset)
{
    buf_printf(out, "%s %" PRId32 " %" PRId64 "\n", topic, partition, offset);
}

void checkpoint_put_epoch(struct buf *out, int32_t epoch, int64_t start_offset)
{
    buf_printf(out, "%" PRId32 " %" PRId64 "\n", epoch, start_offset);
}
