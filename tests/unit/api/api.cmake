# Handlers are tested without broker/server: the fake of the request layer stands in its place.
add_library(api_fixture STATIC ${CMAKE_SOURCE_DIR}/tests/unit/api/api_fixture.c ${CMAKE_SOURCE_DIR}/tests/fake/fake_request.c)
target_include_directories(api_fixture PUBLIC ${CMAKE_SOURCE_DIR}/tests/unit/api)
target_link_libraries(api_fixture PUBLIC replica_fixture api)
file(GLOB api_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/api/test_*.c)
foreach(file ${api_tests})
  get_filename_component(name ${file} NAME_WE)
  target_link_libraries(unit_api_${name} PRIVATE api_fixture api)
endforeach()
