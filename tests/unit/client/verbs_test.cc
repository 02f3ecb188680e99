#include "client/verbs.h"

#include "client/gateways.h"
#include "client/local/addresses.h"
#include "gmock/gmock.h"
#include "tests/unit/client/temporary_folder.h"

namespace allot::client {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kKnown = {"submit", "jobs", "job",   "wait",
                                         "cancel", "logs", "nodes", "deployments"};

TEST(Verbs, WordsOfOtherToolsAreTranslated) {
  const std::pair<const char*, const char*> rows[] = {
      {"squeue", "`allot jobs`"},        {"sbatch", "`allot submit job.yaml`"},
      {"scancel", "`allot cancel ID`"},  {"sinfo", "`allot nodes`"},
      {"get", "`allot deployments`"},    {"describe", "`allot explain ID`"},
      {"exec", "tasks are not entered"}, {"cordon", "`allot drain NODE`"},
      {"qstat", "`allot jobs`"},         {"delete", "`allot undeploy NAME`"},
  };
  for (const auto& [word, words] : rows) EXPECT_THAT(UnknownVerb(word, kKnown), HasSubstr(words));
}

TEST(Verbs, ASlipIsNearACommand) {
  EXPECT_THAT(UnknownVerb("sumbit", kKnown), HasSubstr("did you mean `allot submit`?"));
  EXPECT_THAT(UnknownVerb("node", kKnown), HasSubstr("did you mean `allot nodes`?"));
  EXPECT_THAT(UnknownVerb("deployment", kKnown), HasSubstr("did you mean `allot deployments`?"));
  EXPECT_THAT(UnknownVerb("xyzzy", kKnown), Not(HasSubstr("did you mean")));
  EXPECT_THAT(UnknownVerb("xyzzy", kKnown), HasSubstr("there is no command \"xyzzy\""));
}

TEST(Verbs, ANumberIsAJob) {
  EXPECT_EQ(JobId("17"), "job-17");
  EXPECT_EQ(JobId("job-17"), "job-17");
  EXPECT_EQ(JobId("gpu"), "gpu");
  EXPECT_EQ(JobId(""), "");
}

TEST(Gateways, OneThatListensEverywhereIsWhereTheSchedulerIs) {
  const std::pair<GatewayRef, const char*> rows[] = {
      {{"g", "10.0.0.7:7411"}, "http://10.0.0.7:7411"},
      {{"g", "0.0.0.0:7411"}, "http://head:7411"},
      {{"g", "[::]:7411"}, "http://head:7411"},
      {{"g", "gw.example:80"}, "http://gw.example:80"},
  };
  for (const auto& [gateway, url] : rows) EXPECT_EQ(GatewayUrl(gateway, "http://head:7401"), url);
  EXPECT_EQ(GatewayUrl({"g", "0.0.0.0:7411"}, "http://[::1]:7401/"), "http://[::1]:7411");
  EXPECT_EQ(GatewayUrl({"g", "0.0.0.0:7411"}, "http://head"), "http://head:7411");
  EXPECT_EQ(GatewayUrl({"g", "https://gw:7411"}, "http://head"), "https://gw:7411");
  EXPECT_EQ(GatewayUrl({"g", "https://[::]:7411"}, "https://head:1"), "https://head:7411");
}

TEST(LocalApi, IsWhereItWasWhileItRestarts) {
  const TemporaryFolder folder;
  EXPECT_EQ(local::LocalApi(folder.path()), "") << "there is no cluster";
  folder.Write("cluster.yaml", "agents: []\n");
  folder.Write("scheduler.yaml", "listen: tcp://127.0.0.1:0\nhttp_listen: 127.0.0.1:0\n");
  EXPECT_EQ(local::LocalApi(folder.path()), "") << "not chosen yet";
  folder.Write("scheduler.yaml", "state_dir: scheduler\nhttp_listen: 127.0.0.1:4711\n");
  EXPECT_EQ(local::LocalApi(folder.path()), "127.0.0.1:4711");
  folder.Write("down", "");
  EXPECT_EQ(local::LocalApi(folder.path()), "") << "stopped on purpose";
}

}  // namespace
}  // namespace allot::client
