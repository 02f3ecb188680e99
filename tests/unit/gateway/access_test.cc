// Who sees what at a gateway, and what its audit log has.
#include <fstream>

#include "common/auth/tokens.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/gateway/harness.h"

namespace allot::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string TokenLine(const std::string& name, const std::string& more) {
  return "- {name: " + name + ", sha256: " + auth::Sha256Hex(name) + ", role: user" + more + "}\n";
}

// Two deployments of two tenants, "chat" (model "tiny") of red and "rank" (model "rank") of blue;
// each token's text is its name.
class GatewayAccess : public ::testing::Test {
 protected:
  GatewayAccess()
      : h_([this](Options& options) {
          tokens_.Write("tokens.yaml", "tokens:\n" + TokenLine("red", ", tenant: red") +
                                           TokenLine("blue", ", tenant: blue") +
                                           TokenLine("all", "") +
                                           TokenLine("some", ", deployments: ra*") +
                                           TokenLine("jobs", ", only: jobs") +
                                           TokenLine("models", ", only: models"));
          options.local = options.open = false;
          options.tokens_file = tokens_.File("tokens.yaml");
          options.audit = {.file = tokens_.File("audit.jsonl")};
        }) {
    h_.AddReplica(1, "n1");
    h_.deployment().tenant = "red";
    RouteDeployment rank = h_.deployment();
    rank.name = rank.model = "rank";
    rank.tenant = "blue";
    rank.replicas.clear();
    h_.table.deployments.push_back(rank);
    h_.SendRoutes();
    h_.AddAgent("n1").on_request = [](FakeAgent& self, const FakeAgent::Received& request) {
      self.Answer(request, 200, "application/json", kCompletion);
    };
  }
  std::shared_ptr<Answer> Get(const std::string& token, const std::string& path) {
    return h_.Get(path, {{"Authorization", "Bearer " + token}});
  }
  std::shared_ptr<Answer> Ask(const std::string& token, const std::string& body = kPrompt) {
    return h_.Done(h_.Post("/v1/completions", body, {{"Authorization", "Bearer " + token}}));
  }

  TempFolder tokens_;
  Harness h_;
};

TEST_F(GatewayAccess, ATokenOfATenantSeesItsDeployments) {
  EXPECT_THAT(Get("all", "/allot/v1/deployments")->body,
              ::testing::AllOf(HasSubstr("\"chat\""), HasSubstr("\"rank\"")));
  EXPECT_THAT(Get("red", "/allot/v1/deployments")->body,
              ::testing::AllOf(HasSubstr("\"chat\""), Not(HasSubstr("rank"))));
  EXPECT_THAT(Get("blue", "/allot/v1/deployments")->body,
              ::testing::AllOf(HasSubstr("\"rank\""), Not(HasSubstr("chat"))));
  EXPECT_EQ(Get("red", "/metrics")->status, 403);
  EXPECT_EQ(Get("all", "/metrics")->status, 200);
}

TEST_F(GatewayAccess, ModelsServeEverybodyAndSayNoMoreThanTheirNamesToOthers) {
  const std::string models = Get("blue", "/v1/models")->body;
  EXPECT_THAT(models, HasSubstr("\"tiny\""));
  EXPECT_THAT(models, Not(HasSubstr("red")));
  EXPECT_THAT(models, Not(HasSubstr("chat")));
  EXPECT_THAT(models, HasSubstr("\"owned_by\":\"blue\",\"deployment\":\"rank\""));
  EXPECT_EQ(Ask("blue")->status, 200);
}

TEST_F(GatewayAccess, ARequestIsSeenByThoseWhoMadeItAndThoseWhoServedIt) {
  const auto answer = Ask("blue");
  const std::string path = "/allot/v1/requests/" + answer->headers["x-allot-request-id"];
  for (const char* token : {"blue", "red", "all"})
    EXPECT_EQ(Get(token, path)->status, 200) << token;
  const auto own = Ask("red");
  const std::string of_red = "/allot/v1/requests/" + own->headers["x-allot-request-id"];
  EXPECT_EQ(Get("red", of_red)->status, 200);
  const auto hidden = Get("blue", of_red),
             absent = Get("blue", "/allot/v1/requests/req-00000000000000f3");
  EXPECT_EQ(hidden->status, 404);
  EXPECT_EQ(hidden->body.substr(hidden->body.find("(any more)")),
            absent->body.substr(absent->body.find("(any more)")));
}

TEST_F(GatewayAccess, ATokenIsForItsAreasAndDeployments) {
  EXPECT_EQ(Ask("models")->status, 200);
  EXPECT_EQ(Get("models", "/v1/models")->status, 200);
  EXPECT_EQ(Get("models", "/allot/v1/deployments")->status, 403);
  EXPECT_EQ(Ask("jobs")->status, 403);
  EXPECT_EQ(Get("jobs", "/v1/models")->status, 403);
  // What is not among its deployments is not there.
  const auto refused = Ask("some"), absent = Ask("some", R"({"model":"none","prompt":"x"})");
  EXPECT_EQ(refused->status, 404);
  EXPECT_THAT(refused->body, HasSubstr("no deployment serves the model \\\"tiny\\\""));
  EXPECT_THAT(absent->body, HasSubstr("no deployment serves the model \\\"none\\\""));
  EXPECT_THAT(Get("some", "/v1/models")->body, Not(HasSubstr("tiny")));
  EXPECT_EQ(Get("some", "/v1/models/tiny")->status, 404);
  EXPECT_EQ(Get("some", "/v1/models/rank")->status, 200);
}

TEST_F(GatewayAccess, RefusalsAreInTheAuditLog) {
  EXPECT_EQ(Ask("nobody")->status, 401);
  EXPECT_EQ(Ask("jobs")->status, 403);
  EXPECT_EQ(Ask("blue")->status, 200);
  h_.gateway.reset();  // writes what waits
  std::ifstream in(tokens_.File("audit.jsonl"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line.substr(line.find(',')));
  EXPECT_THAT(
      lines,
      ::testing::ElementsAre(
          HasSubstr(
              R"(,"from":"127.0.0.1","verb":"POST /v1/completions","verdict":"refused","code":401)"),
          HasSubstr(
              R"(,"who":"jobs","role":"user","from":"127.0.0.1","verb":"POST /v1/completions",)"
              R"("verdict":"refused","code":403)")));
}

TEST_F(GatewayAccess, UsesOfTokensAreToldToTheScheduler) {
  EXPECT_EQ(Ask("blue")->status, 200);
  EXPECT_TRUE(h_.Until([&] {
    for (const wire::GatewayHello& hello : h_.hellos)
      for (const wire::TokenUse& use : hello.token_uses())
        if (use.name() == "blue" && use.sha256() == auth::Sha256Hex("blue") &&
            use.address() == "127.0.0.1" && use.time() > 0)
          return true;
    return false;
  }));
  EXPECT_TRUE(h_.hellos.back().token_limits());
}

TEST_F(GatewayAccess, WhatTheSchedulerSaysLimitsATokenLimitsItHere) {
  wire::Admission lists;
  lists.set_version(7);
  const auto add = [&](const std::string& name) {
    wire::AdmittedToken* token = lists.add_tokens();
    token->set_name(name);
    token->set_sha256(auth::Sha256Hex(name));
    token->set_role("user");
    return token;
  };
  add("told-old")->set_expires(1);
  add("told-jobs")->add_only("jobs");
  add("told-rank")->add_deployments("rank");
  add("told-later")->add_only("what a later build knows");
  add("told");
  for (const auto& [name, keys] : h_.agents) {
    wire::AdmittedAgent* agent = lists.add_agents();
    agent->set_name(name);
    agent->set_public_key(h_.KeyOf(name));
  }
  h_.Tell(lists);
  EXPECT_EQ(Ask("told")->status, 200);
  EXPECT_EQ(Ask("told-old")->status, 401);
  EXPECT_EQ(Ask("told-jobs")->status, 403);
  EXPECT_EQ(Ask("told-rank")->status, 404);
  EXPECT_EQ(Ask("told-later")->status, 401);
}

}  // namespace
}  // namespace allot::gateway
