// The `allot` command: parse, run one action, turn its status into an exit code.
#include <algorithm>
#include <exception>
#include <sstream>

#include "client/commands/commands.h"
#include "client/verbs.h"
#include "common/base/text.h"

namespace allot::client {
namespace {

constexpr char kExamples[] =
    "Start here:\n"
    "  allot local up                                  a whole cluster on this machine\n"
    "  allot submit --follow -- python3 train.py       run something on it\n"
    "  allot deploy deployment.yaml --wait             serve a model\n"
    "  allot top --watch                               watch it\n"
    "  allot cluster init                              or a real one: docs/deploy.md\n"
    "Address: --server, else ALLOT_SERVER, else the local cluster of this folder (.allotrope),\n"
    "else client.yaml (ALLOT_DIR, ~/.config/allotrope, /etc/allotrope), else\n"
    "http://127.0.0.1:7401. Token: --token-file, else ALLOT_TOKEN, else client.yaml's.\n"
    "Exit codes: 0 ok, 1 failed, 2 usage or bad input, 3 denied, 4 not found, 5 unavailable,\n"
    "6 timed out, 7 unwell (`doctor`); `wait` and `submit --wait` return the job's code (124 timed "
    "out, 130\n"
    "cancelled, 128 + N for signal N).";

struct Group {
  std::string_view commands;  // with a space on each side
  void (*add)(CLI::App& app, Session& session);
};

constexpr Group kGroups[] = {
    {" submit ", AddSubmit},
    {" jobs job wait cancel ", AddJobs},
    {" logs ", AddLogs},
    {" explain ", AddExplain},
    {" deploy undeploy deployments ", AddDeployments},
    {" nodes devices drain undrain doctor ", AddNodes},
    {" power ", AddPower},
    {" top ", AddTop},
    {" policy ", AddPolicy},
    {" cluster ", AddCluster},
    {" node gateway user tokens ", AddEnrol},
    {" keys ", AddKeys},
    {" local ", AddLocal},
    {" load ", AddLoad},
    {" catalogue ", AddCatalogue},
    {" backup restore ", AddStore},
    {" simulate version completion ", AddTools},
};

const Group* GroupOf(std::string_view word) {
  const auto it = std::find_if(std::begin(kGroups), std::end(kGroups), [word](const Group& group) {
    return group.commands.find(" " + std::string(word) + " ") != std::string_view::npos;
  });
  return it == std::end(kGroups) ? nullptr : it;
}

void AddCommon(CLI::App& app, Session& session) {
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kExamples);
  app.add_option("--server", session.server, "The scheduler's API, as https://host:port");
  app.add_option("--token-file", session.token_file, "File that holds a bearer token");
  app.add_option("--ca", session.ca,
                 "Certificates (PEM) to believe over https, and no others; default ALLOT_CA");
  app.add_option("--certificate", session.certificate,
                 "Ours, with its key (PEM), where servers ask for one; default ALLOT_CERTIFICATE");
  app.add_flag("--plain-tokens", session.plain_tokens,
               "Send the token over plain HTTP to other machines, too (ALLOT_PLAIN_TOKENS=1)");
  app.add_option(
      "--patience", session.patience,
      "How long a scheduler may be away (restart, no answer); default 1m, 0: not at all");
}

// The first word that is no flag of all commands, nor the value of one: the command. `words` ends
// it.
size_t FindCommand(const std::vector<std::string_view>& words) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (!words[i].starts_with('-')) return i;
    if (words[i] == "--") break;
    const bool takes_value = words[i] == "--server" || words[i] == "--token-file" ||
                             words[i] == "--patience" || words[i] == "--ca" ||
                             words[i] == "--certificate";
    if (takes_value) ++i;
  }
  return words.size();
}

// All texts of ours travel as JSON sooner or later, and JSON has no place for other bytes than
// UTF-8; what cannot arrive as it was written is refused here, once for all commands.
Status CheckWords(const std::vector<std::string_view>& words, size_t split) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (IsValidUtf8(words[i])) continue;
    std::string which = i > split ? fmt::format("word {} of the command after --", i - split)
                                  : fmt::format("argument {}", i);
    const std::string_view flag = words[i].substr(0, words[i].find('='));
    if (i < split && flag.starts_with("--") && IsValidUtf8(flag))
      which += fmt::format(" ({})", flag);
    else if (i < split && i > 1 && words[i - 1].starts_with("--"))
      which += fmt::format(" (of {})", words[i - 1]);
    return InvalidArgument(
        "{}, \"{}\", is not valid UTF-8; the API speaks JSON, which cannot carry its bytes, so "
        "rename "
        "what it names, or hand it over in a file",
        which, ReplaceInvalidUtf8(words[i]));
  }
  return absl::OkStatus();
}

int Complain(const Status& status) {
  Say(Complaint(status));
  return ExitCodeOf(status);
}

std::vector<std::string> NamesOf(const CLI::App& group) {
  std::vector<std::string> names;
  for (const CLI::App* command : group.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::vector<std::string> FlagsOf(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// "allot node add".
std::string PathOf(const CLI::App& command) {
  const CLI::App* const parent = command.get_parent();
  return (parent == nullptr ? "" : PathOf(*parent) + " ") + command.get_name();
}

// A flag that neither `command` has nor all have; one of theirs may be left over as well, where its
// value is wrong.
bool IsUnknownFlag(std::string_view word, const CLI::App& app, const CLI::App& command) {
  const std::string name(word.substr(0, word.find('=')));
  return word.starts_with('-') && app.get_option_no_throw(name) == nullptr &&
         command.get_option_no_throw(name) == nullptr;
}

// The command that was understood last: of `allot node nope` that of "node".
const CLI::App& Innermost(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : Innermost(*parsed.back());
}

int Parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return kOk;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    const bool asked = app.exit(error, out, err) == 0;  // --help is an "error" as well.
    const CLI::App& command = Innermost(app);
    const std::vector<std::string> unknown = app.remaining(true);
    const auto flag = std::find_if(unknown.begin(), unknown.end(), [&](const std::string& word) {
      return IsUnknownFlag(word, app, command);
    });
    if (!asked && flag != unknown.end()) {
      // What the rest lacks is worth nothing to somebody whose flag is not known.
      Say(UnknownFlag(PathOf(command), *flag, FlagsOf(command)));
      return kUsage;
    }
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) &&
        &command != &app && command.get_require_subcommand_min() > 0) {
      Say(UnknownSubcommand(command.get_name(), unknown.empty() ? "" : unknown.front(),
                            NamesOf(command)));
      return kUsage;
    }
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) &&
        !unknown.empty()) {
      Say(WordTooMany(PathOf(command), unknown.front()));
      return kUsage;
    }
    if (!out.str().empty()) Print(out.str());
    if (!err.str().empty()) Say("allot: " + err.str());
    return asked ? -1 : kUsage;
  }
}

int Run(int argc, char** argv) {
  const std::vector<std::string_view> words(argv, argv + argc);
  const auto split =
      static_cast<size_t>(std::find(words.begin(), words.end(), "--") - words.begin());
  if (const Status status = CheckWords(words, split); !status.ok()) return Complain(status);

  Session session;
  CLI::App app("Allotrope: one workload, many chips. Trains and serves on mixed fleets.", "allot");
  AddCommon(app, session);
  // Only what the command needs is made: most of a short command's time goes by before its first
  // word is understood.
  const size_t at = FindCommand(words);
  const std::string_view verb = at < words.size() ? words[at] : "";
  const Group* const group = GroupOf(verb);
  if (group != nullptr && verb != "completion") {
    group->add(app, session);
  } else {
    for (const Group& each : kGroups) each.add(app, session);
  }
  if (verb == "help") {  // `allot help`, `allot help COMMAND`
    const std::string topic(at + 1 < words.size() ? words[at + 1] : "");
    const CLI::App* const command = topic.empty()               ? &app
                                    : GroupOf(topic) != nullptr ? app.get_subcommand(topic)
                                                                : nullptr;
    if (command != nullptr) {
      Print(command->help(topic.empty() ? "" : "allot"));
      return kOk;
    }
  }
  if (!verb.empty() && group == nullptr) {
    const bool about = verb == "help" && at + 1 < words.size();
    Say(UnknownVerb(about ? words[at + 1] : verb, NamesOf(app)));
    return kUsage;
  }

  // All that follows "--" is the user's own command line and never ours to parse; neither are the
  // words of the simulator.
  size_t mine = split;
  session.has_trailing = split < words.size();
  if (session.has_trailing) session.trailing.assign(words.begin() + split + 1, words.end());
  if (verb == "simulate" && !(at + 1 < words.size() && words[at + 1] == "--help")) {
    mine = std::min(split, at + 1);
    session.trailing.insert(session.trailing.begin(), words.begin() + mine, words.begin() + split);
  }
  if (const int code = Parse(app, static_cast<int>(mine), argv); code != kOk)
    return code < 0 ? kOk : code;
  if (session.has_trailing && verb != "submit" && verb != "simulate") {
    Say("allot: only `allot submit` and `allot simulate` take a command after \"--\"");
    return kUsage;
  }
  if (!session.action) return kUsage;
  const StatusOr<int> result = session.action();
  return result.ok() ? *result : Complain(result.status());
}

}  // namespace
}  // namespace allot::client

int main(int argc, char** argv) {
  try {
    return allot::client::Run(argc, argv);
  } catch (const std::exception& error) {  // Out of memory, or a library that throws past us.
    allot::client::Say(std::string("allot: internal error: ") + error.what());
    return allot::client::kFailed;
  }
}
