# The model of ZooKeeper, for the handlers that store settings.
target_sources(unit_server_test_configs PRIVATE ${CMAKE_SOURCE_DIR}/tests/fake/zk_memory.c)
