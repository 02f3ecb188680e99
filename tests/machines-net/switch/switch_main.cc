// A switch for machines that are network namespaces, with everything a network does to people:
//
//   net_switch [SEED]        commands on standard input, one answer a line: `ok …` or `error …`
//
//   port NAME NAMESPACE_FILE INTERFACE MAC     an interface of that name appears in that namespace
//   path A B [delay=MS] [loss=PERCENT] [kbit=N] [mtu=BYTES]   both directions; what is not said is perfect
//   oneway A B …             from A to B only
//   cut A B | heal A B       A or B may be *
//   nat A OUTSIDE INSIDE     A is seen by others as OUTSIDE
//   counts                   frames that arrived, that were lost
//
// In user space, because `tc netem` is a module that many kernels lack. Interfaces are TAP devices: their
// frames come whole and with their checksums, and they vanish with this program. A frame goes to the port
// that its address was last seen at, else to all, each over its own Path. One thread; it ends with its input.
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <queue>
#include <sstream>
#include <string>
#include <vector>

#include "tests/machines-net/switch/nat.h"
#include "tests/machines-net/switch/path.h"

namespace allot::testing::net {
namespace {

using Mac = std::array<uint8_t, 6>;
constexpr size_t kFrameMax = 65536 + 18;

struct Port {
  std::string name;
  int fd = -1;
  std::unique_ptr<Nat> nat;
  uint64_t arrived = 0;
};

struct UnderWay {
  Time at;
  uint64_t order;
  size_t from, to;
  std::shared_ptr<const Frame> frame;
  bool operator>(const UnderWay& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }
};

class Switch {
 public:
  explicit Switch(uint64_t seed) : seed_(seed) {}

  std::string Command(const std::string& line);
  void Receive(size_t port);
  // Hands over what is due. When the next frame is due after that.
  std::optional<Time> Deliver(Time now);
  const std::vector<Port>& ports() const { return ports_; }

 private:
  std::string AddPort(std::istringstream& words);
  std::string Change(const std::string& verb, std::istringstream& words);
  std::string TranslatePort(std::istringstream& words);
  void SendTo(size_t from, size_t to, const std::shared_ptr<const Frame>& frame, Time now);
  Path& Between(size_t from, size_t to);
  std::vector<size_t> Named(const std::string& word) const;

  uint64_t seed_;
  uint64_t order_ = 0;
  std::vector<Port> ports_;
  std::map<std::pair<size_t, size_t>, Path> paths_;
  std::map<Mac, size_t> seen_at_;
  std::priority_queue<UnderWay, std::vector<UnderWay>, std::greater<>> under_way_;
};

std::string Error(const std::string& what) { return "error " + what; }

// A TAP device in another namespace: entered, opened, and left again.
std::string OpenTap(const std::string& namespace_file, const std::string& interface, int* out) {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int there = open(namespace_file.c_str(), O_RDONLY | O_CLOEXEC);
  if (there < 0) return namespace_file + ": " + std::strerror(errno);
  std::string error;
  if (setns(there, CLONE_NEWNET) != 0) error = std::string("setns: ") + std::strerror(errno);
  if (error.empty()) {
    *out = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    if (*out < 0 || ioctl(*out, TUNSETIFF, &request) != 0)
      error = std::string("/dev/net/tun: ") + std::strerror(errno);
  }
  if (setns(home, CLONE_NEWNET) != 0) error = "cannot return to the first namespace";
  close(home);
  close(there);
  return error;
}

bool ParseMac(const std::string& text, Mac* out) {
  unsigned v[6];
  if (std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6)
    return false;
  for (size_t i = 0; i < 6; ++i) (*out)[i] = static_cast<uint8_t>(v[i]);
  return true;
}

bool ParseAddress(const std::string& text, Address* out) {
  unsigned v[4];
  if (std::sscanf(text.c_str(), "%u.%u.%u.%u", &v[0], &v[1], &v[2], &v[3]) != 4) return false;
  for (size_t i = 0; i < 4; ++i) (*out)[i] = static_cast<uint8_t>(v[i]);
  return true;
}

std::vector<size_t> Switch::Named(const std::string& word) const {
  std::vector<size_t> out;
  for (size_t i = 0; i < ports_.size(); ++i)
    if (word == "*" || ports_[i].name == word) out.push_back(i);
  return out;
}

Path& Switch::Between(size_t from, size_t to) {
  const auto found = paths_.find({from, to});
  if (found != paths_.end()) return found->second;
  return paths_.emplace(std::pair(from, to), Path(seed_ * 1'000'003 + from * 1009 + to))
      .first->second;
}

std::string Switch::AddPort(std::istringstream& words) {
  std::string name, file, interface, mac_text;
  words >> name >> file >> interface >> mac_text;
  Mac mac{};
  if (!ParseMac(mac_text, &mac)) return Error("port NAME NAMESPACE_FILE INTERFACE MAC");
  Port port;
  port.name = name;
  if (const std::string error = OpenTap(file, interface, &port.fd); !error.empty())
    return Error(error);
  seen_at_[mac] = ports_.size();
  ports_.push_back(std::move(port));
  return "ok";
}

std::string Switch::Change(const std::string& verb, std::istringstream& words) {
  std::string a, b, word;
  words >> a >> b;
  const std::vector<size_t> from = Named(a), to = Named(b);
  if (from.empty() || to.empty()) return Error("no port named " + (from.empty() ? a : b));
  PathSettings said;
  while (words >> word) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const double value = equals == std::string::npos ? -1 : std::atof(word.c_str() + equals + 1);
    if (value < 0) return Error("not KEY=NUMBER: " + word);
    if (key == "delay")
      said.delay = Micros(static_cast<int64_t>(value * 1000));
    else if (key == "loss")
      said.loss = value / 100;
    else if (key == "kbit")
      said.bits_per_second = static_cast<int64_t>(value * 1000);
    else if (key == "mtu")
      said.mtu = static_cast<size_t>(value);
    else
      return Error("no setting named " + key + "; delay, loss, kbit, mtu");
  }
  const auto apply = [&](size_t x, size_t y) {
    PathSettings settings = Between(x, y).settings();
    if (verb == "cut" || verb == "heal")
      settings.cut = verb == "cut";
    else
      settings = said;
    Between(x, y).Set(settings);
  };
  for (const size_t x : from) {
    for (const size_t y : to) {
      if (x == y) continue;
      apply(x, y);
      if (verb != "oneway") apply(y, x);
    }
  }
  return "ok";
}

std::string Switch::TranslatePort(std::istringstream& words) {
  std::string name, outside, inside;
  words >> name >> outside >> inside;
  const std::vector<size_t> ports = Named(name);
  auto nat = std::make_unique<Nat>();
  if (ports.size() != 1 || !ParseAddress(outside, &nat->outside) ||
      !ParseAddress(inside, &nat->inside))
    return Error("nat PORT OUTSIDE INSIDE");
  ports_[ports[0]].nat = std::move(nat);
  return "ok";
}

std::string Switch::Command(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "port") return AddPort(words);
  if (verb == "path" || verb == "oneway" || verb == "cut" || verb == "heal")
    return Change(verb, words);
  if (verb == "nat") return TranslatePort(words);
  if (verb == "counts") {
    uint64_t arrived = 0, lost = 0;
    for (const Port& port : ports_) arrived += port.arrived;
    for (const auto& [ends, path] : paths_) lost += path.lost();
    return "ok " + std::to_string(arrived) + " " + std::to_string(lost);
  }
  return Error("no command named " + verb + "; port, path, oneway, cut, heal, nat, counts");
}

void Switch::SendTo(size_t from, size_t to, const std::shared_ptr<const Frame>& frame, Time now) {
  const std::optional<Time> at = Between(from, to).Send(now, frame->size());
  if (at) under_way_.push({*at, order_++, from, to, frame});
}

void Switch::Receive(size_t port) {
  // Bounded, so that one busy port does not keep others from being read.
  for (int i = 0; i < 64; ++i) {
    Frame frame(kFrameMax);
    const ssize_t n = read(ports_[port].fd, frame.data(), frame.size());
    if (n < 14) return;
    frame.resize(static_cast<size_t>(n));
    if (ports_[port].nat && !ports_[port].nat->Outbound(frame)) continue;
    Mac to{}, from{};
    std::copy_n(frame.begin(), 6, to.begin());
    std::copy_n(frame.begin() + 6, 6, from.begin());
    seen_at_[from] = port;
    const auto whole = std::make_shared<const Frame>(std::move(frame));
    const Time now = std::chrono::steady_clock::now();
    const bool group = (to[0] & 1) != 0;
    const auto known = seen_at_.find(to);
    if (!group && known != seen_at_.end()) {
      if (known->second != port) SendTo(port, known->second, whole, now);
      continue;
    }
    for (size_t other = 0; other < ports_.size(); ++other)
      if (other != port) SendTo(port, other, whole, now);
  }
}

std::optional<Time> Switch::Deliver(Time now) {
  while (!under_way_.empty() && under_way_.top().at <= now) {
    const UnderWay next = under_way_.top();
    under_way_.pop();
    if (Between(next.from, next.to).settings().cut) continue;
    Port& port = ports_[next.to];
    Frame frame = *next.frame;
    if (port.nat && !port.nat->Inbound(frame)) continue;
    if (write(port.fd, frame.data(), frame.size()) > 0) ++port.arrived;
  }
  if (under_way_.empty()) return std::nullopt;
  return under_way_.top().at;
}

int Run(uint64_t seed) {
  Switch sw(seed);
  std::string input;
  for (;;) {
    const std::optional<Time> next = sw.Deliver(std::chrono::steady_clock::now());
    std::vector<pollfd> fds = {{STDIN_FILENO, POLLIN, 0}};
    for (const Port& port : sw.ports()) fds.push_back({port.fd, POLLIN, 0});
    timespec wait{};
    if (next) {
      const auto left = std::max(Time::duration::zero(), *next - std::chrono::steady_clock::now());
      const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(left).count();
      wait = {.tv_sec = static_cast<time_t>(nanos / 1'000'000'000),
              .tv_nsec = static_cast<long>(nanos % 1'000'000'000)};
    }
    if (ppoll(fds.data(), fds.size(), next ? &wait : nullptr, nullptr) < 0) continue;
    for (size_t i = 1; i < fds.size(); ++i)
      if (fds[i].revents != 0) sw.Receive(i - 1);
    if (fds[0].revents == 0) continue;
    char buffer[4096];
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (n <= 0) return 0;
    input.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = input.find('\n')) != std::string::npos; input.erase(0, end + 1)) {
      std::printf("%s\n", sw.Command(input.substr(0, end)).c_str());
      std::fflush(stdout);
    }
  }
}

}  // namespace
}  // namespace allot::testing::net

int main(int argc, char** argv) {
  return allot::testing::net::Run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
}
