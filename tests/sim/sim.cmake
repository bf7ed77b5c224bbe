# The simulator: controllers over a modelled ZooKeeper and modelled brokers. `sim --seed N` replays one run.
add_library(sim_world STATIC ${CMAKE_SOURCE_DIR}/tests/sim/world.c
                             ${CMAKE_SOURCE_DIR}/tests/sim/history.c
                             ${CMAKE_SOURCE_DIR}/tests/sim/requests.c)
target_include_directories(sim_world PUBLIC ${CMAKE_SOURCE_DIR})
target_link_libraries(sim_world PUBLIC zk_memory controller zk wire base)

add_executable(sim ${CMAKE_SOURCE_DIR}/tests/sim/sim.c)
target_link_libraries(sim PRIVATE sim_world)
add_test(NAME sim/controller COMMAND sim --runs 60)
set_tests_properties(sim/controller PROPERTIES LABELS sim TIMEOUT 300)
