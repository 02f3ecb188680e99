#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/commands/commands.h"
#include "client/local/files.h"
#include "client/text.h"
#include "common/base/version.h"

namespace allot::client {
namespace {

// Runs allot-sim in our place; its exit code is ours.
StatusOr<int> Simulate(const std::vector<std::string>& args) {
  ASSIGN_OR_RETURN(const std::string program, local::FindProgram("allot-sim"));
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  return FailedPrecondition("cannot run {}: {}", program, std::strerror(errno));
}

// Words only, one level down: what a shell needs to help, nothing that would ask the cluster.
std::string BashCompletion(const CLI::App& root) {
  std::string cases, words;
  for (const CLI::App* command : root.get_subcommands({})) {
    words += command->get_name() + " ";
    std::string options;
    for (const CLI::App* sub : command->get_subcommands({})) options += sub->get_name() + " ";
    for (const CLI::Option* option : command->get_options())
      for (const std::string& name : option->get_lnames()) options += "--" + name + " ";
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), options);
  }
  return fmt::format(
      "_allot() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" words=\"\"\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}    *) words=\"{}\" ;;\n  esac\n"
      "  [ \"$COMP_CWORD\" -eq 1 ] && words=\"{}\"\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}}\ncomplete -o default -F _allot allot\n",
      cases, words, words);
}

}  // namespace

void AddTools(CLI::App& app, Session& session) {
  CLI::App* simulate =
      AddCommand(app, "simulate", "Run allot-sim: the same cores in virtual time",
                 "  allot simulate --seed 7\n  allot simulate -- --help   (the simulator's own)");
  OnRun(simulate, session, [&session]() -> StatusOr<int> { return Simulate(session.trailing); });

  CLI::App* version = AddCommand(app, "version", "Print the version", "  allot version");
  AddJson(version, session);
  OnRun(version, session, [&session]() -> StatusOr<int> {
    Print(session.json ? fmt::format(R"({{"version":1,"allot":"{}"}})", kVersion)
                       : std::string("allot ") + kVersion);
    return 0;
  });

  CLI::App* completion = AddCommand(app, "completion", "Print a completion script for a shell",
                                    "  source <(allot completion bash)");
  auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
  OnRun(completion, session, [&app]() -> StatusOr<int> {
    Print(BashCompletion(app));
    return 0;
  });
}

}  // namespace allot::client
