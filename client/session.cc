#include "client/session.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "client/local/addresses.h"
#include "client/local/files.h"
#include "client/local/token.h"
#include "common/base/printable.h"
#include "common/config/bind.h"
#include "yaml-cpp/yaml.h"

namespace allot::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string Trimmed(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  size_t start = 0;
  while (start < text.size() && blank(text[start])) ++start;
  return text.substr(start);
}

struct Servers {
  std::vector<std::string> urls;
  std::string token_file = {};  // goes with them
  std::string ca_file = {}, certificate = {};
  bool plain_tokens = false;
  bool expected = true;  // there is reason to believe that somebody is there
};

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    if (std::string part = Trimmed(text.substr(start, end - start)); !part.empty())
      parts.push_back(std::move(part));
    start = end + 1;
  }
  return parts;
}

// client.yaml: what somebody has written down for this machine or this user; empty if nobody has.
//   server: http://head:7401        # or a list
//   token_file: admin.token         # against the file's folder
//   ca_file: ca.crt                 # likewise; whom to believe over https
//   certificate: me.pem             # likewise; ours, with its key, where servers ask for one
//   plain_tokens: true              # send the token over plain HTTP off loopback, too
StatusOr<Servers> ParseClientFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, local::ReadFile(path));
  Servers servers;
  const auto beside = [&path](const YAML::Node& file) {
    return (std::filesystem::path(path).parent_path() / file.as<std::string>()).string();
  };
  try {
    for (const auto& entry : YAML::Load(text)) {
      const std::string key = entry.first.as<std::string>();
      if (key == "server") {
        servers.urls = entry.second.IsSequence() ? entry.second.as<std::vector<std::string>>()
                                                 : Split(entry.second.as<std::string>());
      } else if (key == "token_file") {
        servers.token_file = beside(entry.second);
      } else if (key == "ca_file") {
        servers.ca_file = beside(entry.second);
      } else if (key == "certificate") {
        servers.certificate = beside(entry.second);
      } else if (key == "plain_tokens") {
        servers.plain_tokens = entry.second.as<bool>();
      } else {
        return InvalidArgument(
            "{}: unknown key \"{}\"; its keys are server, token_file, ca_file, certificate, "
            "plain_tokens",
            path, key);
      }
    }
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}: {}", path, e.what());
  }
  return servers;
}

// Where this user's or this machine's files may be, the nearest first.
std::vector<std::string> Folders() {
  const std::string own = Environment("ALLOT_DIR"), home = Environment("HOME");
  std::vector<std::string> folders;
  if (!own.empty()) folders.push_back(own);
  if (own.empty() && !home.empty()) folders.push_back(home + "/.config/allotrope");
  if (own.empty()) folders.emplace_back("/etc/allotrope");
  return folders;
}

StatusOr<Servers> LoadClientFile() {
  for (const std::string& folder : Folders())
    if (const std::string path = folder + "/client.yaml"; local::Exists(path))
      return ParseClientFile(path);
  return Servers();
}

StatusOr<Servers> FindServers(const std::string& flag) {
  if (!flag.empty()) return Servers{Split(flag)};
  if (const std::string url = Environment("ALLOT_SERVER"); !url.empty())
    return Servers{Split(url)};
  if (const std::string http = local::LocalApi(kLocalFolder); !http.empty())
    return Servers{{"http://" + http}};
  ASSIGN_OR_RETURN(Servers file, LoadClientFile());
  if (file.urls.empty()) {
    file.urls = {kDefaultServer};
    file.expected = false;
  }
  return file;
}

// The first that answers at all; one that is degraded answers too.
StatusOr<std::string> FirstThatAnswers(const std::vector<std::string>& urls,
                                       const http::ClientSecurity& security) {
  if (urls.size() == 1) return urls.front();
  std::string said;
  for (const std::string& url : urls) {
    const auto api = Api::Connect(
        {.url = url, .timeout = std::chrono::seconds(3), .security = security});
    const Status status = api.ok() ? (*api)->Fetch({.target = "/healthz"}).status() : api.status();
    if (status.ok()) return url;
    said += fmt::format("{}{}", said.empty() ? "" : "; ", MessageOf(status));
  }
  return Unavailable("no server answers: {}", said);
}

StatusOr<std::string> ReadToken(const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, local::ReadFile(file));
  std::string token = Trimmed(text);
  if (token.empty()) return InvalidArgument("{} holds no token", file);
  return token;
}

StatusOr<http::ClientSecurity> FindSecurity(const Session& session, const Servers& servers) {
  http::ClientSecurity security;
  const std::string plain = Environment("ALLOT_PLAIN_TOKENS");
  security.plain_tokens =
      session.plain_tokens || servers.plain_tokens || (!plain.empty() && plain != "0");
  const auto first = [](std::initializer_list<std::string> places) {
    for (const std::string& place : places)
      if (!place.empty()) return place;
    return std::string();
  };
  http::TlsTrust::Files files;
  files.certificate =
      first({session.certificate, Environment("ALLOT_CERTIFICATE"), servers.certificate});
  if (const std::string ca = first({session.ca, Environment("ALLOT_CA"), servers.ca_file});
      !ca.empty()) {
    files.authorities = {ca};
  } else {
    std::vector<std::string> folders = Folders();
    if (!session.token_file.empty())
      folders.insert(folders.begin(),
                     std::filesystem::path(local::Absolute(session.token_file)).parent_path());
    for (const std::string& folder : folders) {
      if (!local::Exists(folder + "/ca.crt")) continue;
      files.authorities = {folder + "/ca.crt"};
      files.system_too = true;
      break;
    }
  }
  // Reading certificates is more than most commands do otherwise.
  const bool needed = std::any_of(servers.urls.begin(), servers.urls.end(), [](const auto& url) {
    return url.starts_with("https://");
  });
  if (!needed && files.authorities.empty() && files.certificate.empty()) return security;
  ASSIGN_OR_RETURN(security.trust, http::TlsTrust::Load(files));
  return security;
}

}  // namespace

StatusOr<Endpoint> Session::FindEndpoint() const {
  ASSIGN_OR_RETURN(Servers servers, FindServers(server));
  for (std::string& url : servers.urls)
    if (url.find("://") == std::string::npos) url = "http://" + url;
  if (servers.urls.empty()) return InvalidArgument("--server names no server");
  Endpoint endpoint;
  ASSIGN_OR_RETURN(endpoint.security, FindSecurity(*this, servers));
  ASSIGN_OR_RETURN(endpoint.url, FirstThatAnswers(servers.urls, endpoint.security));
  endpoint.patience = servers.expected ? kPatience : Duration(0);
  if (!patience.empty()) {
    const auto micros = config::ParseDurationMicros(patience);
    if (!micros.ok()) return InvalidArgument("--patience {}", MessageOf(micros.status()));
    endpoint.patience = Duration(*micros);
  }
  std::string from = token_file.empty() ? "ALLOT_TOKEN" : token_file;
  if (!token_file.empty()) {
    ASSIGN_OR_RETURN(endpoint.token, ReadToken(token_file));
  } else {
    endpoint.token = Environment("ALLOT_TOKEN");
    // It may be an administrator's, and unreadable to this user: the server says what it takes.
    if (endpoint.token.empty() && !servers.token_file.empty())
      if (StatusOr<std::string> token = ReadToken(servers.token_file); token.ok()) {
        endpoint.token = *std::move(token);
        from = servers.token_file;
      }
    if (endpoint.token.empty()) {
      ASSIGN_OR_RETURN(endpoint.token, local::TokenFor(kLocalFolder, endpoint.url));
      from = local::TokenFile(kLocalFolder);
      if (endpoint.token.empty()) {
        ASSIGN_OR_RETURN(endpoint.token, local::TokenAt(endpoint.url));
        from = "the local cluster's token file";
      }
    }
  }
  // It travels in a header line, which would lose what is not such text.
  const bool plain = std::all_of(endpoint.token.begin(), endpoint.token.end(),
                                 [](char c) { return c > ' ' && c <= '~'; });
  if (!plain)
    return InvalidArgument("{} holds something else than a token; `allot user add` makes one", from);
  return endpoint;
}

StatusOr<std::unique_ptr<Api>> Session::Connect() const {
  ASSIGN_OR_RETURN(Endpoint endpoint, FindEndpoint());
  return Api::Connect(std::move(endpoint));
}

StatusOr<int> Session::Show(const std::function<StatusOr<std::string>()>& render) const {
  bool seen = false;
  while (true) {
    const StatusOr<std::string> text = render();
    const StatusCode code = text.status().code();
    const bool away = code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded;
    if (!text.ok() && !(seen && watch_seconds && away)) return text.status();
    if (watch_seconds && !json && isatty(STDOUT_FILENO) != 0) std::fputs("\033[H\033[2J", stdout);
    if (text.ok()) {
      Print(*text);
      seen = true;
    } else {
      Say(Complaint(text.status()));
    }
    if (!watch_seconds) return 0;
    Pause(Duration(static_cast<int64_t>(*watch_seconds * 1e6)));
  }
}

std::string Complaint(const Status& status) {
  std::string text = "allot: " + MessageOf(status);
  switch (status.code()) {
    case StatusCode::kUnavailable:
      if (text.find("cannot connect") != std::string::npos)
        text +=
            "\n  Give its address with --server or ALLOT_SERVER; `allot local up` starts a cluster "
            "on this machine.";
      break;
    case StatusCode::kUnauthenticated:
      text += "\n  Give a token with --token-file FILE or ALLOT_TOKEN; `allot user add` makes one.";
      break;
    case StatusCode::kPermissionDenied:
      if (text.find("token") != std::string::npos && text.find("plain HTTP") == std::string::npos)
        text += "\n  The token's role may not do this; ask an administrator of the cluster.";
      break;
    default:
      break;
  }
  return text;
}

namespace {

void Put(std::FILE* to, std::string text) {
  if (text.empty() || text.back() != '\n') text += '\n';
  std::fwrite(text.data(), 1, text.size(), to);
  std::fflush(to);
}

}  // namespace

void Print(const std::string& text) { Put(stdout, Printable(text)); }
void PrintRaw(const std::string& text) { Put(stdout, text); }
void Say(const std::string& text) { Put(stderr, Printable(text)); }

void Pause(Duration time) {
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  (void)poll(nullptr, 0, static_cast<int>(millis));
}

}  // namespace allot::client
