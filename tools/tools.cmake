# The command-line tool: a library of all commands, which the unit tests link, and the program. librdkafka and what it
# pulls in are loaded only by produce and consume (rdkafka.c), so that `stoker --help` stays instant.
file(GLOB STOKER_TOOL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
list(FILTER STOKER_TOOL_SOURCES EXCLUDE REGEX "/stoker\\.c$")
add_library(tools STATIC ${STOKER_TOOL_SOURCES})
target_link_libraries(tools PUBLIC zk log record config wire base PkgConfig::JANSSON ${CMAKE_DL_LIBS})
add_executable(stoker ${CMAKE_SOURCE_DIR}/tools/stoker.c)
target_link_libraries(stoker PRIVATE tools)
install(TARGETS stoker RUNTIME DESTINATION bin)
