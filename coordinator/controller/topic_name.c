/* Which names a topic may have. */
#include <ctype.h>

#include "coordinator/controller/admin.h"

#define NAME_MAX_BYTES 249

enum err topic_name_check(struct slice name)
{
    if (name.size == 0)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION,
                        "Topic name is invalid: the empty string is not allowed");
    if (slice_equal_str(name, ".") || slice_equal_str(name, ".."))
        return err_note(ERR_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '%.*s' is not allowed",
                        SLICE_ARG(name));
    if (name.size > NAME_MAX_BYTES)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION,
                        "Topic name is invalid: the length of '%.*s' is longer than the max "
                        "allowed length %d",
                        SLICE_ARG(name), NAME_MAX_BYTES);
    for (size_t i = 0; i < name.size; i++) {
        if (!isalnum(name.data[i]) && !strchr("._-", name.data[i]))
            return err_note(ERR_INVALID_TOPIC_EXCEPTION,
                            "Topic name is invalid: '%.*s' contains one or more characters other "
                            "than ASCII alphanumerics, '.', '_' and '-'",
                            SLICE_ARG(name));
        if (name.data[i] == '\0')
            return err_note(ERR_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: it holds a NUL");
    }
    return ERR_OK;
}

static uint8_t merged(uint8_t c)
{
    return c == '.' ? '_' : c;
}

bool topic_names_collide(struct slice a, struct slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        if (merged(a.data[i]) != merged(b.data[i]))
            return false;
    }
    return true;
}
