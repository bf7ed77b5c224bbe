/* Identifiers and their URL-safe base64. */
#include "broker/base/uuid.h"

#include <stdlib.h>
#include <sys/random.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void uuid_text(struct uuid id, char ret_text[static UUID_TEXT_SIZE])
{
    uint32_t bits = 0;
    int held = 0;
    char *out = ret_text;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        bits = bits << 8 | id.bytes[i];
        for (held += 8; held >= 6; held -= 6)
            *out++ = alphabet[bits >> (held - 6) & 0x3f];
    }
    *out++ = alphabet[bits << (6 - held) & 0x3f]; /* 128 = 21 * 6 + 2 */
    *out = 0;
}

bool uuid_parse(struct slice text, struct uuid *ret_id)
{
    if (text.size != UUID_TEXT_SIZE - 1)
        return false;
    struct uuid id = UUID_ZERO;
    uint32_t bits = 0;
    int held = 0;
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *found = text.data[i] ? strchr(alphabet, text.data[i]) : NULL;
        if (!found)
            return false;
        bits = bits << 6 | (uint32_t)(found - alphabet);
        held += 6;
        if (held >= 8 && count < sizeof id.bytes) {
            held -= 8;
            id.bytes[count++] = (uint8_t)(bits >> held);
        }
    }
    *ret_id = id;
    return true;
}

static bool is_reserved(struct uuid id)
{
    for (size_t i = 0; i < 15; i++)
        if (id.bytes[i])
            return false;
    return id.bytes[15] <= 100;
}

struct uuid uuid_random(void)
{
    struct uuid id;
    char text[UUID_TEXT_SIZE];
    do {
        if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
            abort(); /* 16 bytes are never short once the pool is seeded (getrandom(2)) */
        id.bytes[6] = (id.bytes[6] & 0x0f) | 0x40;
        id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80;
        uuid_text(id, text);
    } while (is_reserved(id) || text[0] == '-');
    return id;
}
