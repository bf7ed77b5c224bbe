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
    ${forgetful_disk_sources}
    ${CMAKE_SOURCE_DIR}/broker/server/isr_sender.c
    ${CMAKE_SOURCE_DIR}/broker/server/note_keeper.c
    ${CMAKE_SOURCE_DIR}/broker/server/controller_ask.c
    ${CMAKE_SOURCE_DIR}/broker/server/handle_controller.c)
add_library(sim_objects OBJECT ${sim_sources})
target_link_libraries(sim_objects PRIVATE sim_world api replica log record config)

# sim_program(NAME SOURCES…): sources given here take the place of those in the libraries.
function(sim_program name)
  add_executable(${name} ${ARGN} $<TARGET_OBJECTS:sim_objects>)
  target_link_libraries(${name} PRIVATE sim_world api replica log record config)
  target_link_options(${name} PRIVATE -Wl,--wrap=thread_start -Wl,--wrap=pthread_join)
endfunction()

sim_program(sim)
add_test(NAME sim/cluster COMMAND sim --seconds 60 --past ${sim_dir}/past_failures.txt)
set_tests_properties(sim/cluster PROPERTIES LABELS sim TIMEOUT 300)

# Do the promises bite? Each variant of the real code is broken on purpose, and some seed must catch
# it.
function(sim_mutation name source pattern replacement)
  set(broken ${CMAKE_BINARY_DIR}/generated/mutations/${name}.c)
  add_custom_command(
    OUTPUT ${broken}
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${CMAKE_SOURCE_DIR}/${source} -DRESULT=${broken}
            "-DPATTERN=${pattern}" "-DREPLACEMENT=${replacement}" -P ${sim_dir}/mutate.cmake
    DEPENDS ${CMAKE_SOURCE_DIR}/${source} ${sim_dir}/mutate.cmake VERBATIM)
  sim_program(sim_${name} ${broken})
  target_compile_options(sim_${name} PRIVATE -Wno-unused)
  add_test(NAME sim/mutation/${name} COMMAND sim_${name} --seed 1 --runs 60 --expect-failure)
  set_tests_properties(sim/mutation/${name} PROPERTIES LABELS sim TIMEOUT 300)
endfunction()

sim_mutation(early_commit broker/replica/partition.c
             "int64_t lowest = lowest_end(partition)"
             "int64_t lowest = log_end_offset(partition->log)")
sim_mutation(anyone_joins broker/replica/partition_isr.c
             "remote->end_offset >= partition_high_watermark(partition) &&"
             "")
sim_mutation(no_truncation broker/replica/partition_follow.c
             "enum err e = log_truncate(partition->log, offset)"
             "enum err e = ERR_OK")
sim_mutation(early_ack broker/replica/partition_io.c
             "if (partition_high_watermark(partition) < required_offset)"
             "if (false)")
sim_mutation(anyone_leads coordinator/controller/leader_pick.c
             "if (online(context, partition, id) && (!among || ids_contains(among, id)))"
             "if (online(context, partition, id))")
# At the seam that the world has anyway: controllers write without the check of /controller_epoch.
# Or they do not note who has everything when they thin an ISR.
foreach(missing guard notes)
  add_test(NAME sim/mutation/no_${missing}
           COMMAND sim --seed 1 --runs 60 --without-${missing} --expect-failure)
  set_tests_properties(sim/mutation/no_${missing} PROPERTIES LABELS sim TIMEOUT 300)
endforeach()
