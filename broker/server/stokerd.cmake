# The daemon. main.c is left out of the library, so that tests can link the rest.
add_executable(stokerd ${CMAKE_SOURCE_DIR}/broker/server/main.c)
target_link_libraries(stokerd PRIVATE server)
install(TARGETS stokerd RUNTIME DESTINATION bin)
install(FILES ${CMAKE_SOURCE_DIR}/conf/cluster.properties ${CMAKE_SOURCE_DIR}/conf/single-node.properties DESTINATION /etc/stoker)
install(FILES ${CMAKE_SOURCE_DIR}/conf/stokerd.service DESTINATION lib/systemd/system)
