/* The commands of `stoker`, each in a file cmd_<name>.c. */
#pragma once

#include "tools/cli.h"

int cmd_topics(int argc, char **argv);
int cmd_get_offsets(int argc, char **argv);
int cmd_broker_api_versions(int argc, char **argv);
int cmd_produce(int argc, char **argv);
int cmd_consume(int argc, char **argv);
int cmd_completion(int argc, char **argv);
int cmd_configs(int argc, char **argv);
int cmd_log_dirs(int argc, char **argv);
int cmd_delete_records(int argc, char **argv);
int cmd_dump_log(int argc, char **argv);
int cmd_brokers(int argc, char **argv);
int cmd_zk_shell(int argc, char **argv);
