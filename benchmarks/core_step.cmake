add_executable(core_step
  ${CMAKE_CURRENT_LIST_DIR}/core_step.cc
  ${CMAKE_CURRENT_LIST_DIR}/core_step_router.cc
  ${CMAKE_CURRENT_LIST_DIR}/core_step_scheduler.cc)
target_link_libraries(core_step PRIVATE allot_scheduler_core allot_router_core allot_warnings)
