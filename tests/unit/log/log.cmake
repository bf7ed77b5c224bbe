# Every test of the log shares the fixture.
add_library(log_fixture STATIC ${CMAKE_SOURCE_DIR}/tests/unit/log/log_fixture.c)
target_include_directories(log_fixture PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/unit/log)
target_link_libraries(log_fixture PUBLIC log PkgConfig::CMOCKA)
file(GLOB log_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/log/test_*.c)
foreach(file ${log_tests})
  get_filename_component(name ${file} NAME_WE)
  target_link_libraries(unit_log_${name} PRIVATE log_fixture log)
endforeach()
