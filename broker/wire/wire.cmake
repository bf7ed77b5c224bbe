# The codec and the tables that generate.py makes from the schemas. The generated sources lie in the build only.
file(GLOB WIRE_SCHEMAS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/broker/wire/schema/*.api)
set(WIRE_OUT ${CMAKE_BINARY_DIR}/generated)
set(WIRE_SOURCES ${WIRE_OUT}/tables.c)
foreach(schema ${WIRE_SCHEMAS})
  get_filename_component(stem ${schema} NAME_WE)
  list(APPEND WIRE_SOURCES ${WIRE_OUT}/${stem}.c)
endforeach()
# At configuration already, so that every other part finds the headers; again when a schema changes.
execute_process(COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/broker/wire/generate.py
                        ${CMAKE_SOURCE_DIR}/broker/wire/schema ${WIRE_OUT} COMMAND_ERROR_IS_FATAL ANY)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${WIRE_SCHEMAS} ${CMAKE_SOURCE_DIR}/broker/wire/generate.py)
file(GLOB WIRE_CODEC CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/broker/wire/*.c)
add_library(wire STATIC ${WIRE_CODEC} ${WIRE_SOURCES})
target_include_directories(wire PUBLIC ${CMAKE_SOURCE_DIR} ${WIRE_OUT})
target_link_libraries(wire PUBLIC base)
