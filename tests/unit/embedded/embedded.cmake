# The library test drives the server with ZooKeeper's own C client.
target_link_libraries(unit_embedded_test_library PRIVATE ${ZOOKEEPER_LIBRARY})
