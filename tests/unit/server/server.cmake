# The network's small APIs and raw clients.
foreach(test test_network test_network_connections test_network_soon)
  target_sources(unit_server_${test} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/server/network_world.c)
endforeach()
# The model of ZooKeeper, for the handlers that store settings.
target_link_libraries(unit_server_test_configs PRIVATE zk_memory)
# Real partitions.
target_link_libraries(unit_server_test_isr_sender PRIVATE replica_fixture)
