# The model of ZooKeeper, for the handlers that store settings.
target_link_libraries(unit_server_test_configs PRIVATE zk_memory)
# Real partitions.
target_link_libraries(unit_server_test_isr_sender PRIVATE replica_fixture)
