# These tests run whole controllers in the simulator's world.
foreach(name test_controller test_requests test_thread test_reassignment)
  target_link_libraries(unit_controller_${name} PRIVATE sim_world)
endforeach()
