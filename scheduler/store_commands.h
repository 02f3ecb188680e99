// `allot-scheduler backup …` and `allot-scheduler restore …`, which `allot backup` and `allot
// restore` run: what is done with a store while no scheduler, or none of this process, has it open.
#pragma once

#include <optional>

namespace allot::scheduler {

// The exit code, if the first word is one of them. Main thread.
std::optional<int> RunStoreCommand(int argc, char** argv);

}  // namespace allot::scheduler
