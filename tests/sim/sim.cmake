# The simulator. sim_world: controllers over a modelled ZooKeeper, used by the controller's unit
# tests too.
set(sim_dir ${CMAKE_SOURCE_DIR}/tests/sim)
file(GLOB sim_world_sources CONFIGURE_DEPENDS ${sim_dir}/world*.c ${sim_dir}/requests*.c)
add_library(sim_world STATIC ${sim_world_sources} ${sim_dir}/history.c)
target_include_directories(sim_world PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(sim_world PUBLIC zk_memory controller zk wire base)

# The cluster of real brokers. node_threads.c stands in the place of threads: the linker finds its
# functions before those of the libraries.
set(sim_sources
    ${sim_dir}/sim.c ${sim_dir}/cluster.c ${sim_dir}/faults.c ${sim_dir}/clients.c
    ${sim_dir}/promises.c ${sim_dir}/operator.c ${sim_dir}/calls.c ${sim_dir}/chance.c
    ${sim_dir}/node.c ${sim_dir}/node_disk.c ${sim_dir}/node_threads.c
    ${CMAKE_SOURCE_DIR}/tests/fake/forgetful_disk.c
    ${CMAKE_SOURCE_DIR}/broker/server/isr_sender.c
    ${CMAKE_SOURCE_DIR}/broker/server/note_keeper.c
    ${CMAKE_SOURCE_DIR}/broker/server/controller_ask.c
    ${CMAKE_SOURCE_DIR}/broker/server/handle_controller.c)
add_executable(sim ${sim_sources})
target_link_libraries(sim PRIVATE sim_world api replica log record config)
target_link_options(sim PRIVATE -Wl,--wrap=thread_start -Wl,--wrap=pthread_join)
add_test(NAME sim/cluster COMMAND sim --runs 20 --past ${sim_dir}/past_failures.txt)
set_tests_properties(sim/cluster PROPERTIES LABELS sim TIMEOUT 300)
