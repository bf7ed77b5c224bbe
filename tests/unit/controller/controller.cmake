# These tests run whole controllers in the simulator's world.
file(GLOB controller_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/controller/test_*.c)
foreach(file ${controller_tests})
  get_filename_component(name ${file} NAME_WE)
  target_link_libraries(unit_controller_${name} PRIVATE sim_world)
endforeach()
