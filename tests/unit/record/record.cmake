# The tests read bytes and answers that a JVM broker's own classes gave, kept in data/.
file(GLOB record_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/record/test_*.c)
foreach(file ${record_tests})
  get_filename_component(name ${file} NAME_WE)
  target_sources(unit_record_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit/record/answers.c
                                             ${CMAKE_SOURCE_DIR}/tests/unit/record/batches.c)
  target_compile_definitions(unit_record_${name} PRIVATE RECORD_DATA="${CMAKE_SOURCE_DIR}/tests/unit/record/data")
endforeach()
