allot_program(bench-fleet SRCS fleet.cc harness.cc DEPS allot_agent_core allot_wire allot_transport allot_asio)
