// Who may speak: bearer tokens of people, keys of programs, and what the command line refuses.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "client/local/files.h"
#include "client/local/processes.h"
#include "client/local/token.h"
#include "common/http/client.h"
#include "common/json/json.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace local = client::local;

class Access : public ClusterTest {
 protected:
  // A scheduler that asks for tokens, on ports of its own choice.
  void UpWithTokens() {
    ASSERT_TRUE(cluster().Configure({}).ok());
    const local::Layout& layout = cluster().layout();
    for (const char* role : {"viewer", "user", "admin"})
      Write(role,
            Plain({"keys", "token", layout.File("tokens.yaml"), "--name", role, "--role", role}));
    std::ofstream(layout.SchedulerConfig())
        << "state_dir: scheduler\nlisten: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\n"
           "key_file: keys/scheduler.key\nallow_file: allow.yaml\ntokens_file: tokens.yaml\n"
           "gateway: {listen: 'tcp://127.0.0.1:0', http_listen: 127.0.0.1:0}\n";
    const auto up = cluster().StartScheduler(kDeadline);
    ASSERT_TRUE(up.ok()) << up.status();
    url_ = "http://" + up->http;
    gateway_ = "http://" + up->gateway_http;
  }
  // Needs no cluster.
  std::string Plain(const std::vector<std::string>& args) const {
    const CommandResult result = RunProgram(Program("allot"), args, {}, folder());
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  }
  CommandResult As(const std::string& role, std::vector<std::string> args) const {
    args.insert(args.end(), {"--server", url_});
    if (!role.empty()) args.insert(args.end(), {"--token-file", folder() + "/" + role});
    return RunProgram(Program("allot"), args, {"ALLOT_TOKEN="}, folder());
  }
  // `authorization` as it stands in the header; empty for none.
  http::ClientResponse Ask(const std::string& url, const std::string& method,
                           const std::string& path, const std::string& authorization) const {
    const auto client = http::BlockingClient::Create(url, "");
    http::ClientRequest request;
    request.method = method;
    request.target = path;
    if (!authorization.empty()) request.headers = {{"Authorization", authorization}};
    const auto answer = (*client)->Fetch(request);
    EXPECT_TRUE(answer.ok()) << method << " " << path << ": " << answer.status();
    return answer.ok() ? *answer : http::ClientResponse{};
  }
  // The first line of what is answered to a GET with these headers.
  std::string Raw(const std::string& address, const std::string& path, const std::string& headers) {
    boost::asio::io_context loop;
    boost::asio::ip::tcp::socket socket(loop);
    const size_t colon = address.rfind(':');
    socket.connect({boost::asio::ip::make_address(address.substr(0, colon)),
                    static_cast<uint16_t>(std::stoi(address.substr(colon + 1)))});
    boost::asio::write(socket, boost::asio::buffer("GET " + path + " HTTP/1.1\r\n" + headers +
                                                   "\r\nConnection: close\r\n\r\n"));
    std::string answer;
    boost::system::error_code ignored;
    boost::asio::read_until(socket, boost::asio::dynamic_buffer(answer), "\r\n", ignored);
    return answer.substr(0, answer.find("\r\n"));
  }
  std::string TokenOf(const std::string& role) const {
    std::string token = Read(role);
    while (!token.empty() && token.back() == '\n') token.pop_back();
    return token;
  }
  // Without a token, with one that nobody was given, and with things that are no token.
  void ExpectDenied(const std::string& url, const std::string& method, const std::string& path) {
    for (const std::string& authorization :
         {std::string(), std::string("Bearer nobody-was-given-this"), std::string("Bearer "),
          "Basic " + TokenOf("admin"), TokenOf("admin")}) {
      const http::ClientResponse answer = Ask(url, method, path, authorization);
      EXPECT_EQ(answer.status, 401) << method << " " << path << " with \"" << authorization << "\"";
      EXPECT_THAT(answer.body, HasSubstr("\"error\"")) << method << " " << path;
    }
  }
  // An agent that runs, whether or not it is let in.
  void StartUnregistered(const std::string& name) {
    const auto pid = cluster().StartAgent(name);
    ASSERT_TRUE(pid.ok()) << pid.status();
    const auto ready = local::WaitForAddresses(cluster().layout().NodeState(name), *pid, kDeadline);
    ASSERT_TRUE(ready.ok()) << ready.status();
  }
  // Has the scheduler counted a refusal for this reason?
  bool Refused(const std::string& reason) {
    const auto metrics = api().Fetch({.target = "/metrics"});
    const std::string row = "allotrope_link_refused_total{reason=\"" + reason + "\"} ";
    const size_t at = metrics.ok() ? metrics->find(row) : std::string::npos;
    return at != std::string::npos && (*metrics)[at + row.size()] != '0';
  }
  std::string url_, gateway_;
};

TEST_F(Access, WithoutATokenEveryRouteButHealthIsDenied) {
  UpWithTokens();
  EXPECT_EQ(Ask(url_, "GET", "/healthz", "").status, 200);
  const std::string viewer = "Bearer " + TokenOf("viewer");
  const http::ClientResponse document = Ask(url_, "GET", "/openapi.json", viewer);
  ASSERT_EQ(document.status, 200) << document.body;
  const json::value parsed = json::parse(document.body);
  std::vector<std::string> denied_routes;
  for (const auto& [pattern, operations] : parsed.at("paths").as_object()) {
    if (pattern == "/healthz") continue;
    const std::string path =
        std::regex_replace(std::string(pattern), std::regex("\\{[^}]*\\}"), "x");
    for (const auto& [method, operation] : operations.as_object()) {
      std::string upper(method);
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      denied_routes.push_back(upper + " " + path);
      ExpectDenied(url_, upper, path);
    }
  }
  EXPECT_THAT(denied_routes,
              ::testing::IsSupersetOf({"GET /v1/jobs", "POST /v1/jobs", "DELETE /v1/jobs/x",
                                       "GET /v1/jobs/x/logs", "PUT /v1/policy", "GET /metrics",
                                       "POST /v1/nodes/x/drain", "GET /openapi.json"}));
  // Whoever may not ask does not learn what is there, either.
  ExpectDenied(url_, "GET", "/nowhere");
  ExpectDenied(url_, "DELETE", "/v1/nodes");
  const CommandResult denied = As("", {"nodes"});
  EXPECT_EQ(denied.code, 3);
  EXPECT_THAT(denied.err, HasSubstr("--token-file"));
}

TEST_F(Access, WithoutATokenAGatewaySaysNoMoreThanThatItIsHealthy) {
  UpWithTokens();
  EXPECT_EQ(Ask(gateway_, "GET", "/healthz", "").status, 200);
  ExpectDenied(gateway_, "POST", "/v1/completions");
  ExpectDenied(gateway_, "POST", "/v1/chat/completions");
  for (const char* path : {"/v1/models", "/metrics", "/allot/v1/deployments",
                           "/allot/v1/requests/req-00000000000000f3", "/nowhere"})
    ExpectDenied(gateway_, "GET", path);
  // They are there for those who may.
  const std::string user = "Bearer " + TokenOf("user");
  EXPECT_EQ(Ask(gateway_, "POST", "/v1/completions", user).status, 400) << "no body";
  for (const char* path : {"/v1/models", "/metrics", "/allot/v1/deployments"})
    EXPECT_EQ(Ask(gateway_, "GET", path, user).status, 200) << path;
}

TEST_F(Access, ARoleMayDoWhatItMayAndNoMore) {
  UpWithTokens();
  EXPECT_EQ(As("viewer", {"jobs"}).code, 0);
  EXPECT_EQ(As("viewer", {"submit", "--runtime", "noop"}).code, 3);
  const CommandResult submitted = As("user", {"submit", "--runtime", "noop"});
  EXPECT_EQ(submitted.code, 0) << submitted.err;
  EXPECT_EQ(As("user", {"policy", "apply", "balanced"}).code, 3);
  EXPECT_EQ(As("admin", {"policy", "apply", "balanced"}).code, 0);
  EXPECT_EQ(As("viewer", {"job", "job-1"}).code, 0);
  EXPECT_THAT(As("viewer", {"job", "job-1"}).out, HasSubstr("submitted by user"));
}

TEST_F(Access, TokensAreGivenForSomethingAndForAWhileAndListedWithTheirLastUse) {
  UpWithTokens();
  const std::string config = cluster().layout().SchedulerConfig();
  Write("ci",
        Plain({"tokens", "add", "ci", "--only", "jobs", "--expires", "30d", "--config", config}));
  Plain({"user", "add", "idle", "--role", "viewer", "--config", config});
  EXPECT_TRUE(Until([&] { return As("ci", {"jobs"}).code == 0; })) << "taken up by itself";
  const CommandResult other = As("ci", {"nodes"});
  EXPECT_EQ(other.code, 3);
  EXPECT_THAT(other.err, HasSubstr("is for jobs only; this needs one that is for cluster"));
  ASSERT_GT(cluster().Down(), 0);  // which writes down what was used
  ASSERT_TRUE(cluster().StartScheduler(kDeadline).ok());
  const json::value list = json::parse(Plain({"tokens", "list", "--json", "--config", config}));
  std::map<std::string, json::object> tokens;
  for (const json::value& token : list.at("tokens").as_array())
    tokens[std::string(token.at("name").as_string())] = token.as_object();
  EXPECT_EQ(tokens.at("ci").at("only").as_array().at(0).as_string(), "jobs");
  EXPECT_FALSE(tokens.at("ci").at("expired").as_bool());
  EXPECT_TRUE(tokens.at("ci").contains("expires"));
  EXPECT_EQ(tokens.at("ci").at("last_used_from").as_string(), "127.0.0.1");
  EXPECT_FALSE(tokens.at("idle").contains("last_used"));
  EXPECT_THAT(Plain({"user", "list", "--config", config}), HasSubstr("LAST USED"));
  Plain({"tokens", "revoke", "ci", "--config", config});
  EXPECT_THAT(Plain({"tokens", "list", "--config", config}), Not(HasSubstr("ci ")));
}

TEST_F(Access, AnAgentWithTheWrongKeyIsRefusedAndTheOthersWorkOn) {
  Up({{"good", true, {}}, {"other", true, {}}});
  const local::Layout& layout = cluster().layout();
  KillAgent("other");
  // A key nobody enrolled, then the key of another node: neither may speak as "other".
  std::filesystem::remove(layout.File("keys/other.key"));
  Plain({"keys", "new", layout.File("keys/other.key")});
  StartUnregistered("other");
  EXPECT_TRUE(Until([&] { return Refused("unknown_key"); }));
  std::filesystem::remove(layout.File("keys/other.key"));
  std::filesystem::copy_file(layout.File("keys/good.key"), layout.File("keys/other.key"));
  KillAgent("other");
  StartUnregistered("other");
  EXPECT_TRUE(Until([&] { return Refused("name_not_proven"); }));
  const std::string id = Ok({"submit", "--", "/bin/true"});
  EXPECT_EQ(Allot({"wait", id, "--timeout", "100s"}).code, 0);
  EXPECT_EQ(Job(id).tasks.at(0).node, "good");
}

TEST_F(Access, BadInputIsRefusedWithWhatAndWhereAndItsOwnExitCode) {
  Up({{"one", true, {}}});
  struct Case {
    std::vector<std::string> args;
    int code;
    const char* says;
  };
  const std::string bad_job = Write("job.yaml", "command: [x]\ntasks: 0\nmemmory: 1GiB\n");
  const std::string bad_policy = Write("policy.yaml", "name: p\nqueue: {algorithm: fifo}\n");
  const std::vector<Case> cases = {
      {{}, 2, ""},
      {{"submitt"}, 2, ""},
      {{"submit"}, 2, "nothing to run"},
      {{"submit", bad_job}, 2, "job.yaml:3:1"},
      {{"submit", "no-such.yaml"}, 4, "no-such.yaml"},
      {{"submit", "--memory", "12GBB", "--", "x"}, 2, "memory"},
      {{"submit", "--tasks", "many", "--", "x"}, 2, "--tasks"},
      {{"job", "job-99"}, 4, "job-99"},
      {{"wait", "job-99"}, 4, "job-99"},
      {{"logs", "replica-99"}, 4, "replica-99"},
      {{"cancel", "17"}, 4, "job-17"},
      {{"job", ""}, 2, "empty"},
      {{"policy", "apply", "no-such-policy"}, 4, "balanced"},
      {{"undeploy", "nothing"}, 4, "nothing"},
      {{"drain", "nowhere"}, 4, "nowhere"},
      {{"policy", "check", bad_policy}, 2, "prices"},
      {{"jobs", "--phase", "sleeping"}, 2, "pending"},
      {{"jobs", "--watch", "never"}, 2, "--watch"},
      {{"nodes", "--server", "http://127.0.0.1:1", "--patience", "0"}, 5, "--server"},
      {{"nodes", "--server", "gopher://x"}, 2, "http://"},
      {{"nodes", "--token-file", "no-such-token"}, 4, "no-such-token"},
      {{"local", "up", "--agents", "gpu=nvidia/h1000"}, 2, "catalogue"},
      {{"keys", "enroll", "allow.yaml", "--name", "a", "--role", "agnet", "--public-key", "x"},
       2,
       "agent"},
      {{"keys", "public", "no-such.key"}, 4, "no-such.key"},
  };
  for (const Case& c : cases) {
    const CommandResult result = Allot(c.args);
    std::string line;
    for (const std::string& arg : c.args) line += " " + arg;
    EXPECT_EQ(result.code, c.code) << line << "\n" << result.err;
    EXPECT_THAT(result.err, HasSubstr(c.says)) << line;
  }
  // And after all that the cluster works.
  EXPECT_EQ(Allot({"submit", "--wait", "--", "/bin/true"}).code, 0);
}

TEST_F(Access, EveryCommandsHelpHasAnExample) {
  for (const char* name :
       {"submit",  "jobs",     "job",       "wait",        "cancel",    "logs",
        "explain", "deploy",   "undeploy",  "deployments", "nodes",     "devices",
        "drain",   "undrain",  "top",       "policy",      "keys",      "local",
        "load",    "simulate", "catalogue", "version",     "completion"})
    EXPECT_THAT(Plain({name, "--help"}), HasSubstr("Example:")) << name;
  EXPECT_THAT(Plain({"--help"}), HasSubstr("Exit codes"));
}

TEST_F(Access, AnInterruptedLocalUpLeavesNoProcess) {
  const std::string dir = folder() + "/interrupted";
  const auto allot = local::Start({.program = Program("allot"),
                                   .args = {"local", "up", "--dir", dir, "--agents", "host"},
                                   .log_file = folder() + "/interrupted.log",
                                   .marker = folder()});
  ASSERT_TRUE(allot.ok()) << allot.status();
  std::vector<local::ProcessInfo> started;
  ASSERT_TRUE(Until([&] { return !(started = local::FindProcesses(dir)).empty(); }));
  kill(started[0].pid, SIGSTOP);  // It will not come up before we have interrupted.
  kill(*allot, SIGINT);
  int ended = 0;
  ASSERT_EQ(waitpid(*allot, &ended, 0), *allot);
  EXPECT_TRUE(local::FindProcesses(dir).empty());
  EXPECT_EQ(WIFEXITED(ended) ? WEXITSTATUS(ended) : -1, 130) << Read("interrupted.log");
}

// Loopback is shared by all users of a machine, and so is what web pages reach.
TEST_F(Access, ALocalClusterIsItsOwnersAlone) {
  Up({{"one", true, {}}});
  url_ = "http://" + addresses().http;
  gateway_ = gateway_url();
  for (const std::string& authorization : {std::string(), std::string("Bearer nobody")}) {
    EXPECT_EQ(Ask(url_, "POST", "/v1/jobs", authorization).status, 401);
    EXPECT_EQ(Ask(url_, "GET", "/v1/jobs", authorization).status, 401);
    EXPECT_EQ(Ask(url_, "GET", "/metrics", authorization).status, 401);
    EXPECT_EQ(Ask(gateway_, "POST", "/v1/completions", authorization).status, 401);
    EXPECT_EQ(Ask(gateway_, "GET", "/v1/models", authorization).status, 401);
  }
  EXPECT_EQ(Ask(url_, "GET", "/healthz", "").status, 200);
  const std::string mine = "Bearer " + token();
  EXPECT_EQ(Ask(url_, "GET", "/v1/jobs", mine).status, 200);
  EXPECT_EQ(Ask(gateway_, "GET", "/v1/models", mine).status, 200);
  // `allot` finds it: by the folder, by the address of a cluster whose folder is another.
  const auto allot = [&](const std::vector<std::string>& args) {
    return RunProgram(Program("allot"), args, {"ALLOT_SERVER=", "ALLOT_TOKEN="}, folder());
  };
  EXPECT_EQ(allot({"jobs", "--server", url_}).code, 0);
  EXPECT_EQ(allot({"local", "token", "--dir", folder() + "/cluster"}).out, token() + "\n");
  const std::string environment = allot({"local", "env", "--dir", folder() + "/cluster"}).out;
  EXPECT_THAT(environment, HasSubstr("export ALLOT_TOKEN=" + token() + "\n"));
  std::filesystem::create_directory_symlink(folder() + "/cluster", folder() + "/.allotrope");
  EXPECT_EQ(allot({"jobs"}).code, 0);
  // A second start keeps it.
  EXPECT_EQ(cluster().Down() > 0, true);
  Up({{"one", true, {}}});
  EXPECT_EQ("Bearer " + token(), mine);
}

TEST_F(Access, ALocalClusterIsNoOtherUsers) {
  if (getuid() != 0) return;  // Only root can be somebody else.
  Up({{"one", true, {}}});
  ASSERT_EQ(chmod(folder().c_str(), 0755), 0);
  const auto as_nobody = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"--reuid=65534", "--regid=65534", "--clear-groups", "--"});
    return RunProgram("/usr/bin/setpriv", args, {"ALLOT_SERVER=", "ALLOT_TOKEN="}, folder());
  };
  EXPECT_EQ(as_nobody({"/bin/cat", local::TokenFile(folder() + "/cluster")}).code, 1);
  EXPECT_EQ(as_nobody({"/bin/cat", folder() + "/cluster/tokens.yaml"}).code, 1);
  const CommandResult denied = as_nobody(
      {Program("allot"), "submit", "--server", "http://" + addresses().http, "--", "/bin/true"});
  EXPECT_EQ(denied.code, 3) << denied.out << denied.err;
  EXPECT_EQ(api().Jobs({})->view.jobs.size(), 0u);
}

// Once somebody else has the port of a cluster that is down, he is not told the token.
TEST_F(Access, ATokenIsNotSentToAnotherUsersSocket) {
  if (getuid() != 0) return;  // Only root can be somebody else.
  ASSERT_TRUE(cluster().Configure({}).ok());
  const local::Layout& layout = cluster().layout();
  // The owner is nobody, and root listens at its address: root may. And the other way round.
  const CommandResult bound = RunProgram(
      "/usr/bin/setpriv",
      {"--reuid=65534", "--regid=65534", "--clear-groups", "--", "/usr/bin/python3", "-c",
       "import socket,os,sys\n"
       "s=socket.create_server(('127.0.0.1',0))\n"
       "if os.fork(): print(s.getsockname()[1]); sys.exit()\n"
       "os.close(1); os.close(2); s.settimeout(100)\n"
       "try:\n  s.accept()\nexcept OSError: pass"},
      {}, "/");
  ASSERT_EQ(bound.code, 0) << bound.err;
  const std::string address = "127.0.0.1:" + bound.out.substr(0, bound.out.find('\n'));
  ASSERT_TRUE(layout.WriteSchedulerConfig({.http = address}).ok());
  const auto refused = local::TokenFor(layout.folder(), "http://" + address);
  EXPECT_EQ(refused.status().code(), StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_THAT(MessageOf(refused.status()), HasSubstr("belongs to user 65534"));
  ASSERT_EQ(chown(local::TokenFile(layout.folder()).c_str(), 65534, 65534), 0);
  EXPECT_EQ(*local::TokenFor(layout.folder(), "http://" + address), *cluster().Token());
  // That ends the process.
  (void)http::BlockingClient::Create("http://" + address, "").value()->Fetch({.target = "/"});
}

TEST_F(Access, NoServerOfALocalClusterAnswersToANameOfSomebodyElse) {
  Up({{"one", true, {}}});
  const std::string agent = local::ReadAddresses(cluster().layout().NodeState("one"))->http;
  for (const std::string& address : {addresses().http, addresses().gateway_http, agent}) {
    for (const char* path : {"/metrics", "/v1/jobs", "/v1/models"}) {
      EXPECT_THAT(Raw(address, path, "Host: evil.example"), HasSubstr(" 403 ")) << address << path;
      EXPECT_THAT(Raw(address, path, "Host: localhost\r\nOrigin: http://evil.example"),
                  HasSubstr(" 403 "))
          << address << path;
    }
    EXPECT_THAT(Raw(address, "/healthz", "Host: localhost\r\nOrigin: http://127.0.0.1:3000"),
                HasSubstr(" 200 "))
        << address;
  }
  EXPECT_THAT(Raw(agent, "/metrics", "Host: 127.0.0.1"), HasSubstr(" 200 "));
}

TEST_F(Access, LocalUpAndDownLeaveNoProcess) {
  const std::string dir = folder() + "/mine";
  const auto allot = [&](const std::vector<std::string>& args) {
    return RunProgram(Program("allot"), args, {"ALLOT_SERVER=", "ALLOT_TOKEN="}, folder());
  };
  const CommandResult up = allot({"local", "up", "--dir", dir, "--agents", "host"});
  EXPECT_EQ(up.code, 0) << up.err;
  EXPECT_THAT(up.out, HasSubstr("tear down"));
  EXPECT_EQ(allot({"local", "status", "--dir", dir}).code, 0);
  EXPECT_EQ(allot({"local", "up", "--dir", dir}).code, 1) << "it is up already";
  const auto addresses = local::ReadAddresses(dir + "/scheduler");
  ASSERT_TRUE(addresses.ok());
  const std::string server = "http://" + addresses->http;
  EXPECT_EQ(allot({"submit", "--server", server, "--", "/usr/bin/tail", "-f", "/dev/null"}).code,
            0);
  EXPECT_TRUE(Until([&] {
    const auto jobs = allot({"jobs", "--phase", "running", "--server", server});
    return jobs.out.find("job-1") != std::string::npos;
  }));
  // A job runs from when it is placed; its supervisor, the fourth, is started after that.
  EXPECT_TRUE(Until([&] { return local::FindProcesses(dir).size() >= 4u; }));
  EXPECT_EQ(allot({"local", "down", "--dir", dir}).code, 0);
  EXPECT_TRUE(local::FindProcesses(dir).empty());
  EXPECT_EQ(allot({"local", "status", "--dir", dir}).code, 5);
}

}  // namespace
}  // namespace allot::testing
