// Who may ask the scheduler for what: tokens, tenants, and web pages in somebody's browser.
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <fstream>
#include <iterator>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scheduler/shell/api/routes.h"
#include "tests/unit/scheduler_shell/cluster.h"

namespace allot::scheduler {
namespace {

using testing::Answer;
using testing::Cluster;
using testing::ErrorCode;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::kJob;

// Sends bytes as they are, which no client of ours would; the first line of the answer.
std::string FirstLine(const Cluster& cluster, const std::string& bytes) {
  boost::asio::io_context loop;
  boost::asio::ip::tcp::socket socket(loop);
  const std::string address = cluster.http_address();
  socket.connect({boost::asio::ip::make_address("127.0.0.1"),
                  static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)))});
  boost::asio::write(socket, boost::asio::buffer(bytes));
  std::string answer;
  const size_t line = boost::asio::read_until(socket, boost::asio::dynamic_buffer(answer), "\r\n");
  return answer.substr(0, line);
}

TEST(Access, EveryRouteButHealthAsksForAToken) {
  Cluster cluster(/*local=*/false);
  // Digests of the texts "view", "use" and "rule".
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: v, role: viewer, sha256: {}}}\n- {{name: u, role: user, sha256: {}, "
      "tenant: blue}}\n- {{name: a, role: admin, sha256: {}}}\n",
      auth::Sha256Hex("view"), auth::Sha256Hex("use"), auth::Sha256Hex("rule")));
  cluster.Start();
  EXPECT_EQ(cluster.Get("/healthz").status, 200);
  for (const Route& route : Routes()) {
    if (!route.right) continue;
    std::string path(route.path);
    for (size_t at = path.find('{'); at != std::string::npos; at = path.find('{')) {
      path.replace(at, path.find('}') - at + 1, "x");
    }
    const Answer answer = cluster.Fetch(std::string(route.method), path);
    EXPECT_EQ(answer.status, 401) << route.method << " " << path;
    EXPECT_EQ(ErrorCode(answer), "unauthenticated");
  }
  EXPECT_EQ(cluster.Get("/v1/nothing").status, 401);
  cluster.UseToken("wrong");
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 401);
  cluster.UseToken("view");
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 200);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 403);
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/job-1").status, 403);
  cluster.UseToken("use");
  const Answer submitted = cluster.Fetch("POST", "/v1/jobs", kJob);
  EXPECT_EQ(submitted.status, 201);
  EXPECT_EQ(submitted.job().at("tenant").as_string(), "blue");
  EXPECT_EQ(submitted.job().at("user").as_string(), "u");
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", R"({"command": ["a"], "tenant": "red"})").status,
            403);
  EXPECT_EQ(cluster.Fetch("PUT", "/v1/policy", "{}").status, 403);
  cluster.UseToken("rule");
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n1/drain").status, 404);
}

TEST(Access, ABodyOfSomebodyWithoutATokenIsNotRead) {
  Cluster cluster(/*local=*/false);
  cluster.Start();
  // The body never comes; the answer does.
  EXPECT_THAT(FirstLine(cluster,
                        "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                        "Content-Length: 4000000\r\n\r\n{"),
              HasSubstr("HTTP/1.1 401 "));
}

TEST(Access, ATokenOfATenantLeavesTheDeploymentsOfOthersAlone) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: a, role: user, sha256: {}, tenant: ta}}\n- {{name: b, role: user, "
      "sha256: {}, tenant: tb}}\n- {{name: r, role: admin, sha256: {}}}\n",
      auth::Sha256Hex("as-a"), auth::Sha256Hex("as-b"), auth::Sha256Hex("root")));
  cluster.Start();
  const auto body = [](const std::string& tenant) {
    return R"({"name": "chat", "command": ["s"], "replicas": [{"device": {"kind": "GPU"}}])" +
           (tenant.empty() ? "" : R"(, "tenant": ")" + tenant + "\"") + "}";
  };
  const auto put = [&](const std::string& tenant) {
    return cluster.Fetch("PUT", "/v1/deployments/chat", body(tenant));
  };
  cluster.UseToken("as-a");
  EXPECT_EQ(put("tb").status, 403);
  const Answer made = put("");
  ASSERT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(made.json().at("deployment").at("tenant").as_string(), "ta");
  EXPECT_EQ(put("ta").status, 200);
  cluster.UseToken("as-b");
  EXPECT_EQ(put("").status, 403);
  const Answer deleted = cluster.Fetch("DELETE", "/v1/deployments/chat");
  EXPECT_EQ(deleted.status, 404) << "what is another tenant's is not there";
  EXPECT_THAT(deleted.body, Not(HasSubstr("ta\"")));
  cluster.UseToken("root");
  EXPECT_EQ(put("tb").status, 200);
  cluster.UseToken("as-a");
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/deployments/chat").status, 404);
  cluster.UseToken("as-b");
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/deployments/chat").status, 200);
}

// A viewer of a tenant sees what is that tenant's and what is the whole cluster's.
TEST(Access, ATokenOfATenantSeesWhatIsThatTenants) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: a, role: user, sha256: {}, tenant: ta}}\n- {{name: b, role: viewer, "
      "sha256: {}, tenant: tb}}\n- {{name: r, role: viewer, sha256: {}}}\n- {{name: x, role: admin, "
      "sha256: {}, tenant: tb}}\n",
      auth::Sha256Hex("as-a"), auth::Sha256Hex("as-b"), auth::Sha256Hex("all"),
      auth::Sha256Hex("admin-b")));
  cluster.Start();
  cluster.UseToken("as-a");
  ASSERT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
  ASSERT_EQ(cluster
                .Fetch("PUT", "/v1/deployments/chat",
                       R"({"name": "chat", "command": ["s"], "replicas": [{"device": {"kind": "GPU"}}]})")
                .status,
            200);
  const std::vector<std::string> paths = {"/v1/jobs/job-1",
                                          "/v1/jobs/job-1/explain",
                                          "/v1/jobs/job-1/wait?timeout_seconds=0",
                                          "/v1/deployments/chat"};
  for (const char* token : {"as-a", "all"}) {
    cluster.UseToken(token);
    for (const std::string& path : paths)
      EXPECT_EQ(cluster.Fetch("GET", path).status, 200) << token << " " << path;
    EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs").json().at("jobs").as_array().size(), 1u);
    EXPECT_EQ(cluster.Fetch("GET", "/v1/deployments").json().at("deployments").as_array().size(),
              1u);
  }
  for (const char* token : {"as-b", "admin-b"}) {
    cluster.UseToken(token);
    for (const std::string& path : paths) {
      const Answer hidden = cluster.Fetch("GET", path);
      EXPECT_EQ(hidden.status, 404) << token << " " << path;
      EXPECT_THAT(hidden.body, Not(HasSubstr("ta"))) << "nor whose it is";
    }
    EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs/job-1/logs").status, 404);
    EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs").json().at("jobs").as_array().size(), 0u);
    EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs?tenant=ta").json().at("jobs").as_array().size(), 0u);
    EXPECT_EQ(cluster.Fetch("GET", "/v1/deployments").json().at("deployments").as_array().size(),
              0u);
    EXPECT_EQ(cluster.Fetch("GET", "/metrics").status, 403) << "numbers of all tenants";
    for (const char* shared : {"/v1/nodes", "/v1/devices", "/v1/cluster", "/v1/policy"})
      EXPECT_EQ(cluster.Fetch("GET", shared).status, 200) << shared;
  }
  EXPECT_EQ(cluster.Fetch("DELETE", "/v1/jobs/job-1").status, 404);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/nodes/n1/drain").status, 403)
      << "an administrator of one tenant is none of the cluster";
  cluster.UseToken("all");
  EXPECT_EQ(cluster.Fetch("GET", "/metrics").status, 200);
}

// Whoever asks after names learns nothing from the words in which he is turned away.
TEST(Access, HiddenAndAbsentAreToldAlike) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: a, role: user, sha256: {}, tenant: ta}}\n- {{name: b, role: user, "
      "sha256: {}, tenant: tb}}\n- {{name: c, role: user, sha256: {}, deployments: other}}\n",
      auth::Sha256Hex("as-a"), auth::Sha256Hex("as-b"), auth::Sha256Hex("as-c")));
  cluster.Start();
  testing::FakeAgent agent(cluster, {.finish_tasks = false});
  ASSERT_TRUE(agent.WaitForWelcome());
  cluster.UseToken("as-a");
  ASSERT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
  ASSERT_EQ(cluster
                .Fetch("PUT", "/v1/deployments/chat",
                       R"({"name": "chat", "command": ["s"], "replicas": [{"device": {"kind": "GPU"}}]})")
                .status,
            200);
  const auto same = [&](const std::string& method, const std::string& before,
                        const std::string& hidden, const std::string& absent,
                        const std::string& after = "") {
    const Answer one = cluster.Fetch(method, before + hidden + after),
                 other = cluster.Fetch(method, before + absent + after);
    EXPECT_EQ(one.status, 404) << method << " " << before << hidden << after;
    EXPECT_EQ(other.status, 404) << method << " " << before << absent << after;
    std::string body = one.body;
    for (size_t at = 0; (at = body.find(hidden, at)) != std::string::npos; at += absent.size())
      body.replace(at, hidden.size(), absent);
    EXPECT_EQ(body, other.body);
  };
  cluster.UseToken("as-b");
  for (const char* after : {"", "/explain", "/logs", "/wait?timeout_seconds=0"})
    same("GET", "/v1/jobs/", "job-1", "job-999", after);
  same("DELETE", "/v1/jobs/", "job-1", "job-999");
  for (const char* token : {"as-b", "as-c"}) {
    cluster.UseToken(token);
    same("GET", "/v1/deployments/", "chat", "none");
    same("DELETE", "/v1/deployments/", "chat", "none");
    same("GET", "/v1/replicas/", "replica-1", "replica-999", "/logs");
  }
}

TEST(Access, ATokenIsForItsAreasAndDeployments) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: ci, role: user, sha256: {}, only: jobs}}\n- {{name: prom, role: viewer, "
      "sha256: {}, only: [metrics]}}\n- {{name: chat, role: user, sha256: {}, only: deployments, "
      "deployments: 'chat-*'}}\n- {{name: old, role: admin, sha256: {}, expires: 2001-01-01}}\n",
      auth::Sha256Hex("ci"), auth::Sha256Hex("prom"), auth::Sha256Hex("chat"),
      auth::Sha256Hex("old")));
  cluster.Start();
  const auto deploy = [&](const std::string& name) {
    return cluster
        .Fetch("PUT", "/v1/deployments/" + name,
               R"({"name": ")" + name +
                   R"(", "command": ["s"], "replicas": [{"device": {"kind": "GPU"}}]})")
        .status;
  };
  cluster.UseToken("ci");
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1").status, 200);
  for (const char* path : {"/v1/nodes", "/v1/deployments", "/v1/policy", "/v1/cluster", "/metrics"})
    EXPECT_EQ(cluster.Get(path).status, 403) << path;
  EXPECT_EQ(deploy("chat-1"), 403);
  cluster.UseToken("prom");
  EXPECT_EQ(cluster.Get("/metrics").status, 200);
  EXPECT_EQ(cluster.Get("/v1/sd/prometheus").status, 200);
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 403);
  cluster.UseToken("chat");
  EXPECT_EQ(deploy("chat-1"), 200);
  EXPECT_EQ(deploy("rank"), 403);
  EXPECT_EQ(cluster.Get("/v1/deployments/chat-1").status, 200);
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 403);
  cluster.UseToken("old");
  const Answer expired = cluster.Get("/v1/jobs");
  EXPECT_EQ(expired.status, 401);
  EXPECT_THAT(expired.body, HasSubstr("expired on 2001-01-01T00:00:00Z; ask for a new one"));
}

TEST(Access, SharesOfAPolicyAreTheirTenants) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: root, role: admin, sha256: {}}}\n- {{name: a, role: viewer, sha256: {}, "
      "tenant: ta}}\n",
      auth::Sha256Hex("root"), auth::Sha256Hex("as-a")));
  cluster.Start();
  cluster.UseToken("root");
  const Answer put = cluster.Fetch(
      "PUT", "/v1/policy",
      R"({"name": "p", "queue": {"algorithm": "fair_share", "shares": {"ta": 3, "tb": 5}},)"
      R"( "prices": {"as_of": "2026-01-01"}})");
  ASSERT_EQ(put.status, 200) << put.body;
  EXPECT_THAT(cluster.Get("/v1/policy").body, HasSubstr("\"tb\":5"));
  cluster.UseToken("as-a");
  const std::string seen = cluster.Get("/v1/policy").body;
  EXPECT_THAT(seen, HasSubstr("\"ta\":3"));
  EXPECT_THAT(seen, Not(HasSubstr("tb")));
}

TEST(Access, ChangesAndRefusalsAreInTheAuditLog) {
  Cluster cluster(/*local=*/false);
  cluster.WriteTokens(fmt::format(
      "tokens:\n- {{name: ada, role: user, sha256: {}, tenant: ta}}\n- {{name: bob, role: viewer, "
      "sha256: {}, tenant: tb}}\n",
      auth::Sha256Hex("as-a"), auth::Sha256Hex("as-b")));
  const std::string file = cluster.folder() / "audit.jsonl";
  cluster.adjust = [&](Shell::Options& options) { options.audit = {.file = file}; };
  cluster.Start();
  cluster.UseToken("as-a");
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 201);
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1").status, 200);
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", R"({"name": 7})").status, 400);
  cluster.UseToken("as-b");
  EXPECT_EQ(cluster.Get("/v1/jobs/job-1").status, 404);
  EXPECT_EQ(cluster.Get("/v1/jobs/job-77").status, 404) << "nobody is refused what is not there";
  EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob).status, 403);
  cluster.UseToken("nobodys");
  EXPECT_EQ(cluster.Get("/v1/jobs").status, 401);
  cluster.UseToken("as-a");
  EXPECT_THAT(cluster.Get("/v1/jobs").body, HasSubstr("job-1"));
  cluster.Stop();
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line.substr(line.find(',')));
  EXPECT_THAT(
      lines,
      ::testing::ElementsAre(
          R"(,"who":"ada","role":"user","tenant":"ta","from":"127.0.0.1","verb":"POST /v1/jobs",)"
          R"("what":"job-1","verdict":"allowed","code":201})",
          HasSubstr(R"("verb":"POST /v1/jobs","verdict":"refused","code":400,"why":")"),
          R"(,"who":"bob","role":"viewer","tenant":"tb","from":"127.0.0.1",)"
          R"("verb":"GET /v1/jobs/job-1","verdict":"refused","code":404,)"
          R"("why":"there is no job-1; `allot jobs` lists them"})",
          HasSubstr(R"("who":"bob","role":"viewer","tenant":"tb","from":"127.0.0.1",)"
                    R"("verb":"POST /v1/jobs","verdict":"refused","code":403)"),
          HasSubstr(R"(,"from":"127.0.0.1","verb":"GET /v1/jobs","verdict":"refused","code":401)")));
}

TEST(Access, ChangesOfTheHeadsFilesAreInTheAuditLog) {
  Cluster cluster(/*local=*/false);
  const std::string one = "tokens:\n- {name: ada, role: user, sha256: " + auth::Sha256Hex("as-a") + "}\n";
  cluster.WriteTokens(one);
  const std::string file = cluster.folder() / "audit.jsonl";
  cluster.adjust = [&](Shell::Options& options) { options.audit = {.file = file}; };
  cluster.Start();
  cluster.WriteTokens(one + "- {name: bob, role: admin, sha256: " + auth::Sha256Hex("as-b") + "}\n");
  testing::FakeAgent agent(cluster, {.name = "n7"});
  ASSERT_TRUE(agent.WaitForWelcome());
  const auto read = [&] {
    std::ifstream in(file);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  while (read().find("token bob added") == std::string::npos) std::this_thread::yield();
  while (read().find("agent n7 added") == std::string::npos) std::this_thread::yield();
  EXPECT_THAT(read(), Not(HasSubstr("ada")));
}

// What it says is taken for what its key is, whatever it calls itself.
TEST(Access, AGatewaysKeyIsNoNodes) {
  Cluster cluster;
  cluster.Start();
  testing::FakeAgent peer(cluster, {.name = "gw", .role = transport::Role::kGateway});
  while (cluster.Get("/metrics").body.find(
             "allotrope_link_refused_total{reason=\"wrong_message\"} ") == std::string::npos)
    std::this_thread::yield();
  EXPECT_EQ(cluster.Get("/v1/nodes").json().at("nodes").as_array().size(), 0u);
}

TEST(Access, ALocalClusterIgnoresWebPages) {
  Cluster cluster;
  cluster.Start();
  EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs", "", {{"Origin", "http://evil.example"}}).status, 403);
  EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs", "", {{"Origin", "http://localhost:3000"}}).status,
            200);
  for (const char* origin : {"http://127.evil.example", "http://127.0.0.1.evil.example:7401",
                             "http://[::1].evil.example", "http://localhost.evil.example", "null"})
    EXPECT_EQ(cluster.Fetch("GET", "/v1/jobs", "", {{"Origin", origin}}).status, 403) << origin;
  // A name of theirs that resolves to 127.0.0.1.
  const auto by_host = [&](const char* host) {
    return FirstLine(cluster, fmt::format("GET /v1/jobs HTTP/1.1\r\nHost: {}\r\n\r\n", host));
  };
  for (const char* host : {"127.evil.example", "127.evil.example:7401", "[::1].evil.example"})
    EXPECT_THAT(by_host(host), HasSubstr(" 403 ")) << host;
  for (const char* host : {"localhost:80", "127.0.0.1", "[::1]:7401"})
    EXPECT_THAT(by_host(host), HasSubstr(" 200 ")) << host;
}

TEST(Access, ABodyIsOfATypeThatWebPagesCannotSendUnasked) {
  Cluster cluster;
  cluster.Start();
  for (const char* type :
       {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
        "text/plain; application/json", "application/jsonp", ""}) {
    const Answer answer = cluster.Fetch("POST", "/v1/jobs", kJob, {{"Content-Type", type}});
    EXPECT_EQ(answer.status, 415) << type;
    EXPECT_THAT(answer.body, HasSubstr("send application/json or application/yaml"));
  }
  for (const char* type : {"application/json", "Application/JSON ; charset=utf-8", "text/yaml"})
    EXPECT_EQ(cluster.Fetch("POST", "/v1/jobs", kJob, {{"Content-Type", type}}).status, 201)
        << type;
}

}  // namespace
}  // namespace allot::scheduler
