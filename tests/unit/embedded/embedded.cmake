# The library test drives the server with ZooKeeper's own C client.
target_link_libraries(unit_embedded_test_library PRIVATE ${ZOOKEEPER_LIBRARY})

# The server as a program, for clients that are programs too (tests/live/embedded).
add_executable(embedded_server ${CMAKE_SOURCE_DIR}/tests/live/embedded/embedded_server.c)
target_link_libraries(embedded_server PRIVATE embedded)
