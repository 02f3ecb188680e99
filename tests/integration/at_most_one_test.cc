// at_most_one on real processes: whatever becomes of the agent, the attempt that it had has ended
// before another one begins.
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "client/local/addresses.h"
#include "client/local/processes.h"
#include "tests/integration/cluster_fixture.h"

namespace allot::testing {
namespace {

namespace local = client::local;

// A way to a port of this machine that can be cut: stopped, it carries nothing and ends nothing, as
// a network does. A process of its own, gone with us.
class Way {
 public:
  explicit Way(uint16_t to) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = At(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener, 8), 0);
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      signal(SIGPIPE, SIG_IGN);
      Carry(listener, to);
    }
    close(listener);
  }
  ~Way() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  void Cut() { EXPECT_EQ(kill(pid_, SIGSTOP), 0); }
  void Mend() { EXPECT_EQ(kill(pid_, SIGCONT), 0); }
  uint16_t port() const { return port_; }

 private:
  static sockaddr_in At(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  [[noreturn]] static void Carry(int listener, uint16_t to) {
    std::map<int, int> ends;  // each and the other one
    for (;;) {
      std::vector<pollfd> ready = {{listener, POLLIN, 0}};
      for (const auto& [from, other] : ends) ready.push_back({from, POLLIN, 0});
      if (poll(ready.data(), ready.size(), -1) < 0) continue;
      if (ready[0].revents != 0) {
        const int near = accept(listener, nullptr, nullptr);
        const int far = socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address = At(to);
        if (connect(far, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
          ends[near] = far;
          ends[far] = near;
        } else {
          close(near);
          close(far);
        }
      }
      for (size_t i = 1; i < ready.size(); ++i) {
        const auto end = ends.find(ready[i].fd);
        if (ready[i].revents == 0 || end == ends.end()) continue;
        static char buffer[1 << 16];
        ssize_t got = read(ready[i].fd, buffer, sizeof buffer);
        for (ssize_t at = 0, put; at < got; at += put)
          if (put = write(end->second, buffer + at, static_cast<size_t>(got - at)); put <= 0) {
            got = 0;
            break;
          }
        if (got > 0) continue;
        const int other = end->second;
        for (const int fd : {ready[i].fd, other}) {
          close(fd);
          ends.erase(fd);
        }
      }
    }
  }

  pid_t pid_ = 0;
  uint16_t port_ = 0;
};

class AtMostOne : public ClusterTest {
 protected:
  // Two nodes, and a scheduler that grants leases of three seconds.
  void UpWithLeases() {
    Up({{"one", true, {}}, {"two", true, {}}});
    KillScheduler();
    std::ofstream(cluster().layout().SchedulerConfig(), std::ios::app)
        << "heartbeat_every: 200ms\nlease: 1s\ntask_lease: 3s\ntask_lease_margin: 2s\n";
    StartScheduler();
  }
  // Each attempt writes when it begins, and again and again that it is alive: through a lock that
  // is held for as long as it lives, so that two of them cannot both be there and go unseen.
  client::JobView Start() {
    const std::string mark = folder() + "/marks", lock = folder() + "/lock";
    Write("job.yaml", "command: [/bin/sh, -c, \"trap '' TERM; exec 9>" + lock +
                          "; if flock -n 9; then echo alone >> " + mark + "; else echo two >> " +
                          mark +
                          "; fi; while :; do sleep 0.05; done\"]\n"
                          "at_most_one: true\ngrace: 1s\n");
    return AwaitRunning(Ok({"submit", folder() + "/job.yaml"}));
  }
  void AwaitNodes() {
    ASSERT_TRUE(Until([&] {
      const auto nodes = api().Nodes();
      return nodes.ok() && std::all_of(nodes->view.begin(), nodes->view.end(),
                                       [](const client::NodeView& node) { return node.alive; });
    }));
  }
  static std::string Text(const std::string& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::string Marks() const { return Read("marks"); }
  pid_t AgentOf(const client::JobView& job) {
    const std::string node = job.tasks.at(0).node;
    const auto who = local::ReadAddresses(cluster().layout().NodeState(node));
    EXPECT_TRUE(who.ok()) << who.status();
    return who.ok() ? who->pid : 0;
  }
  // The second attempt runs, `elsewhere` on the other node, and it found itself alone.
  void ExpectOneAfterTheOther(const client::JobView& first, bool elsewhere = true) {
    client::JobView now;
    ASSERT_TRUE(Until([&] {
      now = Job(first.id);
      return now.attempt > first.attempt && !now.tasks.empty() && now.tasks[0].pid > 0;
    }));
    EXPECT_FALSE(local::IsRunning(static_cast<pid_t>(first.tasks[0].pid)));
    ASSERT_TRUE(Until([&] { return Marks().size() > sizeof "alone"; }));
    EXPECT_EQ(Marks(), "alone\nalone\n");
    if (elsewhere) {
      EXPECT_NE(now.tasks[0].node, first.tasks[0].node);
    }
  }
};

TEST_F(AtMostOne, TheAgentIsStopped) {
  UpWithLeases();
  const client::JobView job = Start();
  const pid_t agent = AgentOf(job);
  ASSERT_EQ(kill(agent, SIGSTOP), 0);
  ExpectOneAfterTheOther(job);
  // It reads what was said to it, and finds that it is over: it starts nothing.
  ASSERT_EQ(kill(agent, SIGCONT), 0);
  AwaitNodes();
  EXPECT_EQ(Marks(), "alone\nalone\n");
  Ok({"cancel", job.id});
  Allot({"wait", job.id});
}

// The task, its agent and its machine are well; they are not heard.
TEST_F(AtMostOne, TheNodeIsCutOff) {
  UpWithLeases();
  const std::string& endpoint = addresses().endpoint;
  const auto port = static_cast<uint16_t>(std::stoul(endpoint.substr(endpoint.rfind(':') + 1)));
  std::map<std::string, std::unique_ptr<Way>> ways;
  for (const std::string name : {"one", "two"}) {
    ways[name] = std::make_unique<Way>(port);
    KillAgent(name);
    const std::string file = cluster().layout().AgentConfig(name);
    std::string config = Text(file);
    ASSERT_NE(config.find(endpoint), config.npos) << config;
    config.replace(config.find(endpoint), endpoint.size(),
                   "tcp://127.0.0.1:" + std::to_string(ways[name]->port()));
    std::ofstream(file, std::ios::trunc) << config;
    StartAgent(name);
  }
  const client::JobView job = Start();
  ways[job.tasks.at(0).node]->Cut();
  ExpectOneAfterTheOther(job);
  ways[job.tasks.at(0).node]->Mend();
  AwaitNodes();
  EXPECT_EQ(Marks(), "alone\nalone\n");
  Ok({"cancel", job.id});
  Allot({"wait", job.id});
}

TEST_F(AtMostOne, TheAgentIsKilled) {
  UpWithLeases();
  const client::JobView job = Start();
  KillAgent(job.tasks.at(0).node);
  ExpectOneAfterTheOther(job);
  Ok({"cancel", job.id});
  Allot({"wait", job.id});
}

// And one that is back in time renews what it finds.
TEST_F(AtMostOne, AnAgentThatIsBackInTimeRenewsWhatItFinds) {
  UpWithLeases();
  const client::JobView job = Start();
  const std::string node = job.tasks.at(0).node;
  const pid_t pid = static_cast<pid_t>(job.tasks.at(0).pid);
  KillAgent(node);
  StartAgent(node);
  // Beyond the lease that it had.
  const auto begun = std::chrono::steady_clock::now();
  ASSERT_TRUE(
      Until([&] { return std::chrono::steady_clock::now() - begun > std::chrono::seconds(6); }));
  const client::JobView now = Job(job.id);
  if (now.attempt == job.attempt) {
    EXPECT_TRUE(local::IsRunning(pid));
    EXPECT_EQ(Marks(), "alone\n");
  } else {  // The machine was too slow for it: then as above, wherever.
    ExpectOneAfterTheOther(job, /*elsewhere=*/false);
  }
  Ok({"cancel", job.id});
  Allot({"wait", job.id});
}

// The scheduler is gone: nobody renews, nobody places. The next one waits, for it cannot know.
TEST_F(AtMostOne, TheSchedulerIsGone) {
  UpWithLeases();
  const client::JobView job = Start();
  KillScheduler();
  ASSERT_TRUE(Until([&] { return !local::IsRunning(static_cast<pid_t>(job.tasks[0].pid)); }));
  EXPECT_EQ(Marks(), "alone\n");
  StartScheduler();
  client::JobView now;
  ASSERT_TRUE(Until([&] {
    now = Job(job.id);
    return now.attempt > job.attempt && !now.tasks.empty() && now.tasks[0].pid > 0;
  }));
  ASSERT_TRUE(Until([&] { return Marks() == "alone\nalone\n"; })) << Marks();
  Ok({"cancel", job.id});
  Allot({"wait", job.id});
}

}  // namespace
}  // namespace allot::testing
