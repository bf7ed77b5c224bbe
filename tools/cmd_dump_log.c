/* The files of a partition, as kafka-dump-log.sh prints them. Works on files alone: no broker. */
#include "tools/commands.h"
#include "tools/dump_log.h"

int cmd_dump_log(int argc, char **argv)
{
    const char *files = NULL;
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
    };
    cli_parse("dump-log", rows, ARRAY_SIZE(rows), argc, argv, NULL);
    if (!files)
        cli_fail("--files is missing");
    if (o->max_bytes < 0)
        cli_fail("--max-bytes is at least 0");
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
