// allot-gateway, the program, beside a scheduler that runs a gateway of its own.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "client/local/addresses.h"
#include "client/local/processes.h"
#include "common/http/client.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

namespace local = client::local;
using ::testing::HasSubstr;

class GatewayProgram : public ClusterTest {
 protected:
  // Its config file, with a key that is enrolled.
  std::string Config() {
    const local::Layout& layout = cluster().layout();
    Ok({"keys", "new", folder() + "/gw1.key"});
    Ok({"keys", "enroll", layout.File("allow.yaml"), "--name", "gw1", "--role", "gateway",
        "--key-file", folder() + "/gw1.key"});
    return Write(
        "gw1.yaml",
        fmt::format("name: gw1\nstate_dir: gw1\nscheduler: {}\n"
                    "scheduler_public_key: \"{}\"\nlisten: tcp://127.0.0.1:0\n"
                    "http_listen: 127.0.0.1:0\nkey_file: gw1.key\nallow_file: {}\n"
                    "local: true\nauth: none\n",
                    addresses().endpoint, addresses().public_key, layout.File("allow.yaml")));
  }
};

TEST_F(GatewayProgram, ServesAndIsFoundByItsAddressesFile) {
  Up({{"one", true, {}}});
  const std::string config = Config(), state = folder() + "/gw1";
  const auto pid = local::Start({.program = Program("allot-gateway"),
                                 .args = {"--config", config},
                                 .log_file = cluster().layout().LogOf("gw1"),
                                 .marker = cluster().layout().folder()});
  ASSERT_TRUE(pid.ok()) << pid.status();
  std::filesystem::create_directories(state);  // To watch it; the program makes it otherwise.
  const auto found = local::WaitForAddresses(state, *pid, kDeadline);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(found->endpoint, HasSubstr("tcp://127.0.0.1:"));
  EXPECT_EQ(found->public_key.size(), 40u);

  Write("tiny.yaml", "name: tiny\nmodel: tiny-words\ncommand: [" + Program("tiny_server") +
                         ", '{port}']\nresources: {cpus: 200m, memory: 64MiB}\n"
                         "health: {path: /health, interval: 100ms}\n"
                         "replicas: [{device: {kind: CPU}}]\n");
  Ok({"deploy", "tiny.yaml", "--wait", "--timeout", "100s"});
  auto client = *http::BlockingClient::Create("http://" + found->http, "");
  EXPECT_TRUE(Until([&] {
    const auto answer =
        client->Fetch({.method = "POST",
                       .target = "/v1/completions",
                       .headers = {{"Content-Type", "application/json"}},
                       .body = R"({"model": "tiny-words", "prompt": "x", "max_tokens": 2})"});
    return answer.ok() && answer->status == 200;
  }));

  const int process = local::OpenProcess(*pid);
  ASSERT_EQ(kill(*pid, SIGTERM), 0);
  pollfd end{process, POLLIN, 0};
  ASSERT_EQ(poll(&end, 1, -1), 1);
  close(process);
  waitpid(*pid, nullptr, 0);
  EXPECT_FALSE(std::filesystem::exists(state + "/addresses.yaml"));
}

TEST_F(GatewayProgram, SaysWhatItsConfigLacksAndWhere) {
  const auto check = [&](const std::string& text) {
    return RunProgram(Program("allot-gateway"), {"--check", "--config", Write("bad.yaml", text)},
                      {}, folder());
  };
  CommandResult result = check("name: gw1\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("bad.yaml:1:1: state_dir is missing"));
  result = check("name: gw1\nbody_max: 1\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("bad.yaml:2:11: body_max is \"1\""));
  // The other programs are no less strict about their own.
  const std::string agent =
      Write("agent.yaml",
            "name: n\nstate_dir: s\nscheduler: localhost\nscheduler_public_key: x\n"
            "key_file: k\n");
  result = RunProgram(Program("allot-agent"), {"--check", "--config", agent}, {}, folder());
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("agent.yaml:3:12: scheduler is \"localhost\""));
}

}  // namespace
}  // namespace allot::testing
