/* `stokerd --help-config`: the table as text, so that it cannot drift from what the program does.
 */
#include <math.h>

#include "broker/config/config_internal.h"

#define TEXT_WIDTH 96

static const char *update_text(const struct config_key *key)
{
    if (key->flags & KEY_AT_START)
        return "at start only (Kafka changes it while running)";
    if (key->flags & KEY_STORED)
        return "while running; a change is kept and has no effect on this broker";
    switch (key->update) {
    case UPDATE_READ_ONLY:
        return "at start only";
    case UPDATE_PER_BROKER:
        return "while running, for one broker";
    case UPDATE_LIVE:
        return "while running, for one broker or all";
    }
    return "";
}

static void print_doc(const char *doc, FILE *out)
{
    int column = 0;
    while (*doc) {
        int length = (int)strcspn(doc, " ");
        if (column > 0 && column + 1 + length > TEXT_WIDTH - 4) {
            fputc('\n', out);
            column = 0;
        }
        column += fprintf(out, "%s%.*s", column ? " " : "    ", length, doc);
        doc += length;
        doc += strspn(doc, " ");
    }
    fputc('\n', out);
}

static void print_range(const struct config_key *key, FILE *out)
{
    switch (key->check) {
    case CHECK_RANGE:
        if (isinf(key->max))
            fprintf(out, ", at least %.15g", key->min);
        else
            fprintf(out, ", from %.15g to %.15g", key->min, key->max);
        break;
    case CHECK_ONE_OF:
    case CHECK_ONE_OF_ANY_CASE:
        fprintf(out, ", of: %s", key->choices);
        break;
    case CHECK_GZIP_LEVEL:
        fprintf(out, ", from 1 to 9, or -1");
        break;
    case CHECK_NOT_EMPTY:
        fprintf(out, ", not empty");
        break;
    case CHECK_METADATA_VERSION:
        fprintf(out, ", a version of Kafka");
        break;
    case CHECK_THROTTLED_REPLICAS:
        fprintf(out, ", * or partition:broker,...");
        break;
    case CHECK_NOTHING:
        break;
    }
}

static void print_key(const struct config_key *key, FILE *out)
{
    const char *fallback = config_key_fallback(key);
    fprintf(out, "%s\n    %s", key->name, config_type_name(key->type));
    print_range(key, out);
    if (key->flags & KEY_FALLBACK_CORES)
        fprintf(out, "; default: the number of processors, here %s", fallback);
    else if (!fallback)
        fprintf(out, "; no default");
    else
        fprintf(out, "; default: %s", fallback[0] ? fallback : "empty");
    if (key->flags & KEY_IDLE)
        fprintf(out, "; kept and shown, no effect on this broker\n");
    else
        fprintf(out, "; changed %s%s\n", update_text(key),
                key->flags & KEY_OURS ? "; Stoker's own" : "");
    if (key->kafka_fallback) {
        fprintf(out, "    Apache Kafka's default is %s:\n", key->kafka_fallback);
        print_doc(key->kafka_reason, out);
    }
    print_doc(key->doc, out);
}

static const struct config_key *topic_key_behind(const struct config_key *key)
{
    for (int32_t i = 0; i < topic_keys_count; i++) {
        if (topic_keys[i].broker_name && strcmp(topic_keys[i].broker_name, key->name) == 0)
            return &topic_keys[i];
    }
    return NULL;
}

void config_print_reference(FILE *out)
{
    fprintf(out,
            "Settings of server.properties, by area. Names, types, ranges and defaults are those "
            "of Apache\nKafka 3.9 unless it says otherwise.\n");
    for (int32_t t = 0; t < config_key_tables_count; t++) {
        fprintf(out, "\n== %s ==\n\n", config_key_tables[t].area);
        for (int32_t i = 0; i < *config_key_tables[t].count; i++) {
            const struct config_key *key = &config_key_tables[t].keys[i];
            const struct config_key *topic = topic_key_behind(key);
            print_key(key, out);
            if (topic)
                fprintf(out, "    A topic may set it for itself: %s\n", topic->name);
            fputc('\n', out);
        }
    }
    fprintf(out, "\n== Settings of a topic ==\n\n");
    for (int32_t i = 0; i < topic_keys_count; i++) {
        fprintf(out, "%s\n    %s", topic_keys[i].name, config_type_name(topic_keys[i].type));
        print_range(&topic_keys[i], out);
        if (topic_keys[i].broker_name)
            fprintf(out, "; default: the broker's %s\n", topic_keys[i].broker_name);
        else
            fprintf(out, "; default: %s\n",
                    topic_keys[i].fallback[0] ? topic_keys[i].fallback : "empty");
        print_doc(topic_keys[i].doc, out);
        fputc('\n', out);
    }
}
