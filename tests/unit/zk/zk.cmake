# The model needs its source. live_zk_session needs a server: tests/live/test_zk_session starts them.
foreach(name test_zk_memory test_registration)
  target_link_libraries(unit_zk_${name} PRIVATE zk_memory)
endforeach()
add_executable(live_zk_session ${CMAKE_SOURCE_DIR}/tests/live/zk/test_session.c)
target_include_directories(live_zk_session PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(live_zk_session PRIVATE zk PkgConfig::CMOCKA)
target_link_libraries(unit_zk_test_zk_names PRIVATE embedded ${CMAKE_DL_LIBS})
