/* Kafka's ConfigDef.parseType, its validators and convertToString, with their sentences: operators
 * search for those, and clients are shown them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "broker/config/config_value.h"
#include "broker/config/metadata_version.h"

/* java.lang.String.trim(): everything up to the space. */
static struct slice trim(const char *text)
{
    const uint8_t *begin = (const uint8_t *)text, *end = begin + strlen(text);
    while (begin < end && *begin <= ' ')
        begin++;
    while (end > begin && end[-1] <= ' ')
        end--;
    return slice_of(begin, (size_t)(end - begin));
}

static enum err invalid(const struct config_key *key, const char *text, const char *why)
{
    if (key->type == CONFIG_PASSWORD)
        return err_note(ERR_INVALID_CONFIG, "Invalid value [hidden] for configuration %s: %s",
                        key->name, why);
    return err_note(ERR_INVALID_CONFIG, "Invalid value %s for configuration %s%s%s",
                    text ? text : "null", key->name, why ? ": " : "", why ? why : "");
}

static enum err parse_bool(const struct config_key *key, struct slice text, const char *whole,
                           bool *ret_value)
{
    bool is_true = text.size == 4 && strncasecmp((const char *)text.data, "true", 4) == 0;
    bool is_false = text.size == 5 && strncasecmp((const char *)text.data, "false", 5) == 0;
    if (!is_true && !is_false)
        return invalid(key, whole, "Expected value to be either true or false");
    *ret_value = is_true;
    return ERR_OK;
}

static enum err parse_number(const struct config_key *key, struct slice text, const char *whole,
                             int64_t *ret_value)
{
    int64_t number = 0;
    bool ok = slice_to_int64(text, &number);
    if (key->type == CONFIG_INT16 && (!ok || number != (int16_t)number))
        return invalid(key, whole, "Not a number of type SHORT");
    if (key->type == CONFIG_INT32 && (!ok || number != (int32_t)number))
        return invalid(key, whole, "Not a number of type INT");
    if (!ok)
        return invalid(key, whole, "Not a number of type LONG");
    *ret_value = number;
    return ERR_OK;
}

/* Java's Double.parseDouble, without the letters it allows behind a number. */
static enum err parse_real(const struct config_key *key, struct slice text, const char *whole,
                           double *ret_value)
{
    char copy[64], *end = copy;
    if (text.size > 0 && text.size < sizeof(copy)) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = 0;
        double real = strtod(copy, &end);
        if (*end == 0 && strpbrk(copy, "xXpPiIaA") == NULL) {
            *ret_value = real;
            return ERR_OK;
        }
    }
    return invalid(key, whole, "Not a number of type DOUBLE");
}

struct config_list config_list_split(const char *text, struct arena *arena)
{
    struct slice rest = trim(text);
    if (rest.size == 0)
        return (struct config_list){0};
    size_t count = 1;
    for (size_t i = 0; i < rest.size; i++)
        count += rest.data[i] == ',';
    const char **items = arena_new_array(arena, const char *, count);
    const char *at = (const char *)rest.data, *end = at + rest.size;
    for (size_t i = 0; i < count; i++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;
        char *item = arena_strdup(arena, slice_of(at, (size_t)(stop - at)));
        struct slice trimmed = trim(item);
        items[i] = arena_strdup(arena, trimmed);
        at = stop + 1;
    }
    return (struct config_list){items, (int32_t)count};
}

static bool is_choice(const struct config_key *key, const char *word)
{
    bool any_case = key->check == CHECK_ONE_OF_ANY_CASE;
    size_t size = strlen(word);
    for (const char *at = key->choices; *at;) {
        size_t length = strcspn(at, ",");
        if (length == size &&
            (any_case ? strncasecmp(at, word, size) : strncmp(at, word, size)) == 0)
            return true;
        at += length;
        at += strspn(at, ", ");
    }
    return false;
}

static enum err check_choice(const struct config_key *key, const char *word)
{
    char why[256];
    if (is_choice(key, word))
        return ERR_OK;
    snprintf(why, sizeof(why), "String must be one of%s: %s",
             key->check == CHECK_ONE_OF_ANY_CASE ? " (case insensitive)" : "", key->choices);
    return invalid(key, word, why);
}

/* A bound as Java prints the number that stands in Kafka's table: 0 for integers, 0 for 0.0's
 * Integer. */
static enum err check_range(const struct config_key *key, const struct config_value *value)
{
    double number = key->type == CONFIG_DOUBLE ? value->real : (double)value->number;
    char why[96], text[40];
    if (key->type == CONFIG_DOUBLE) {
        struct buf buf = {0};
        config_value_print(key, value, &buf);
        snprintf(text, sizeof(text), "%.*s", (int)buf.size, (const char *)buf.data);
        buf_done(&buf);
    } else {
        snprintf(text, sizeof(text), "%" PRId64, value->number);
    }
    if (number < key->min) {
        snprintf(why, sizeof(why), "Value must be at least %.15g", key->min);
        return invalid(key, text, why);
    }
    if (number > key->max) {
        snprintf(why, sizeof(why), "Value must be no more than %.15g", key->max);
        return invalid(key, text, why);
    }
    return ERR_OK;
}

/* digits ":" digits */
static bool is_replica_pair(const char *item)
{
    size_t partition = strspn(item, "0123456789");
    if (partition == 0 || item[partition] != ':')
        return false;
    size_t broker = strspn(item + partition + 1, "0123456789");
    return broker > 0 && item[partition + 1 + broker] == 0;
}

static enum err check_throttled_replicas(const struct config_key *key,
                                         const struct config_list *list)
{
    bool ok = true;
    if (list->count == 1 && strcmp(list->items[0], "*") == 0)
        return ERR_OK;
    for (int32_t i = 0; ok && i < list->count; i++)
        ok = is_replica_pair(list->items[i]);
    if (ok)
        return ERR_OK;
    char why[256];
    snprintf(why, sizeof(why),
             "%s must be the literal '*' or a list of replicas in the following format: "
             "[partitionId]:[brokerId],[partitionId]:[brokerId],...",
             key->name);
    struct buf shown = {0}; /* as Java shows a list */
    for (int32_t i = 0; i < list->count; i++)
        buf_printf(&shown, "%s%s", i ? ", " : "[", list->items[i]);
    buf_printf(&shown, "]");
    OWNED_MEM char *text = slice_dup(buf_slice(&shown));
    buf_done(&shown);
    return invalid(key, text, why);
}

static enum err invalid_version(const struct config_key *key, const char *text)
{
    char why[128];
    snprintf(why, sizeof(why), "Version %.64s is not a valid version", text);
    return invalid(key, text, why);
}

static enum err check_value(const struct config_key *key, const char *text,
                            const struct config_value *value)
{
    switch (key->check) {
    case CHECK_NOTHING:
        return ERR_OK;
    case CHECK_RANGE:
        return check_range(key, value);
    case CHECK_GZIP_LEVEL:
        if (value->number == -1 || (value->number >= 1 && value->number <= 9))
            return ERR_OK;
        return invalid(key, text, "Value must be between 1 and 9 or equal to -1");
    case CHECK_ONE_OF:
    case CHECK_ONE_OF_ANY_CASE:
        if (key->type != CONFIG_LIST)
            return check_choice(key, value->text);
        for (int32_t i = 0; i < value->list.count; i++) {
            enum err e = check_choice(key, value->list.items[i]);
            if (e)
                return e;
        }
        return ERR_OK;
    case CHECK_NOT_EMPTY:
        return value->text[0] ? ERR_OK : invalid(key, "", "String must be non-empty");
    case CHECK_METADATA_VERSION:
        if (metadata_version_find(value->text))
            return ERR_OK;
        return invalid_version(key, value->text);
    case CHECK_THROTTLED_REPLICAS:
        return check_throttled_replicas(key, &value->list);
    }
    return ERR_OK;
}

enum err config_value_parse(const struct config_key *key, const char *text, struct arena *arena,
                            struct config_value *ret_value)
{
    struct config_value value = {0};
    enum err e = ERR_OK;
    if (!text) {
        *ret_value = value;
        return ERR_OK;
    }
    struct slice trimmed = trim(text);
    switch (key->type) {
    case CONFIG_BOOL:
        e = parse_bool(key, trimmed, text, &value.boolean);
        break;
    case CONFIG_INT16:
    case CONFIG_INT32:
    case CONFIG_INT64:
        e = parse_number(key, trimmed, text, &value.number);
        break;
    case CONFIG_DOUBLE:
        e = parse_real(key, trimmed, text, &value.real);
        break;
    case CONFIG_LIST:
        value.list = config_list_split(text, arena);
        break;
    case CONFIG_STRING:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        value.text = arena_strdup(arena, trimmed);
        break;
    }
    if (!e)
        e = check_value(key, text, &value);
    if (!e)
        *ret_value = value;
    return e;
}

/* java.lang.Double.toString: the fewest digits that read back the same; plain from 1e-3 to 1e7,
 * else d.dddE±n; always a digit behind the point. */
static void print_real(double real, struct buf *out)
{
    char text[40];
    int precision = 1;
    do
        snprintf(text, sizeof(text), "%.*e", precision - 1, real);
    while (strtod(text, NULL) != real && ++precision <= 17);

    int exponent = atoi(strchr(text, 'e') + 1);
    if (real == 0 || (fabs(real) >= 1e-3 && fabs(real) < 1e7)) {
        int decimals = precision - 1 - (real == 0 ? 0 : exponent);
        buf_printf(out, "%.*f", decimals < 1 ? 1 : decimals, real);
        return;
    }
    snprintf(text, sizeof(text), "%.*e", precision < 2 ? 1 : precision - 1, real);
    buf_printf(out, "%.*sE%d", (int)(strchr(text, 'e') - text), text, exponent);
}

void config_value_print(const struct config_key *key, const struct config_value *value,
                        struct buf *out)
{
    switch (key->type) {
    case CONFIG_BOOL:
        buf_printf(out, "%s", value->boolean ? "true" : "false");
        break;
    case CONFIG_INT16:
    case CONFIG_INT32:
    case CONFIG_INT64:
        buf_printf(out, "%" PRId64, value->number);
        break;
    case CONFIG_DOUBLE:
        print_real(value->real, out);
        break;
    case CONFIG_LIST:
        for (int32_t i = 0; i < value->list.count; i++)
            buf_printf(out, "%s%s", i ? "," : "", value->list.items[i]);
        break;
    case CONFIG_STRING:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        buf_printf(out, "%s", value->text ? value->text : "");
        break;
    }
}

const char *config_value_canonical(const struct config_key *key, const char *text,
                                   struct arena *arena)
{
    struct config_value value;
    struct buf buf = {0};
    if (!text || config_value_parse(key, text, arena, &value))
        return NULL;
    config_value_print(key, &value, &buf);
    const char *canonical =
        arena_strdup(arena, slice_of(buf.data ? buf.data : (uint8_t *)"", buf.size));
    buf_done(&buf);
    return canonical;
}
