#include "common/program/arguments.h"

#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "common/base/near_word.h"
#include "common/base/printable.h"
#include "fmt/format.h"

namespace allot::program {

std::optional<int> ParseArguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const std::vector<std::string> unknown = app.remaining();
    const std::string& name = app.get_name();
    // What is missing is worth nothing to somebody whose flag is not known.
    std::string what = error.what();
    if (!unknown.empty() && unknown[0].starts_with("-")) {
      std::vector<std::string> flags;
      for (const CLI::Option* option : app.get_options())
        for (const std::string& flag : option->get_lnames()) flags.push_back("--" + flag);
      const std::string flag = unknown[0].substr(0, unknown[0].find('='));
      const std::string near = NearWord(flag, flags);
      what = fmt::format("there is no flag {}{}", flag,
                         near.empty() ? "" : "; did you mean " + near + "?");
    } else if (!unknown.empty()) {
      what = fmt::format("there is no place for \"{}\"", unknown[0]);
    }
    fmt::print(stderr, "{0}: {1}\n  `{0} --help` lists what it takes\n", name, Printable(what));
    return 2;
  }
}

}  // namespace allot::program
