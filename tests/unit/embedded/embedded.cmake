# The library test drives the server with ZooKeeper's own C client.
target_link_libraries(unit_embedded_test_library PRIVATE ${ZOOKEEPER_LIBRARY})

# The server as a program, for clients that are programs too (tests/live/embedded).
add_executable(embedded_server ${CMAKE_SOURCE_DIR}/tests/live/embedded/embedded_server.c)
target_link_libraries(embedded_server PRIVATE embedded)

# The store on the disk that forgets: its file calls are the test's.
target_sources(unit_embedded_test_store_power_cut PRIVATE ${forgetful_disk_sources})
foreach(call open openat close write ftruncate fsync fdatasync mkdir renameat unlinkat)
  target_link_options(unit_embedded_test_store_power_cut PRIVATE -Wl,--wrap=${call})
endforeach()
