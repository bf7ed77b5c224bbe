/* Kafka's MetadataVersion: every step of the protocol among brokers, oldest first. */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "broker/base/attributes.h"
#include "broker/config/metadata_version.h"

static const char *const versions[] = {
    "0.8.0",      "0.8.1",      "0.8.2",      "0.9.0",      "0.10.0-IV0", "0.10.0-IV1",
    "0.10.1-IV0", "0.10.1-IV1", "0.10.1-IV2", "0.10.2-IV0", "0.11.0-IV0", "0.11.0-IV1",
    "0.11.0-IV2", "1.0-IV0",    "1.1-IV0",    "2.0-IV0",    "2.0-IV1",    "2.1-IV0",
    "2.1-IV1",    "2.1-IV2",    "2.2-IV0",    "2.2-IV1",    "2.3-IV0",    "2.3-IV1",
    "2.4-IV0",    "2.4-IV1",    "2.5-IV0",    "2.6-IV0",    "2.7-IV0",    "2.7-IV1",
    "2.7-IV2",    "2.8-IV0",    "2.8-IV1",    "3.0-IV0",    "3.0-IV1",    "3.1-IV0",
    "3.2-IV0",    "3.3-IV0",    "3.3-IV1",    "3.3-IV2",    "3.3-IV3",    "3.4-IV0",
    "3.5-IV0",    "3.5-IV1",    "3.5-IV2",    "3.6-IV0",    "3.6-IV1",    "3.6-IV2",
    "3.7-IV0",    "3.7-IV1",    "3.7-IV2",    "3.7-IV3",    "3.7-IV4",    "3.8-IV0",
    "3.9-IV0",    "4.0-IV0",    "4.0-IV1",
};

#define NEWEST_RELEASE "3.9-IV0" /* what follows can be named in full only */

/* The bytes of "3.9.2-IV0" that name a release: two numbers, three of the old 0.x ones. */
static size_t release_size(const char *text)
{
    int wanted = strncmp(text, "0.", 2) == 0 ? 3 : 2;
    size_t i = 0;
    for (int parts = 1; text[i]; i++) {
        if (text[i] == '.' && ++parts > wanted)
            break;
        if (text[i] != '.' && !isdigit((unsigned char)text[i]))
            break;
    }
    return i;
}

const char *metadata_version_find(const char *text)
{
    const char *newest = NULL;
    bool is_released = true;
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        if (strcmp(versions[i], text) == 0)
            return versions[i];
        size_t size = release_size(text);
        bool only_numbers = text[size] == 0 || text[size] == '.';
        if (is_released && only_numbers && release_size(versions[i]) == size &&
            strncmp(versions[i], text, size) == 0)
            newest = versions[i];
        is_released &= strcmp(versions[i], NEWEST_RELEASE) != 0;
    }
    return newest;
}

static size_t rank(const char *version)
{
    size_t i = 0;
    while (i < ARRAY_SIZE(versions) && strcmp(versions[i], version) != 0)
        i++;
    return i;
}

int metadata_version_compare(const char *a, const char *b)
{
    size_t first = rank(a), second = rank(b);
    return first < second ? -1 : first > second;
}
