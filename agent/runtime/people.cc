#include "agent/runtime/people.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <sstream>
#include <string_view>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/runtime/files.h"

namespace allot::agent {
namespace {

constexpr size_t kTenantMax = 256;
constexpr int kDepthMax = 64;
constexpr size_t kFilesMax = 1'000'000;

// By number; capabilities(7).
constexpr std::array<std::string_view, CAP_LAST_CAP + 1> kCapabilities = {"chown",
                                                                          "dac_override",
                                                                          "dac_read_search",
                                                                          "fowner",
                                                                          "fsetid",
                                                                          "kill",
                                                                          "setgid",
                                                                          "setuid",
                                                                          "setpcap",
                                                                          "linux_immutable",
                                                                          "net_bind_service",
                                                                          "net_broadcast",
                                                                          "net_admin",
                                                                          "net_raw",
                                                                          "ipc_lock",
                                                                          "ipc_owner",
                                                                          "sys_module",
                                                                          "sys_rawio",
                                                                          "sys_chroot",
                                                                          "sys_ptrace",
                                                                          "sys_pacct",
                                                                          "sys_admin",
                                                                          "sys_boot",
                                                                          "sys_nice",
                                                                          "sys_resource",
                                                                          "sys_time",
                                                                          "sys_tty_config",
                                                                          "mknod",
                                                                          "lease",
                                                                          "audit_write",
                                                                          "audit_control",
                                                                          "setfcap",
                                                                          "mac_override",
                                                                          "mac_admin",
                                                                          "syslog",
                                                                          "wake_alarm",
                                                                          "block_suspend",
                                                                          "audit_read",
                                                                          "perfmon",
                                                                          "bpf",
                                                                          "checkpoint_restore"};

uint64_t Bit(int capability) { return uint64_t{1} << capability; }

// The same on every node, whatever builds they run: FNV-1a.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 14'695'981'039'346'656'037u;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1'099'511'628'211u;
  return hash;
}

// Whether this user namespace has all these numbers; true where nothing can be read.
bool Maps(const std::string& uid_map, uint64_t from, uint64_t count) {
  const StatusOr<std::string> text = ReadWholeFile(uid_map, 64 << 10);
  if (!text.ok()) return true;
  std::istringstream in(*text);
  for (uint64_t inside = 0, outside = 0, length = 0; in >> inside >> outside >> length;)
    if (inside <= from && from + count <= inside + length) return true;
  return false;
}

StatusOr<uint32_t> GroupOf(const std::string& name) {
  std::vector<char> buffer(64 << 10);
  group entry{}, *found = nullptr;
  const int error = getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    return Unavailable("this node has no group \"{}\" (users.groups of the agent's config){}{}",
                       name, error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
  return entry.gr_gid;
}

bool Printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != 127; });
}

}  // namespace

std::optional<int> CapabilityOf(std::string_view name) {
  std::string low(name);
  for (char& c : low) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
  if (low.starts_with("cap_")) low.erase(0, 4);
  const auto it = std::find(kCapabilities.begin(), kCapabilities.end(), low);
  if (it == kCapabilities.end()) return std::nullopt;
  return static_cast<int>(it - kCapabilities.begin());
}

Powers PowersOf(uint32_t uid, uint64_t effective) {
  Powers powers;
  std::vector<std::string_view> missing;
  // To become somebody, to give them their folders, and to look after what is theirs then.
  for (const int each :
       {CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL})
    if ((effective & Bit(each)) == 0) missing.push_back(kCapabilities[static_cast<size_t>(each)]);
  powers.change_user = missing.empty();
  powers.mount = (effective & Bit(CAP_SYS_ADMIN)) != 0;
  if (!missing.empty())
    powers.why = uid == 0 ? fmt::format("the agent is root, but has not the capabilities {}",
                                        fmt::join(missing, ", "))
                          : fmt::format("the agent is not root (uid {})", uid);
  return powers;
}

Powers PowersOfThisProcess() {
  uint64_t effective = 0;
  const StatusOr<std::string> status = ReadWholeFile("/proc/self/status");
  constexpr std::string_view kKey = "\nCapEff:\t";
  if (status.ok())
    if (const size_t at = status->find(kKey); at != std::string::npos) {
      const char* begin = status->data() + at + kKey.size();
      std::from_chars(begin, status->data() + status->size(), effective, 16);
    }
  return PowersOf(geteuid(), effective);
}

People::People(Options options, std::string file, Powers powers, const std::string& uid_map)
    : options_(std::move(options)), file_(std::move(file)), why_not_(std::move(powers.why)) {
  if (options_.separation == Separation::kOff) return;
  const bool numbered = options_.default_user.empty();
  if (powers.change_user && numbered && !Maps(uid_map, options_.range_from, options_.range_count)) {
    powers.change_user = false;
    why_not_ = fmt::format(
        "the user ids {}-{} (users.range) are not among those of this container or user namespace",
        options_.range_from, uint64_t{options_.range_from} + options_.range_count - 1);
  }
  apart_ = powers.change_user;
}

std::vector<std::string> People::losses() const {
  if (apart_) return {};
  if (options_.separation == Separation::kOff)
    return {
        "users: users.separation is off in the agent's config, so tasks and model servers of all "
        "tenants run as the agent's user and can read and stop one another and the agent"};
  return {fmt::format(
      "users: {}, so tasks and model servers of all tenants run as the agent's user and can read "
      "and stop one another and the agent",
      why_not_)};
}

std::string People::refusal() const {
  if (apart_ || options_.separation != Separation::kRequired) return "";
  return fmt::format("users: tenants must be kept apart here (users.separation), and {}", why_not_);
}

StatusOr<Person> People::Of(const std::string& tenant, const std::string& token) {
  StatusOr<Person> person = Unavailable("nobody");
  if (const auto it = options_.tokens.find(token); !token.empty() && it != options_.tokens.end()) {
    person = Named(it->second);
  } else if (const auto mapped = options_.tenants.find(tenant); mapped != options_.tenants.end()) {
    person = Named(mapped->second);
  } else {
    person = options_.default_user.empty() ? Numbered(tenant) : Named(options_.default_user);
  }
  if (!person.ok()) return person;
  for (const std::string& name : options_.groups) {
    ASSIGN_OR_RETURN(const uint32_t gid, GroupOf(name));
    person->groups.push_back(gid);
  }
  return person;
}

StatusOr<Person> People::Named(const std::string& user) {
  if (const auto it = named_.find(user); it != named_.end()) return it->second;
  std::vector<char> buffer(64 << 10);
  passwd entry{}, *found = nullptr;
  const int error = getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr)
    return Unavailable("this node has no user \"{}\" (users of the agent's config){}{}", user,
                       error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
  if (entry.pw_uid == 0 || entry.pw_gid == 0)
    return Unavailable(
        "users of the agent's config maps to {}, who is root or in its group: nobody's work runs "
        "so",
        user);
  Person person{.uid = entry.pw_uid,
                .gid = entry.pw_gid,
                .groups = {},
                .name = entry.pw_name,
                .home = entry.pw_dir,
                .shell = entry.pw_shell};
  if (person.shell.empty()) person.shell = "/bin/sh";
  std::vector<gid_t> groups(64);
  int count = static_cast<int>(groups.size());
  while (getgrouplist(entry.pw_name, entry.pw_gid, groups.data(), &count) < 0)
    groups.resize(std::max(static_cast<size_t>(count), 2 * groups.size()));
  groups.resize(static_cast<size_t>(count));
  // Group 0 opens what is root's.
  std::erase_if(groups, [&](gid_t gid) { return gid == 0 || gid == entry.pw_gid; });
  person.groups = {groups.begin(), groups.end()};
  return named_[user] = std::move(person);
}

// Lines "UID TENANT", in the order in which they were given out.
Status People::Load() {
  if (loaded_) return absl::OkStatus();
  const StatusOr<std::string> text = ReadWholeFile(file_);
  if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
  if (text.ok()) {
    std::istringstream in(*text);
    for (std::string line; std::getline(in, line);) {
      uint32_t uid = 0;
      const char* end = line.data() + line.size();
      const auto [rest, error] = std::from_chars(line.data(), end, uid);
      if (error != std::errc() || rest == end || *rest != ' ' || uid == 0)
        return FailedPrecondition(
            "{} has a line that is not \"UID TENANT\"; it says whose the files of tenants are, so "
            "mend it by hand",
            file_);
      const std::string tenant(rest + 1, end);
      numbers_[tenant] = uid;
      taken_[uid] = tenant;
    }
  }
  loaded_ = true;
  return absl::OkStatus();
}

StatusOr<Person> People::Numbered(const std::string& tenant) {
  if (tenant.size() > kTenantMax || !Printable(tenant))
    return Unavailable("the tenant's name has control characters or is over {} bytes", kTenantMax);
  RETURN_IF_ERROR(Load());
  auto it = numbers_.find(tenant);
  if (it == numbers_.end()) {
    const uint64_t first = HashOf(tenant) % options_.range_count;
    std::optional<uint32_t> uid;
    for (uint64_t i = 0; i <= taken_.size() && i < options_.range_count && !uid; ++i) {
      const auto next =
          static_cast<uint32_t>(options_.range_from + (first + i) % options_.range_count);
      if (!taken_.contains(next)) uid = next;
    }
    if (!uid)
      return Unavailable("all {} user ids of users.range are given out", options_.range_count);
    std::string text;
    for (const auto& [number, whose] : taken_) text += fmt::format("{} {}\n", number, whose);
    text += fmt::format("{} {}\n", *uid, tenant);
    RETURN_IF_ERROR(ReplaceFile(file_, text, 0600));
    it = numbers_.emplace(tenant, *uid).first;
    taken_[*uid] = tenant;
  }
  return Person{.uid = it->second,
                .gid = it->second,
                .groups = {},
                .name = tenant.empty() ? "nobody" : tenant,
                .home = ""};
}

// ---- folders that change hands ------------------------------------------------------------------

namespace {

Status GiveBelow(int folder, uint32_t uid, uint32_t gid, int depth, size_t* left) {
  if (depth == 0) return absl::OkStatus();
  DIR* listing = fdopendir(dup(folder));
  if (listing == nullptr) return ErrnoStatus(errno, "cannot list a folder");
  const std::unique_ptr<DIR, int (*)(DIR*)> closing(listing, closedir);
  while (const dirent* entry = readdir(listing)) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if ((*left)-- == 0) return ResourceExhausted("over {} files", kFilesMax);
    struct stat info {};
    // Held open, so that what is looked at is what is given.
    const Fd file(openat(folder, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid() || fstat(file.get(), &info) != 0) continue;
    const bool is_folder = S_ISDIR(info.st_mode);
    if (!is_folder && info.st_nlink > 1) continue;
    if (fchownat(file.get(), "", uid, gid, AT_EMPTY_PATH) != 0)
      return ErrnoStatus(errno, "cannot give a file away");
    if (!is_folder) continue;
    const Fd below(openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below.valid()) RETURN_IF_ERROR(GiveBelow(below.get(), uid, gid, depth - 1, left));
  }
  return absl::OkStatus();
}

}  // namespace

Status GiveFolder(const std::string& folder, uint32_t uid, uint32_t gid) {
  const Fd fd(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, fmt::format("cannot open {}", folder));
  size_t left = kFilesMax;
  const Status below = GiveBelow(fd.get(), uid, gid, kDepthMax, &left);
  if (!below.ok()) return Unavailable("cannot give away {}: {}", folder, MessageOf(below));
  if (fchown(fd.get(), uid, gid) != 0 || fchmod(fd.get(), 0700) != 0)
    return ErrnoStatus(errno, fmt::format("cannot give away {}", folder));
  return absl::OkStatus();
}

}  // namespace allot::agent
