// `--enroll` of the programs that have ZeroMQ in them: what `allot node join` has asked for it.
#pragma once

#include <cstdio>

namespace allot::enroll {

// One question read from `in` to its end, its answer as a line to `out`. The exit code: 0 also
// where the answer is an error, since it has been told.
int Serve(std::FILE* in, std::FILE* out);

// How it is called and what --help says of it.
inline constexpr char kFlag[] = "--enroll";
inline constexpr char kHelp[] =
    "for `allot node join` and `allot gateway join`: take a question from standard input, ask the "
    "scheduler, print its answer";

}  // namespace allot::enroll
