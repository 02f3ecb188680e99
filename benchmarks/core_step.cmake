allot_program(bench-core_step SRCS core_step.cc core_step_router.cc core_step_scheduler.cc DEPS allot_scheduler_core allot_router_core)
