# The simulator: controllers over a modelled ZooKeeper and modelled brokers with logs. `sim --seed N`
# replays one run.
add_library(sim_world STATIC ${CMAKE_SOURCE_DIR}/tests/sim/world.c
                             ${CMAKE_SOURCE_DIR}/tests/sim/history.c
                             ${CMAKE_SOURCE_DIR}/tests/sim/partitions.c
                             ${CMAKE_SOURCE_DIR}/tests/sim/requests.c)
target_include_directories(sim_world PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(sim_world PUBLIC zk_memory controller zk wire base)

add_executable(sim ${CMAKE_SOURCE_DIR}/tests/sim/sim.c)
target_link_libraries(sim PRIVATE sim_world)
add_test(NAME sim/cluster
  COMMAND sim --runs 40 --past ${CMAKE_SOURCE_DIR}/tests/sim/past_failures.txt)
add_test(NAME sim/mutations COMMAND sim --seed 1 --mutations 20)
set_tests_properties(sim/cluster sim/mutations PROPERTIES LABELS sim TIMEOUT 300)
