# Hex and sentences for all tests of the codec; for the test of its cost, decode.c once more with its steps counted.
add_library(wire_test_messages STATIC ${CMAKE_CURRENT_SOURCE_DIR}/unit/wire/messages.c)
target_link_libraries(wire_test_messages PUBLIC wire PkgConfig::CMOCKA)
foreach(test test_golden test_values test_cost)
  target_link_libraries(unit_wire_${test} PRIVATE wire_test_messages)
endforeach()

add_library(wire_decode_counted OBJECT ${CMAKE_SOURCE_DIR}/broker/wire/decode.c)
target_include_directories(wire_decode_counted PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(wire_decode_counted PRIVATE -fsanitize-coverage=trace-pc)
target_sources(unit_wire_test_cost PRIVATE $<TARGET_OBJECTS:wire_decode_counted>)
target_link_libraries(unit_wire_test_cost PRIVATE wire_random)
