# The command-line tool. librdkafka and what it pulls in are loaded only by produce and consume (rdkafka.c), so that
# `stoker --help` stays instant.
file(GLOB STOKER_TOOL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
add_executable(stoker ${STOKER_TOOL_SOURCES})
target_link_libraries(stoker PRIVATE config wire base PkgConfig::JANSSON ${CMAKE_DL_LIBS})
install(TARGETS stoker RUNTIME DESTINATION bin)
