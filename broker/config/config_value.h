/* One value of a setting: from text to what the program works with, checked, and back to text as
 * Kafka prints it. */
#pragma once

#include "broker/base/arena.h"
#include "broker/base/buf.h"
#include "broker/config/config_key.h"

struct config_value {
    union {
        bool boolean;
        int64_t number; /* the three integer types */
        double real;
        const char *text; /* STRING, CLASS, PASSWORD; NULL: none */
        struct config_list list;
    };
};

/* Parse and check. `text` NULL is "no value", accepted for the types that can be without one.
 * Strings and lists are made in the arena. Errors: ERR_INVALID_CONFIG with Kafka's sentence,
 * "Invalid value x for configuration num.partitions: Not a number of type INT" (a password's value
 * is left out). */
MUST_USE enum err config_value_parse(const struct config_key *key, const char *text,
                                     struct arena *arena, struct config_value *ret_value);

/* As Kafka prints it: numbers in their shortest form, booleans in lower case, lists joined with
 * ",". */
void config_value_print(const struct config_key *key, const struct config_value *value,
                        struct buf *out);

/* parse and print: "TRUE" becomes "true", " 5" becomes "5". NULL in gives NULL; so does what does
 * not parse. In the arena. */
const char *config_value_canonical(const struct config_key *key, const char *text,
                                   struct arena *arena);

/* Split at commas, blanks around them left out, as Kafka splits a list. "" gives no items. */
struct config_list config_list_split(const char *text, struct arena *arena);
