# Every test of the log shares the fixture, and the disk that forgets.
set(forgetful_disk_sources ${CMAKE_SOURCE_DIR}/tests/fake/forgetful_disk.c ${CMAKE_SOURCE_DIR}/tests/fake/forgetful_calls.c
                           ${CMAKE_SOURCE_DIR}/tests/fake/forgetful_cut.c)
add_library(log_fixture STATIC ${CMAKE_SOURCE_DIR}/tests/unit/log/log_fixture.c ${CMAKE_SOURCE_DIR}/tests/unit/log/dark_disk.c
            ${forgetful_disk_sources})
target_include_directories(log_fixture PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/tests/unit/log)
target_link_libraries(log_fixture PUBLIC log PkgConfig::CMOCKA)
file(GLOB log_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/log/test_*.c)
foreach(file ${log_tests})
  get_filename_component(name ${file} NAME_WE)
  target_link_libraries(unit_log_${name} PRIVATE log_fixture log)
endforeach()

# The same disk for a real broker, by LD_PRELOAD. Without sanitizers: those want to be loaded first.
add_library(forgetful_disk SHARED ${forgetful_disk_sources} ${CMAKE_SOURCE_DIR}/tests/fake/forgetful_preload.c)
target_include_directories(forgetful_disk PRIVATE ${CMAKE_SOURCE_DIR})
target_link_libraries(forgetful_disk PRIVATE Threads::Threads)
target_compile_options(forgetful_disk PRIVATE -fno-sanitize=all -fPIC)
target_link_options(forgetful_disk PRIVATE -fno-sanitize=all)
set_target_properties(forgetful_disk PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
add_test(NAME fake/forgetful_disk COMMAND ${CMAKE_SOURCE_DIR}/tests/fake/test_forgetful_disk $<TARGET_FILE:forgetful_disk>)
set_tests_properties(fake/forgetful_disk PROPERTIES LABELS unit TIMEOUT 60)
