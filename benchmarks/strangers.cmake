allot_program(bench-strangers SRCS strangers.cc harness.cc DEPS allot_http allot_json allot_transport allot_wire)
