// The command groups of `allot`; each adds its subcommands to the parser. A subcommand's
// callback only sets Session::action, so nothing runs before the whole line has been understood.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "client/exit_code.h"
#include "client/session.h"

namespace allot::client {

void AddSubmit(CLI::App& app, Session& session);
void AddJobs(CLI::App& app, Session& session);  // jobs, job, wait, cancel
void AddLogs(CLI::App& app, Session& session);
void AddExplain(CLI::App& app, Session& session);
void AddDeployments(CLI::App& app, Session& session);  // deploy, undeploy, deployments
void AddNodes(CLI::App& app, Session& session);        // nodes, devices, drain, undrain, doctor
void AddPower(CLI::App& app, Session& session);
void AddTop(CLI::App& app, Session& session);
void AddPolicy(CLI::App& app, Session& session);
void AddKeys(CLI::App& app, Session& session);
void AddCluster(CLI::App& app, Session& session);  // cluster init
void AddEnrol(CLI::App& app, Session& session);    // node, gateway, user
void AddLocal(CLI::App& app, Session& session);
void AddLoad(CLI::App& app, Session& session);
void AddCatalogue(CLI::App& app, Session& session);
void AddStore(CLI::App& app, Session& session);  // backup, restore
void AddTools(CLI::App& app, Session& session);  // simulate, version, completion

// A subcommand with its one-line description and an example shown under --help.
CLI::App* AddCommand(CLI::App& parent, const std::string& name, const std::string& what,
                     const std::string& example);
void AddJson(CLI::App* command, Session& session);
void AddWatch(CLI::App* command, Session& session);
// What runs when the subcommand was parsed.
void OnRun(CLI::App* command, Session& session, std::function<StatusOr<int>()> run);

// An id or name on the command line; it goes into a path of the API, so it is not empty.
CLI::Option* AddName(CLI::App* command, const std::string& title, std::string& target,
                     const std::string& what);
CLI::Option* AddNames(CLI::App* command, const std::string& title, std::vector<std::string>& target,
                      const std::string& what);

// A duration flag ("90s", "5m"); InvalidArgument names the flag.
StatusOr<Duration> DurationOf(const std::string& flag, const std::string& text);

}  // namespace allot::client
