# The command-line tool: a library of all commands, which the unit tests link, and the program. librdkafka and what it
# pulls in are loaded only by produce and consume (rdkafka.c), so that `stoker --help` stays instant.
file(GLOB STOKER_TOOL_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tools/*.c)
list(FILTER STOKER_TOOL_SOURCES EXCLUDE REGEX "/stoker\\.c$")
add_library(tools STATIC ${STOKER_TOOL_SOURCES})
target_link_libraries(tools PUBLIC zk log record config wire base PkgConfig::JANSSON ${CMAKE_DL_LIBS})
add_executable(stoker ${CMAKE_SOURCE_DIR}/tools/stoker.c)
target_link_libraries(stoker PRIVATE tools)

# Completion is printed by the program itself, so that it names the commands there are.
include(GNUInstallDirs)
add_custom_command(TARGET stoker POST_BUILD
                   COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/generated
                   COMMAND $<TARGET_FILE:stoker> completion bash > ${CMAKE_BINARY_DIR}/generated/stoker.bash)
install(TARGETS stoker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${CMAKE_BINARY_DIR}/generated/stoker.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME stoker)
