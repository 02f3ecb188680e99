allot_program(bench-submit_to_finish SRCS submit_to_finish.cc harness.cc DEPS allot_http allot_json allot_transport)
