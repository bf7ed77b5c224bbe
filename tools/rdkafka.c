/* Loading the library and filling a configuration. */
#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "broker/base/mem.h"
#include "broker/config/properties.h"
#include "tools/client.h"
#include "tools/rdkafka.h"

static struct rdkafka functions;

const struct rdkafka *rdkafka_load(void)
{
    static const struct {
        const char *name;
        size_t place;
    } names[] = {
#define X(name) {#name, offsetof(struct rdkafka, name)},
        RDKAFKA_FUNCTIONS(X)
#undef X
    };
    if (functions.rd_kafka_new)
        return &functions;
    void *library = dlopen("librdkafka.so.1", RTLD_NOW);
    if (!library)
        cli_fail("librdkafka cannot be loaded: %s", dlerror());
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        void *function = dlsym(library, names[i].name);
        if (!function)
            cli_fail("librdkafka is too old: it has no %s", names[i].name);
        memcpy((char *)&functions + names[i].place, &function, sizeof(function));
    }
    return &functions;
}

void rdkafka_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[512];
    if (rdkafka_load()->rd_kafka_conf_set(conf, name, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
        cli_fail("%s", why);
}

rd_kafka_conf_t *rdkafka_configure(const char *bootstrap, const char *file,
                                   const struct texts *settings)
{
    rd_kafka_conf_t *conf = rdkafka_load()->rd_kafka_conf_new();
    struct config_map map = {0};
    if (file)
        cli_check(properties_read(file, &map));
    for (int32_t i = 0; i < map.count; i++)
        rdkafka_set(conf, map.entries[i].name, map.entries[i].value);
    config_map_done(&map);
    rdkafka_set(conf, "bootstrap.servers", bootstrap);
    for (int32_t i = 0; i < settings->count; i++) {
        int size;
        const char *value = cli_pair(settings->items[i], &size);
        if (!value)
            cli_fail("'%s' is not NAME=VALUE", settings->items[i]);
        OWNED_MEM char *name = mem_strndup(settings->items[i], (size_t)size);
        rdkafka_set(conf, name, value);
    }
    return conf;
}

static bool is_of_security(const char *setting)
{
    return strncmp(setting, "security.", 9) == 0 || strncmp(setting, "ssl.", 4) == 0 ||
           strncmp(setting, "sasl.", 5) == 0;
}

void rdkafka_check_brokers(const char *bootstrap, const char *file, const struct texts *settings)
{
    OWNED(client) struct client *client = NULL;
    struct config_map map = {0};
    bool is_secured = false;
    if (file)
        cli_check(properties_read(file, &map));
    for (int32_t i = 0; i < map.count; i++)
        is_secured |= is_of_security(map.entries[i].name);
    for (int32_t i = 0; i < settings->count; i++)
        is_secured |= is_of_security(settings->items[i]);
    config_map_done(&map);
    if (!is_secured)
        cli_check(client_open(bootstrap, NULL, &client));
}
