# Random values for every message, and our half of the comparison with the JVM (wire_jvm.sh).
add_library(wire_random STATIC ${CMAKE_CURRENT_SOURCE_DIR}/bytes/wire_random.c)
target_link_libraries(wire_random PUBLIC wire)
add_executable(wire_roundtrip ${CMAKE_CURRENT_SOURCE_DIR}/bytes/wire_roundtrip.c)
target_link_libraries(wire_roundtrip PRIVATE wire_random)
