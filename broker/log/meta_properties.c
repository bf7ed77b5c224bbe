/* See meta_properties.h. A file of Java properties, of which `key=value` lines and comments occur.
 */
#include "broker/log/meta_properties.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "broker/log/text_file.h"

#define META_NAME "meta.properties"

void meta_properties_done(struct meta_properties *meta)
{
    free(meta->cluster_id);
    buf_done(&meta->text);
    *meta = (struct meta_properties){.broker_id = -1};
}

static struct slice trim(struct slice s)
{
    while (s.size > 0 && strchr(" \t\r", s.data[0]))
        s = slice_of(s.data + 1, s.size - 1);
    while (s.size > 0 && strchr(" \t\r", s.data[s.size - 1]))
        s.size--;
    return s;
}

/* The next line, split; comments and blank lines give an empty key. */
static bool next_property(struct slice *text, struct slice *ret_key, struct slice *ret_value)
{
    if (text->size == 0)
        return false;
    const uint8_t *newline = memchr(text->data, '\n', text->size);
    size_t size = newline ? (size_t)(newline - text->data) : text->size;
    struct slice line = trim(slice_of(text->data, size));
    size_t step = size + (newline ? 1 : 0);
    *text = slice_of(text->data + step, text->size - step);
    *ret_key = *ret_value = slice_of("", 0);
    if (line.size == 0 || line.data[0] == '#' || line.data[0] == '!')
        return true;
    size_t at = 0;
    while (at < line.size && line.data[at] != '=' && line.data[at] != ':')
        at++;
    *ret_key = trim(slice_of(line.data, at));
    if (at < line.size)
        *ret_value = trim(slice_of(line.data + at + 1, line.size - at - 1));
    return true;
}

static enum err take_property(struct meta_properties *meta, struct slice key, struct slice value)
{
    int64_t number;
    if (slice_equal_str(key, "version") && !slice_equal_str(value, "0"))
        return err_note(ERR_MALFORMED, "version is %.*s, and only 0 can be read in ZooKeeper mode",
                        SLICE_ARG(value));
    if (slice_equal_str(key, "broker.id") || slice_equal_str(key, "node.id")) {
        if (!slice_to_int64(value, &number) || number < 0 || number > INT32_MAX)
            return err_note(ERR_MALFORMED, "broker.id '%.*s' is no broker id", SLICE_ARG(value));
        meta->broker_id = (int32_t)number;
    }
    if (slice_equal_str(key, "cluster.id")) {
        free(meta->cluster_id);
        meta->cluster_id = slice_dup(value);
    }
    if (slice_equal_str(key, "directory.id") && !uuid_parse(value, &meta->directory_id))
        return err_note(ERR_MALFORMED, "directory.id '%.*s' is no id", SLICE_ARG(value));
    return ERR_OK;
}

enum err meta_properties_read(const char *dir, struct meta_properties *ret)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, META_NAME);
    *ret = (struct meta_properties){.broker_id = -1};
    enum err e = text_file_read(AT_FDCWD, path, &ret->text);
    if (e == ERR_NOT_FOUND)
        return ERR_OK;
    ret->exists = true;
    struct slice text = buf_slice(&ret->text), key, value;
    while (!e && next_property(&text, &key, &value))
        e = take_property(ret, key, value);
    if (e)
        meta_properties_done(ret);
    return err_wrap(e, "%s", path);
}

enum err meta_properties_claim(const char *dir, struct meta_properties *meta, int32_t broker_id,
                               const char *cluster_id)
{
    if (meta->broker_id == broker_id && meta->cluster_id &&
        strcmp(meta->cluster_id, cluster_id) == 0)
        return ERR_OK;
    struct buf out = {0};
    struct slice text = buf_slice(&meta->text), key, value;
    if (!meta->exists)
        buf_printf(&out, "#\n");
    while (next_property(&text, &key, &value))
        if (key.size > 0 && !slice_equal_str(key, "version") &&
            !slice_equal_str(key, "broker.id") && !slice_equal_str(key, "cluster.id"))
            buf_printf(&out, "%.*s=%.*s\n", SLICE_ARG(key), SLICE_ARG(value));
    buf_printf(&out, "version=0\nbroker.id=%" PRId32 "\ncluster.id=%s\n", broker_id, cluster_id);
    enum err e = text_file_replace(dir, META_NAME, buf_slice(&out), true);
    if (e) {
        buf_done(&out);
        return e;
    }
    buf_done(&meta->text);
    meta->text = out;
    meta->exists = true;
    meta->broker_id = broker_id;
    free(meta->cluster_id);
    meta->cluster_id = mem_strdup(cluster_id);
    return ERR_OK;
}
