// The command line of a program that is no `allot`: one way to read it and to say what is wrong.
#pragma once

#include <optional>

namespace CLI {
class App;
}

namespace allot::program {

// Fills what `app`, whose name is the program's, was told to fill. The exit code if the program
// ends here: 0 after --help and --version, 2 after a sentence on standard error that names the
// program, the word that is wrong and where to read on. Main thread.
std::optional<int> ParseArguments(CLI::App& app, int argc, char** argv);

}  // namespace allot::program
