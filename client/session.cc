#include "client/session.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "client/local/addresses.h"
#include "client/local/files.h"
#include "client/printable.h"
#include "common/config/bind.h"

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

// Where to ask, and whether there is reason to believe that somebody is there.
struct Found {
  std::string url;
  bool expected = true;
};

Found FindServer(const std::string& flag) {
  if (!flag.empty()) return {flag};
  if (const std::string url = Environment("ALLOT_SERVER"); !url.empty()) return {url};
  if (const std::string http = local::LocalApi(kLocalFolder); !http.empty())
    return {"http://" + http};
  return {kDefaultServer, false};
}

}  // namespace

StatusOr<Endpoint> Session::FindEndpoint() const {
  Endpoint endpoint;
  const Found found = FindServer(server);
  endpoint.url = found.url;
  endpoint.patience = found.expected ? kPatience : Duration(0);
  if (!patience.empty()) {
    const auto micros = config::ParseDurationMicros(patience);
    if (!micros.ok()) return InvalidArgument("--patience {}", MessageOf(micros.status()));
    endpoint.patience = Duration(*micros);
  }
  if (endpoint.url.find("://") == std::string::npos) endpoint.url = "http://" + endpoint.url;
  if (token_file.empty()) {
    endpoint.token = Environment("ALLOT_TOKEN");
  } else {
    ASSIGN_OR_RETURN(const std::string text, local::ReadFile(token_file));
    endpoint.token = Trimmed(text);
    if (endpoint.token.empty()) return InvalidArgument("{} holds no token", token_file);
  }
  // It travels in a header line, which would lose what is not such text.
  const bool plain = std::all_of(endpoint.token.begin(), endpoint.token.end(),
                                 [](char c) { return c > ' ' && c <= '~'; });
  if (!plain)
    return InvalidArgument("{} holds something else than a token; `allot keys token` makes one",
                           token_file.empty() ? "ALLOT_TOKEN" : token_file);
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
      text +=
          "\n  Give a token with --token-file FILE or ALLOT_TOKEN; `allot keys token` makes one.";
      break;
    case StatusCode::kPermissionDenied:
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
