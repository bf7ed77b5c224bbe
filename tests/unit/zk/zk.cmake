# The model needs its source; the live tests need a server: ZOOKEEPER=host:port, skipped without.
foreach(name test_zk_memory test_registration)
  target_link_libraries(unit_zk_${name} PRIVATE zk_memory)
endforeach()
add_executable(live_zk_session ${CMAKE_SOURCE_DIR}/tests/live/zk/test_session.c)
target_include_directories(live_zk_session PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(live_zk_session PRIVATE zk PkgConfig::CMOCKA)
add_test(NAME live/zk/session COMMAND live_zk_session)
set_tests_properties(live/zk/session PROPERTIES LABELS live SKIP_RETURN_CODE 77 TIMEOUT 240)
