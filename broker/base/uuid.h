/* 128-bit identifiers: topic ids, cluster id, directory ids. Text is Kafka's: 22 characters of
 * URL-safe base64 without padding. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "broker/base/attributes.h"
#include "broker/base/slice.h"

#define UUID_TEXT_SIZE 23 /* with the NUL */

struct uuid {
    uint8_t bytes[16]; /* big-endian, as on the wire */
};

#define UUID_ZERO ((struct uuid){{0}})

/* Random (version 4), neither zero nor one of Kafka's reserved ids (0…100), and whose text does not
 * begin with '-' (Kafka's Uuid.randomUuid). */
struct uuid uuid_random(void);
void uuid_text(struct uuid id, char ret_text[static UUID_TEXT_SIZE]);
MUST_USE bool uuid_parse(struct slice text, struct uuid *ret_id);

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}
static inline bool uuid_is_zero(struct uuid id)
{
    return uuid_equal(id, UUID_ZERO);
}
