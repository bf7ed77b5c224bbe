/* The files of a partition, as kafka-dump-log.sh prints them. Works on files alone: no broker. */
#include <string.h>

#include "tools/commands.h"
#include "tools/dump_log.h"

/* Classes of Java cannot be loaded; the default one prints bytes as they are. */
static void check_decoder(const char *class)
{
    const char *end = class ? strrchr(class, '.') : NULL;
    if (class && class[0] && strcmp(end ? end + 1 : class, "StringDecoder") != 0)
        cli_fail("the decoder %s is a Java class, which cannot be loaded here", class);
}

int cmd_dump_log(int argc, char **argv)
{
    const char *files = NULL;
    const char *key_decoder = NULL, *value_decoder = NULL;
    bool offsets = false, transactions = false, cluster_metadata = false, remote = false;
    int64_t max_message_size = 0;
    struct dump dump = {.out = stdout, .options.max_bytes = INT32_MAX};
    struct dump_options *o = &dump.options;
    const struct option_row rows[] = {
        {"--files", OPTION_TEXT, &files, "FILE,...", "the files to print"},
        {"--print-data-log", OPTION_FLAG, &o->print_data, NULL,
         "print keys and values too; implies --deep-iteration"},
        {"--deep-iteration", OPTION_FLAG, &o->deep, NULL, "print every record, not only batches"},
        {"--index-sanity-check", OPTION_FLAG, &o->sanity_only, NULL,
         "only check indexes as the broker does when it starts"},
        {"--verify-index-only", OPTION_FLAG, &o->verify_only, NULL,
         "only compare indexes with the log"},
        {"--skip-record-metadata", OPTION_FLAG, &o->skip_metadata, NULL,
         "of records, print only keys and values"},
        {"--max-bytes", OPTION_INT, &o->max_bytes, "BYTES", "how much of a .log to read"},
        {"--max-message-size", OPTION_INT, &max_message_size, "BYTES",
         "taken for kafka-dump-log.sh's sake; batches of any size are read"},
        {"--key-decoder-class", OPTION_TEXT_OR_NOTHING, &key_decoder, "CLASS",
         "only Kafka's StringDecoder (the default), which prints keys as they are"},
        {"--value-decoder-class", OPTION_TEXT_OR_NOTHING, &value_decoder, "CLASS",
         "the same of values"},
        {"--offsets-decoder", OPTION_FLAG, &offsets, NULL, "comes with groups"},
        {"--transaction-log-decoder", OPTION_FLAG, &transactions, NULL, "comes with transactions"},
        {"--cluster-metadata-decoder", OPTION_FLAG, &cluster_metadata, NULL,
         "refused: there is no KRaft log here"},
        {"--remote-log-metadata-decoder", OPTION_FLAG, &remote, NULL,
         "refused: there is no remote storage here"},
        {"--json", OPTION_FLAG, &o->json, NULL, "a line of JSON for each batch, record and entry"},
    };
    cli_parse("dump-log", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!files)
        cli_fail("Missing required argument \"[files]\"");
    if (o->max_bytes < 0)
        cli_fail("--max-bytes is at least 0");
    if (offsets)
        cli_fail("--offsets-decoder is not there yet: it comes with groups");
    if (transactions)
        cli_fail("--transaction-log-decoder is not there yet: it comes with transactions");
    if (cluster_metadata || remote)
        cli_fail("KRaft and remote storage have no logs in ZooKeeper mode");
    check_decoder(key_decoder);
    check_decoder(value_decoder);
    o->print_data |= key_decoder || value_decoder;
    o->deep |= o->print_data;
    struct texts paths = texts_split(files);
    int status = 0;
    for (int32_t i = 0; i < paths.count; i++) {
        enum err e = dump_file(&dump, paths.items[i]);
        if (e) {
            fflush(stdout);
            fprintf(stderr, "%s\n", err_sentence(e));
            status = 1;
        }
    }
    dump_summary(&dump, stderr);
    dump_done(&dump);
    return status;
}
