# The fixtures that tests of replica and api share.
add_library(replica_fixture STATIC ${CMAKE_SOURCE_DIR}/tests/unit/replica/replica_fixture.c
                                   ${CMAKE_SOURCE_DIR}/tests/unit/replica/leading_world.c
                                   ${CMAKE_SOURCE_DIR}/tests/unit/replica/fetcher_world.c)
target_include_directories(replica_fixture PUBLIC ${CMAKE_SOURCE_DIR}/tests/unit/replica)
target_link_libraries(replica_fixture PUBLIC replica log_fixture)
file(GLOB replica_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/replica/test_*.c)
foreach(file ${replica_tests})
  get_filename_component(name ${file} NAME_WE)
  target_link_libraries(unit_replica_${name} PRIVATE replica_fixture replica)
endforeach()
