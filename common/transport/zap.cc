#include "common/transport/zap.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <zmq.hpp>

#include "common/base/check.h"
#include "common/base/logging.h"
#include "common/base/thread.h"
#include "common/transport/frames.h"
#include "common/transport/invitations.h"

namespace allot::transport {
namespace {

constexpr char kEndpoint[] = "inproc://zeromq.zap.01";
// At the files, where no connection asks for them: what is revoked here is so at gateways, which
// are told, within a second.
constexpr int kLookEveryMs = 400;

// What tells one version of the file from the next. A rename changes the inode, an edit in place
// the times; the change time is there for edits that put the modification time back.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  timespec modified{}, changed{};
  bool exists = false;

  static FileStamp Of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return {info.st_dev, info.st_ino, info.st_size, info.st_mtim, info.st_ctim, true};
  }
  bool operator==(const FileStamp& o) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return exists == o.exists && device == o.device && inode == o.inode && size == o.size &&
           same(modified, o.modified) && same(changed, o.changed);
  }
};

struct Request {
  std::string version, id, domain, address, routing_id, mechanism, key;
};

struct Verdict {
  const char* code;  // "200", "400", "500" of RFC 27; the client is told the number
  const char* text;
  std::string user_id;
};

// The whole message is always read, also when it is not what the RFC says.
std::optional<Request> ReadRequest(zmq::socket_t& socket) {
  Request request;
  std::string* const frames[] = {&request.version, &request.id,         &request.domain,
                                 &request.address, &request.routing_id, &request.mechanism,
                                 &request.key};
  size_t count = 0;
  for (bool more = true; more; ++count) {
    zmq::message_t frame;
    if (Uninterrupted([&] { return zmq_msg_recv(frame.handle(), socket.handle(), 0); }) < 0) {
      if (zmq_errno() == EAGAIN) return std::nullopt;
      throw zmq::error_t();
    }
    if (count < std::size(frames)) *frames[count] = frame.to_string();
    more = frame.more();
  }
  if (count < 6) request.version.clear();
  return request;
}

void Answer(zmq::socket_t& socket, const Request& request, const Verdict& verdict) {
  const auto frame = [&](std::string_view text, int flags) {
    const auto send = [&] { return zmq_send(socket.handle(), text.data(), text.size(), flags); };
    if (Uninterrupted(send) < 0) throw zmq::error_t();
  };
  frame("1.0", ZMQ_SNDMORE);
  frame(request.id, ZMQ_SNDMORE);
  frame(verdict.code, ZMQ_SNDMORE);
  frame(verdict.text, ZMQ_SNDMORE);
  frame(verdict.user_id, ZMQ_SNDMORE);
  frame("", 0);  // no metadata
}

}  // namespace

std::string ZapDomain(const std::vector<Role>& admit) {
  std::string domain;
  for (Role role : admit) {
    if (!domain.empty()) domain += ',';
    domain += RoleName(role);
  }
  return domain;
}

bool DomainAdmits(std::string_view domain, Role role) {
  while (!domain.empty()) {
    const size_t comma = domain.find(',');
    if (domain.substr(0, comma) == RoleName(role)) return true;
    if (comma == std::string_view::npos) return false;
    domain.remove_prefix(comma + 1);
  }
  return false;
}

std::string FormatUserId(const AllowedPeer& peer) {
  return fmt::format("{}:{}:{}", RoleName(peer.role), peer.name, peer.public_key);
}

std::optional<UserId> ParseUserId(std::string_view text) {
  // A key may hold colons, a name does not.
  const size_t colon = text.find(':'), second = text.find(':', colon + 1);
  if (colon == std::string_view::npos || second == std::string_view::npos) return std::nullopt;
  const std::optional<Role> role = ParseRole(text.substr(0, colon));
  const std::string_view name = text.substr(colon + 1, second - colon - 1);
  if (!role || name.empty() || second + 1 == text.size()) return std::nullopt;
  return UserId{*role, name, text.substr(second + 1)};
}

class ZapHandler::Impl {
 public:
  Impl(zmq::socket_t socket, std::string allow_file, ZapCounters* counters)
      : allow_file_(std::move(allow_file)),
        invitations_file_(allow_file_.empty() ? "" : InvitationsFile(allow_file_)),
        counters_(counters),
        loaded_(allow_file_.empty()) {
    ReadListIfChanged();  // So that list_status() says something before the first connection.
    thread_ = StartThread([this, socket = std::move(socket)]() mutable { Run(std::move(socket)); });
  }
  ~Impl() { thread_.join(); }

  Status list_status() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }
  std::shared_ptr<const Peers> peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
  }
  uint64_t peers_version() const { return peers_version_; }
  void SetLearned(std::vector<AllowedPeer> peers) {
    const std::lock_guard lock(mutex_);
    learned_ = std::move(peers);
    Merge();
  }

 private:
  void Run(zmq::socket_t socket) {
    try {
      for (;;) {
        const std::optional<Request> request = ReadRequest(socket);
        if (!request) {  // Nobody dials; those who are here may be revoked all the same.
          ReadListIfChanged();
          continue;
        }
        const Verdict verdict = Judge(*request);
        if (verdict.code[0] != '2') LogRefusal(*request, verdict);
        Answer(socket, *request, verdict);
      }
    } catch (const zmq::error_t& error) {
      // Going on without the handler would rest on libzmq alone to refuse everybody.
      CHECK(error.num() == ETERM);
    }
  }

  Verdict Judge(const Request& request) {
    if (request.version != "1.0") return {"500", "unknown ZAP version", {}};
    if (request.mechanism != "CURVE" || request.key.size() != 32) {
      ++counters_->refused_mechanism;
      return {"400", "only CURVE is admitted", {}};
    }
    ReadListIfChanged();
    if (!loaded_) {
      ++counters_->refused_no_list;
      return {"500", "the allow list cannot be read", {}};
    }
    char text[41];
    zmq_z85_encode(text, reinterpret_cast<const uint8_t*>(request.key.data()), 32);
    const std::shared_ptr<const Peers> peers = this->peers();
    const auto found = peers->find(text);
    if (found == peers->end()) {
      ++counters_->refused_unknown_key;
      return {"400", "the key is not in the allow list", {}};
    }
    const AllowedPeer& peer = found->second;
    if (peer.public_key != text) {
      ++counters_->refused_unknown_key;
      return {"400", "the key was renewed, and this is the one before", {}};
    }
    if (!DomainAdmits(request.domain, peer.role)) {
      ++counters_->refused_role;
      return {"400", "a peer of this role may not dial here", {}};
    }
    if (peer.role == Role::kInvited && Expired(text)) {
      ++counters_->refused_unknown_key;
      return {"400", "the invitation is too old", {}};
    }
    ++counters_->admitted;
    return {"200", "OK", FormatUserId(peer)};
  }

  bool Expired(const std::string& public_key) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(invited_.begin(), invited_.end(), [&](const Invitation& one) {
      return one.public_key == public_key;
    });
    return found == invited_.end() || found->expires <= WallClock();
  }

  void ReadListIfChanged() {
    if (allow_file_.empty()) return;
    ReadInvitationsIfChanged();
    // Taken before reading: an edit in between gives another stamp and is read next time.
    const FileStamp stamp = FileStamp::Of(allow_file_);
    if (stamp_ && *stamp_ == stamp) return;
    stamp_ = stamp;
    StatusOr<std::vector<AllowedPeer>> list = LoadAllowFile(allow_file_);
    loaded_ = list.ok();
    if (loaded_) {
      spdlog::info("allow list read file={} peers={}", allow_file_, list->size());
    } else {
      spdlog::warn("allow list cannot be read, nobody is admitted: {}", MessageOf(list.status()));
    }
    const std::lock_guard lock(mutex_);
    status_ = list.status();
    if (!loaded_) return;
    listed_ = *std::move(list);
    Merge();
  }

  void ReadInvitationsIfChanged() {
    const FileStamp stamp = FileStamp::Of(invitations_file_);
    if (invitations_stamp_ && *invitations_stamp_ == stamp) return;
    invitations_stamp_ = stamp;
    StatusOr<std::vector<Invitation>> list = LoadInvitations(invitations_file_);
    if (!list.ok()) {
      spdlog::warn("invitations cannot be read, nobody is invited: {}", MessageOf(list.status()));
      list = std::vector<Invitation>();
    }
    const std::lock_guard lock(mutex_);
    if (list->empty() && invited_.empty()) return;
    invited_ = *std::move(list);
    Merge();
  }

  // With the mutex held.
  void Merge() {
    auto peers = std::make_shared<Peers>();
    std::set<std::string_view> names;
    const auto add = [&peers](const AllowedPeer& peer) {
      peers->insert_or_assign(peer.public_key, peer);
      if (!peer.retired_key.empty()) peers->emplace(peer.retired_key, peer);
    };
    for (const AllowedPeer& peer : listed_) {
      names.insert(peer.name);
      add(peer);
    }
    for (const AllowedPeer& peer : learned_)
      if (!names.contains(peer.name)) add(peer);
    for (const Invitation& one : invited_)
      peers->emplace(one.public_key, AllowedPeer{InvitedName(one), one.public_key, Role::kInvited});
    peers_ = std::move(peers);
    ++peers_version_;
  }

  // At most one line a second: a stranger must not be able to fill the disk with our log.
  void LogRefusal(const Request& request, const Verdict& verdict) {
    const auto now = std::chrono::steady_clock::now();
    if (last_logged_ && now - *last_logged_ < std::chrono::seconds(1)) {
      ++unlogged_;
      return;
    }
    last_logged_ = now;
    // Whence it came, the gate says.
    spdlog::warn("key refused admits={} why=\"{}\" more={}", request.domain, verdict.text,
                 std::exchange(unlogged_, 0));
  }

  const std::string allow_file_, invitations_file_;
  ZapCounters* const counters_;

  // Of the thread only (and of the constructor, before it starts).
  std::optional<FileStamp> stamp_, invitations_stamp_;
  bool loaded_;
  std::optional<std::chrono::steady_clock::time_point> last_logged_;
  uint64_t unlogged_ = 0;

  mutable std::mutex mutex_;
  Status status_;
  std::vector<AllowedPeer> listed_, learned_;  // by the file; by SetLearned
  std::vector<Invitation> invited_;
  std::shared_ptr<const Peers> peers_ = std::make_shared<Peers>();  // all of them
  std::atomic<uint64_t> peers_version_{0};
  std::thread thread_;
};

ZapHandler::ZapHandler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ZapHandler::~ZapHandler() = default;
Status ZapHandler::list_status() const { return impl_->list_status(); }
std::shared_ptr<const ZapHandler::Peers> ZapHandler::peers() const { return impl_->peers(); }
uint64_t ZapHandler::peers_version() const { return impl_->peers_version(); }
void ZapHandler::SetLearned(std::vector<AllowedPeer> peers) { impl_->SetLearned(std::move(peers)); }

StatusOr<std::unique_ptr<ZapHandler>> ZapHandler::Start(zmq::context_t& context,
                                                        std::string allow_file,
                                                        ZapCounters* counters) {
  try {
    zmq::socket_t socket(context, zmq::socket_type::rep);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvtimeo, kLookEveryMs);
    socket.bind(kEndpoint);
    return std::unique_ptr<ZapHandler>(
        new ZapHandler(std::make_unique<Impl>(std::move(socket), std::move(allow_file), counters)));
  } catch (const zmq::error_t& error) {
    return Internal("cannot start the ZAP handler: {}", error.what());
  }
}

}  // namespace allot::transport
