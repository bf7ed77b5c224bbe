/* What the tests of the codec share: bytes written as hex, with spaces where they help the reader,
 * and encoding and decoding that end the test with the codec's own sentence. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/all.h"

#define MESSAGE(name) (&wire_message_##name)

/* Exactly these bytes on the heap, so that the address sanitizer sees a read beyond them. The
 * caller frees. */
struct slice bytes_of_hex(const char *hex);

/* Fail unless `value` is written as these bytes. */
void assert_encodes(const struct wire_message *message, int16_t version, const void *value,
                    const char *hex);

/* Decode these bytes, all of them, into `ret`; fail if that cannot be done. The bytes live in the
 * arena. */
void decode_hex(const struct wire_message *message, int16_t version, const char *hex,
                struct arena *arena, void *ret);

/* Fail unless these bytes decode wholly and are written the same again. */
void assert_round_trip(const struct wire_message *message, int16_t version, const char *hex);

/* Fail unless decoding says ERR_MALFORMED with a sentence that holds `part`. */
void assert_malformed(const struct wire_message *message, int16_t version, const char *hex,
                      const char *part);

/* Fail unless encoding gives this error with a sentence that holds `part`. */
void assert_refused(const struct wire_message *message, int16_t version, const void *value,
                    enum err error, const char *part);
