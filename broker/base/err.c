/* The table of errors, and the sentence that waits in each thread. */
#include "broker/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int16_t wire_code;
    const char *text;
} rows[] = {
#define X(name, code, text) {#name, code, text},
    ERR_TABLE(X)
#undef X
};

static _Thread_local struct {
    enum err e;
    char text[ERR_SENTENCE_MAX];
} sentence;

int16_t err_wire_code(enum err e)
{
    return rows[e].wire_code;
}

enum err err_from_wire(int16_t code)
{
    /* Kafka's rows come first, so the first of a code is Kafka's own. */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].wire_code == code)
            return (enum err)i;
    return ERR_UNKNOWN_SERVER_ERROR;
}

const char *err_name(enum err e)
{
    return rows[e].name;
}

const char *err_text(enum err e)
{
    return rows[e].text;
}

/* How many bytes there are, where `wanted` would have been. */
static size_t end_in_dots(char *text, int wanted, size_t room)
{
    if (wanted < (int)room)
        return (size_t)wanted;
    memcpy(text + room - 4, "...", 4);
    return room - 1;
}

static void note(enum err e, const char *format, va_list arguments)
{
    /* An argument may be the sentence itself, so the new one is made aside. */
    char text[ERR_SENTENCE_MAX];
    int wanted = vsnprintf(text, sizeof text, format, arguments);
    memcpy(sentence.text, text, end_in_dots(text, wanted, sizeof text) + 1);
    sentence.e = e;
}

/* Put ": " and the narrower view behind the sentence. */
static void append_view(const char *inner)
{
    size_t length = strlen(sentence.text);
    size_t room = sizeof sentence.text - length;
    if (room > strlen("..."))
        end_in_dots(sentence.text + length, snprintf(sentence.text + length, room, ": %s", inner),
                    room);
    else
        memcpy(sentence.text + sizeof sentence.text - 4, "...", 4);
}

enum err err_note(enum err e, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(e, format, arguments);
    va_end(arguments);
    return e;
}

static enum err err_of_errno(int code)
{
    switch (code) {
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOMEM:
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

enum err err_note_errno(const char *format, ...)
{
    int code = errno;
    enum err e = err_of_errno(code);
    va_list arguments;
    va_start(arguments, format);
    note(e, format, arguments);
    va_end(arguments);

    char why[128];
    append_view(strerror_r(code, why, sizeof why));
    return e;
}

enum err err_wrap(enum err e, const char *format, ...)
{
    if (!e)
        return e;
    char inner[ERR_SENTENCE_MAX];
    snprintf(inner, sizeof inner, "%s", err_sentence(e));

    va_list arguments;
    va_start(arguments, format);
    note(e, format, arguments);
    va_end(arguments);

    append_view(inner);
    return e;
}

const char *err_sentence(enum err e)
{
    return e && sentence.e == e ? sentence.text : err_text(e);
}
