/* A server.properties as java.util.Properties reads it. */
#pragma once

#include "broker/base/err.h"
#include "broker/config/config_map.h"

/* Read all pairs of `text` into `map`, each with the number of the line on which it begins; a name
 * given twice keeps its last value. `name` stands for the file in sentences. Errors:
 * ERR_INVALID_CONFIG, a \u that is not followed by four hexadecimal digits. */
MUST_USE enum err properties_parse(const char *name, struct slice text, struct config_map *map);

/* The same from a file. Errors: also ERR_NOT_FOUND, ERR_IO; ERR_INVALID_CONFIG above
 * PROPERTIES_MAX_BYTES. */
#define PROPERTIES_MAX_BYTES (16 << 20)
MUST_USE enum err properties_read(const char *path, struct config_map *map);
