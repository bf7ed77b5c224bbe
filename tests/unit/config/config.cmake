# What a change of settings may cost: the files that judge and keep it once more, with the steps of their flow counted.
add_library(config_counted OBJECT
            ${CMAKE_SOURCE_DIR}/broker/config/config_alter.c ${CMAKE_SOURCE_DIR}/broker/config/config_map.c
            ${CMAKE_SOURCE_DIR}/broker/config/config_live.c ${CMAKE_SOURCE_DIR}/broker/config/config_describe.c
            ${CMAKE_SOURCE_DIR}/broker/config/config.c)
target_include_directories(config_counted PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/generated)
target_compile_options(config_counted PRIVATE -fsanitize-coverage=trace-pc)
target_sources(unit_config_test_cost PRIVATE $<TARGET_OBJECTS:config_counted>)
