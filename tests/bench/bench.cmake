# Load programs for tests/bench/compare, and what the parts cost alone.
add_library(bench_client STATIC ${CMAKE_CURRENT_LIST_DIR}/client.c)
target_include_directories(bench_client PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(bench_client PUBLIC record base PkgConfig::RDKAFKA PkgConfig::JANSSON)

foreach(name bench_produce bench_consume bench_round_trip bench_sendfile bench_write_floor bench_await
        bench_requests bench_end_to_end bench_trip_floor)
  add_executable(${name} ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
  target_link_libraries(${name} PRIVATE bench_client)
  list(APPEND BENCH_PROGRAMS ${name})
endforeach()

foreach(name bench_sendfile bench_write_floor bench_trip_floor)
  target_sources(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/loopback.c)
endforeach()

foreach(pair bench_touch:base bench_idle:server bench_log_open:log bench_log_create:log bench_validate:record)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 part)
  add_executable(${name} ${CMAKE_CURRENT_LIST_DIR}/${name}.c)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE ${part})
  list(APPEND BENCH_PROGRAMS ${name})
endforeach()
foreach(name bench_log_open bench_log_create)
  target_sources(${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/bench_logs.c)
endforeach()

# For tests/bench/failover.
add_executable(bench_write_once ${CMAKE_CURRENT_LIST_DIR}/bench_write_once.c ${CMAKE_CURRENT_LIST_DIR}/failover_metadata.c)
target_link_libraries(bench_write_once PRIVATE bench_client)
list(APPEND BENCH_PROGRAMS bench_write_once)
foreach(name bench_failover bench_zookeeper)
  add_executable(${name} ${CMAKE_CURRENT_LIST_DIR}/${name}.c ${CMAKE_CURRENT_LIST_DIR}/failover_metadata.c)
  target_compile_definitions(${name} PRIVATE THREADED)
  target_link_libraries(${name} PRIVATE bench_client ${ZOOKEEPER_LIBRARY})
  list(APPEND BENCH_PROGRAMS ${name})
endforeach()

add_custom_target(bench DEPENDS ${BENCH_PROGRAMS} stokerd)
