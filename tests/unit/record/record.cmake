# The tests read bytes and answers that a JVM broker's own classes gave, kept in data/.
foreach(file ${files})
  get_filename_component(name ${file} NAME_WE)
  target_sources(unit_record_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/unit/record/answers.c)
  target_compile_definitions(unit_record_${name} PRIVATE RECORD_DATA="${CMAKE_CURRENT_SOURCE_DIR}/unit/record/data")
endforeach()
