allot_program(bench-discover SRCS discover.cc DEPS allot_agent_devices)
target_compile_definitions(bench-discover PRIVATE ALLOT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
