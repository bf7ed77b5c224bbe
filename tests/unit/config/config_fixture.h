/* What the tests of settings share: a file of properties in a string, read or refused, and one
 * change. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "broker/config/config_alter.h"
#include "broker/config/config_describe.h"
#include "broker/config/config_internal.h"
#include "broker/config/config_live.h"
#include "broker/config/metadata_version.h"
#include "broker/config/properties.h"
#include "broker/config/topic_config.h"

#define LISTENER "PLAINTEXT://127.0.0.1:9092"
#define LEAST    "zookeeper.connect=127.0.0.1:2181\nlisteners=" LISTENER "\n"

static inline struct config *parse(const char *more)
{
    struct config *config = NULL;
    OWNED_MEM char *text = mem_printf(LEAST "%s\n", more);
    enum err e = config_parse("test.properties", slice_str(text), NULL, 0, &config);
    if (e)
        fail_msg("%s", err_sentence(e));
    return config;
}

/* The text is refused, and the sentence holds `part`. */
static inline void assert_refused(const char *text, const char *part)
{
    struct config *config = NULL;
    OWNED_MEM char *whole = mem_printf(LEAST "%s\n", text);
    enum err e = config_parse("test.properties", slice_str(whole), NULL, 0, &config);
    if (e != ERR_INVALID_CONFIG)
        fail_msg("'%s' was taken", text);
    if (!strstr(err_sentence(e), part))
        fail_msg("'%s' says '%s'", text, err_sentence(e));
}

static inline struct config_map read_properties(const char *text)
{
    struct config_map map = {0};
    assert_int_equal(properties_parse("t", slice_str(text), &map), ERR_OK);
    return map;
}

static inline struct config_op op(int8_t kind, const char *name, const char *value)
{
    return (struct config_op){kind, slice_str(name), slice_str(value)};
}
