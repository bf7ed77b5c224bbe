# The daemon. main.c is left out of the library, so that tests can link the rest.
add_executable(stokerd ${CMAKE_SOURCE_DIR}/broker/server/main.c)
target_link_libraries(stokerd PRIVATE server)

# What is installed: with the prefix /usr settings lie in /etc/stoker, else below the prefix. The unit names the places.
include(GNUInstallDirs)
configure_file(${CMAKE_SOURCE_DIR}/conf/stokerd.service.in ${CMAKE_BINARY_DIR}/generated/stokerd.service @ONLY)
install(TARGETS stokerd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set(settings_place ${CMAKE_INSTALL_FULL_SYSCONFDIR})
if(settings_place STREQUAL "${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SYSCONFDIR}")
  set(settings_place ${CMAKE_INSTALL_SYSCONFDIR}) # relative: it follows `cmake --install --prefix`, too
endif()
install(FILES ${CMAKE_SOURCE_DIR}/conf/cluster.properties ${CMAKE_SOURCE_DIR}/conf/single-node.properties
        DESTINATION ${settings_place}/stoker)
install(FILES ${CMAKE_BINARY_DIR}/generated/stokerd.service DESTINATION lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/conf/stoker.sysusers DESTINATION lib/sysusers.d RENAME stoker.conf)
