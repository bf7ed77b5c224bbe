/* The rules of topic names. */
#include "broker/wire/topic_name.h"

#define LONGEST_NAME 249

static bool is_legal(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum err topic_name_check(struct slice name)
{
    if (name.size == 0)
        return err_note(ERR_INVALID_TOPIC_EXCEPTION,
                        "Topic name is invalid: the empty string is not allowed");
    if (slice_equal_str(name, ".") || slice_equal_str(name, ".."))
        return err_note(ERR_INVALID_TOPIC_EXCEPTION, "Topic name is invalid: '%.*s' is not allowed",
                        SLICE_ARG(name));
    if (name.size > LONGEST_NAME)
        return err_note(
            ERR_INVALID_TOPIC_EXCEPTION,
            "Topic name is invalid: the length of '%.*s' is longer than the max allowed length %d",
            SLICE_ARG(name), LONGEST_NAME);
    for (size_t i = 0; i < name.size; i++)
        if (!is_legal(name.data[i]))
            return err_note(
                ERR_INVALID_TOPIC_EXCEPTION,
                "Topic name is invalid: '%.*s' contains one or more characters other than ASCII "
                "alphanumerics, '.', '_' and '-'",
                SLICE_ARG(name));
    return ERR_OK;
}

bool topic_is_internal(struct slice name)
{
    return slice_equal_str(name, TOPIC_CONSUMER_OFFSETS) ||
           slice_equal_str(name, TOPIC_TRANSACTION_STATE);
}
