/* The commands there are; help and completion read this table too. */
#include "tools/commands.h"

const struct command commands[] = {
    {"topics", "create, list, describe, change and delete topics (kafka-topics.sh)",
     "--bootstrap-server HOST:PORT (--create | --list | --describe | --alter | --delete) …",
     cmd_topics},
    {"produce", "send lines of standard input (kafka-console-producer.sh)",
     "--bootstrap-server HOST:PORT --topic TOPIC", cmd_produce},
    {"consume", "print records (kafka-console-consumer.sh)",
     "--bootstrap-server HOST:PORT --topic TOPIC [--from-beginning] …", cmd_consume},
    {"get-offsets", "print the offsets of partitions (kafka-get-offsets.sh)",
     "--bootstrap-server HOST:PORT [--topic REGEX] [--time TIMESTAMP]", cmd_get_offsets},
    {"broker-api-versions", "print which APIs brokers serve (kafka-broker-api-versions.sh)",
     "--bootstrap-server HOST:PORT [--wait SECONDS]", cmd_broker_api_versions},
    {"configs", "describe and change settings (kafka-configs.sh)",
     "--bootstrap-server HOST:PORT (--describe [--all] | --alter …) "
     "(--topic NAME | --broker ID | --entity-type TYPE …)",
     cmd_configs},
    {"log-dirs", "print what lies in the brokers' log directories (kafka-log-dirs.sh)",
     "--bootstrap-server HOST:PORT --describe [--broker-list ID,…] [--topic-list NAME,…]",
     cmd_log_dirs},
    {"delete-records", "delete records below offsets (kafka-delete-records.sh)",
     "--bootstrap-server HOST:PORT --offset-json-file FILE", cmd_delete_records},
    {"dump-log", "print the files of a partition (kafka-dump-log.sh)",
     "--files FILE,… [--print-data-log] [--deep-iteration] …", cmd_dump_log},
    {"brokers", "tell what stands in the way of replacing brokers by Stoker",
     "check-swap (--bootstrap-server HOST:PORT | --zookeeper HOST:PORT[/CHROOT]) [--broker ID] "
     "[--file FILE]",
     cmd_brokers},
    {"zk-shell", "look at and change znodes (zookeeper-shell.sh)",
     "HOST:PORT[,HOST:PORT…][/CHROOT] [ls | get | stat | create | set | delete | deleteall …]",
     cmd_zk_shell},
    {"completion", "print what makes a shell complete commands and options", "bash",
     cmd_completion},
    {NULL, NULL, NULL, NULL},
};
