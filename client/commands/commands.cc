#include "client/commands/commands.h"

#include <charconv>

#include "common/config/bind.h"

namespace allot::client {

CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& what,
                     const std::string& example) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer("Example:\n" + example);
  return command;
}

void AddJson(CLI::App* command, Session& session) {
  command->add_flag("--json", session.json, "Print JSON with a version field, for programs");
}

void AddWatch(CLI::App* command, Session& session) {
  command
      ->add_option_function<std::vector<std::string>>(
          "--watch",
          [&session](const std::vector<std::string>& given) {
            session.watch_seconds = 2.0;
            if (given.empty() || given[0].empty() || given[0] == "{}") return;
            double seconds = 0;
            const char* end = given[0].data() + given[0].size();
            const auto [stop, error] = std::from_chars(given[0].data(), end, seconds);
            if (error != std::errc() || stop != end || seconds < 0.1 || seconds > 86400)
              throw CLI::ValidationError(
                  "--watch", "give seconds from 0.1 to 86400, not \"" + given[0] + "\"");
            session.watch_seconds = seconds;
          },
          "Show it again every SECONDS (default 2) until interrupted")
      ->expected(0, 1)
      ->type_name("SECONDS");
}

void OnRun(CLI::App* command, Session& session, std::function<StatusOr<int>()> run) {
  command->callback([&session, run = std::move(run)] { session.action = run; });
}

namespace {

CLI::Validator NotEmpty() {
  return CLI::Validator(
      [](const std::string& text) { return std::string(text.empty() ? "it is empty" : ""); }, "");
}

}  // namespace

CLI::Option* AddName(CLI::App* command, const std::string& title, std::string& target,
                     const std::string& what) {
  return command->add_option(title, target, what)->required()->check(NotEmpty());
}

CLI::Option* AddNames(CLI::App* command, const std::string& title, std::vector<std::string>& target,
                      const std::string& what) {
  return command->add_option(title, target, what)->required()->check(NotEmpty());
}

StatusOr<Duration> DurationOf(const std::string& flag, const std::string& text) {
  const auto micros = config::ParseDurationMicros(text);
  if (!micros.ok()) return InvalidArgument("{}: {}", flag, MessageOf(micros.status()));
  return Duration(*micros);
}

}  // namespace allot::client
