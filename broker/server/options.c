/* Reading the command line. --standalone stands for a few overrides, which come first, so that a
 * file's own words and --override win where they speak: it is put together from what is known
 * before the file is read. */
#include "broker/server/options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/base/mem.h"

#ifndef STOKER_VERSION
#define STOKER_VERSION "unknown"
#endif

static const char help[] =
    "stokerd - a Kafka-compatible broker that coordinates through ZooKeeper\n"
    "\n"
    "USAGE\n"
    "    stokerd FILE [--override KEY=VALUE]...\n"
    "    stokerd --standalone [--data DIR] [FILE] [--override KEY=VALUE]...\n"
    "    stokerd --check FILE [--override KEY=VALUE]...\n"
    "    stokerd --help-config\n"
    "\n"
    "FILE is a server.properties as Apache Kafka 3.9 reads it in ZooKeeper mode.\n"
    "\n"
    "OPTIONS\n"
    "    --override KEY=VALUE  set KEY, whatever FILE says; may be given many times\n"
    "    --standalone          run with the embedded coordinator: no ZooKeeper is needed. Clients "
    "are\n"
    "                          served on 127.0.0.1:9092, the coordinator on 127.0.0.1:2181 (so "
    "that\n"
    "                          other brokers can join), unless FILE or --override says otherwise\n"
    "    --data DIR            with --standalone: where everything is kept (default: "
    "./stoker-data)\n"
    "    --check               start nothing: print what is wrong with FILE, each with its line\n"
    "    --help-config         print every setting: type, default, range, what it does\n"
    "    --version             print the version\n"
    "    --help                print this\n"
    "\n"
    "It runs in the foreground and traces to standard error. SIGTERM and SIGINT stop it in order: "
    "leaders\n"
    "are handed over, answers sent, files flushed. After a SIGKILL the next start recovers the "
    "logs.\n"
    "\n"
    "ENVIRONMENT\n"
    "    STOKER_TRACE          error, warn, info (the default) or debug; goes before "
    "stoker.trace.level\n"
    "\n"
    "EXIT STATUS\n"
    "    0    it was stopped in order; --check found no error (there may be warnings)\n"
    "    1    it could not start, or had to stop, and said why; --check found an error\n"
    "    2    the command line is wrong\n"
    "\n"
    "EXAMPLES\n"
    "    stokerd --standalone --data /var/lib/stoker\n"
    "    stokerd --check /etc/stoker/server.properties && stokerd /etc/stoker/server.properties\n";

static int wrong(const char *what, const char *which)
{
    fprintf(stderr, "stokerd: %s%s\ntry stokerd --help\n", what, which ? which : "");
    return 2;
}

static void add_override(struct options *options, const char *name, const char *value)
{
    options->overrides = mem_resize(options->overrides, ((size_t)options->overrides_count + 1) *
                                                            sizeof options->overrides[0]);
    options->overrides[options->overrides_count++] = (struct config_pair){name, value};
}

static char *own(struct options *options, char *text)
{
    assert((size_t)options->owned_count < ARRAY_SIZE(options->owned));
    options->owned[options->owned_count++] = text;
    return text;
}

static bool file_sets(const char *file, const char *key)
{
    FILE *in = file ? fopen(file, "r") : NULL;
    char line[512];
    bool found = false;
    while (in && !found && fgets(line, sizeof line, in)) {
        const char *at = line + strspn(line, " \t");
        size_t length = strlen(key);
        found = strncmp(at, key, length) == 0 && strchr(" \t=:", at[length]);
    }
    if (in)
        fclose(in);
    return found;
}

static bool is_set(const struct options *options, const char *key)
{
    for (int32_t i = 0; i < options->overrides_count; i++)
        if (strcmp(options->overrides[i].name, key) == 0)
            return true;
    return file_sets(options->file, key);
}

static void default_to(struct options *options, const char *key, const char *value)
{
    if (!is_set(options, key))
        add_override(options, key, value);
}

static char *absolute(const char *dir)
{
    char here[PATH_MAX];
    if (dir[0] == '/' || !getcwd(here, sizeof here))
        return mem_strdup(dir);
    return mem_printf("%s/%s", here, dir);
}

static void mean_standalone(struct options *options, const char *data)
{
    char *dir = own(options, absolute(data));
    default_to(options, "listeners", "PLAINTEXT://127.0.0.1:9092");
    default_to(options, "stoker.embedded.listener", "127.0.0.1:2181");
    default_to(options, "log.dirs", own(options, mem_printf("%s/logs", dir)));
    default_to(options, "stoker.embedded.data.dir",
               own(options, mem_printf("%s/coordinator", dir)));
    default_to(options, "broker.id", "1");
    default_to(options, "zookeeper.connect",
               "127.0.0.1:2181"); /* the embedded one's own port counts */
    default_to(options, "offsets.topic.replication.factor", "1");
    default_to(options, "transaction.state.log.replication.factor", "1");
}

static int parse_override(struct options *options, char *word)
{
    char *equals = word ? strchr(word, '=') : NULL;
    if (!equals || equals == word)
        return wrong("--override wants KEY=VALUE", NULL);
    *equals = 0;
    add_override(options, word, equals + 1);
    return -1;
}

int options_parse(int argc, char **argv, struct options *ret)
{
    *ret = (struct options){0};
    const char *data = NULL;
    int status = -1;
    for (int i = 1; i < argc && status < 0; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            status = fputs(help, stdout) < 0;
        else if (strcmp(word, "--version") == 0)
            status = printf("stokerd %s (Kafka 3.9, ZooKeeper mode)\n", STOKER_VERSION) < 0;
        else if (strcmp(word, "--help-config") == 0)
            ret->action = ACTION_PRINT_REFERENCE;
        else if (strcmp(word, "--check") == 0)
            ret->action = ACTION_CHECK;
        else if (strcmp(word, "--standalone") == 0)
            ret->is_standalone = true;
        else if (strcmp(word, "--data") == 0)
            data = i + 1 < argc ? argv[++i] : "";
        else if (strcmp(word, "--override") == 0)
            status = parse_override(ret, i + 1 < argc ? argv[++i] : NULL);
        else if (word[0] == '-')
            status = wrong("there is no option ", word);
        else if (ret->file)
            status = wrong("more than one file: ", word);
        else
            ret->file = word;
    }
    if (status < 0 && data && (!ret->is_standalone || !data[0]))
        status = wrong("--data DIR goes with --standalone", NULL);
    if (status < 0 && !ret->file && !ret->is_standalone && ret->action != ACTION_PRINT_REFERENCE)
        status = wrong("a server.properties is needed (or --standalone)", NULL);
    if (status < 0 && ret->is_standalone)
        mean_standalone(ret, data ? data : "stoker-data");
    if (status >= 0)
        options_done(ret);
    return status;
}

void options_done(struct options *options)
{
    for (int i = 0; i < options->owned_count; i++)
        free(options->owned[i]);
    free(options->overrides);
    *options = (struct options){0};
}
