allot_program(bench-power_cap SRCS power_cap.cc DEPS allot_scheduler_core)
