#include "common/http/text.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <ctime>

#include "common/base/printable.h"
#include "common/base/text.h"
#include "common/http/blocking_client.h"

namespace allot::http {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool PercentDecode(std::string_view text, bool plus_is_space, std::string* out) {
  out->clear();
  out->reserve(text.size());
  bool plain = true;  // Only ASCII so far, so the UTF-8 check can be left out.
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return false;
    plain = plain && static_cast<unsigned char>(c) < 0x80;
    out->push_back(c);
  }
  return plain || IsValidUtf8(*out);
}

// In a path an encoded slash is no separator, and what needs no encoding (RFC 3986, 2.3) may not be
// hidden behind one from those who look at the path before us.
bool DecodePath(std::string_view path, std::string* out) {
  constexpr std::string_view kUnreserved = "-._~";
  std::string kept;
  for (size_t i = 0; i < path.size(); ++i) {
    kept += path[i];
    if (path[i] != '%' || i + 2 >= path.size()) continue;
    const int high = HexValue(path[i + 1]), low = HexValue(path[i + 2]);
    if (high < 0 || low < 0) return false;
    const int c = high * 16 + low;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        (c < 0x80 && kUnreserved.find(static_cast<char>(c)) != std::string_view::npos))
      return false;
    if (c == '/') kept += "25";  // "%252F" becomes "%2F".
  }
  return PercentDecode(kept, /*plus_is_space=*/false, out);
}

bool ParseQuery(std::string_view text, Request* request) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('&'), text.size());
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    std::string name, value;
    if (!PercentDecode(pair.substr(0, equals), /*plus_is_space=*/true, &name)) return false;
    const std::string_view rest = pair.substr(std::min(equals + 1, pair.size()));
    if (!PercentDecode(rest, /*plus_is_space=*/true, &value)) return false;
    request->query.emplace_back(std::move(name), std::move(value));
  }
  return true;
}

}  // namespace

bool ParseTarget(std::string_view target, Request* request) {
  for (std::string_view scheme :
       {"http://", "https://"}) {  // As sent to a proxy (RFC 9112, 3.2.2).
    if (!target.starts_with(scheme)) continue;
    const size_t path = target.find_first_of("/?", scheme.size());
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  target = target.substr(0, target.find('#'));
  const size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  if (path.empty()) {
    request->path = "/";
  } else if (path[0] != '/' && path != "*") {
    return false;
  } else if (!DecodePath(path, &request->path)) {
    return false;
  }
  if (question != std::string_view::npos) request->raw_query = target.substr(question + 1);
  return question == std::string_view::npos || ParseQuery(target.substr(question + 1), request);
}

bool EqualsIgnoreCase(std::string_view a, std::string_view lower_case) {
  if (a.size() != lower_case.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i];
    if (c != lower_case[i]) return false;
  }
  return true;
}

void ToLower(std::string* text) {
  for (char& c : *text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
}

void AppendHeader(std::string* out, std::string_view name, std::string_view value) {
  const auto append = [out](std::string_view text) {
    const size_t start = out->size();
    out->append(text);
    for (size_t i = start; i < out->size(); ++i) {
      const auto c = static_cast<unsigned char>((*out)[i]);
      if ((c < 0x20 && c != '\t') || c == 0x7f) (*out)[i] = ' ';
    }
  };
  append(name);
  out->append(": ");
  append(value);
  out->append("\r\n");
}

bool IsConnectionHeader(std::string_view name) {
  for (std::string_view known : {"content-length", "transfer-encoding", "connection", "keep-alive",
                                 "upgrade", "trailer", "te", "proxy-connection"}) {
    if (EqualsIgnoreCase(name, known)) return true;
  }
  return false;
}

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 302:
      return "Found";
    case 304:
      return "Not Modified";
    case 307:
      return "Temporary Redirect";
    case 308:
      return "Permanent Redirect";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

std::string FormatHttpDate(int64_t unix_seconds) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t time = unix_seconds;
  std::tm utc{};
  gmtime_r(&time, &utc);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[utc.tm_wday], utc.tm_mday,
                     kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  HostPort result;
  if (colon != std::string_view::npos && colon > 0) {
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, result.port);
    const bool clean = host.find_first_of("/@ \t\r\n[]") == std::string_view::npos &&
                       (bracketed || host.find(':') == std::string_view::npos);
    if (error == std::errc() && rest == end && clean) {
      result.host = host;
      return result;
    }
  }
  return InvalidArgument("address is \"{}\"; give HOST:PORT, such as 127.0.0.1:7401 or [::1]:7401",
                         Shown(text));
}

std::string RequestHead(const ClientRequest& request, const std::string& host_port) {
  std::string head;
  head.reserve(256);
  head += request.method;
  head += ' ';
  for (char c : request.target) {  // What would end the line early is escaped.
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) {
      head += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      head += c;
    }
  }
  head += " HTTP/1.1\r\n";
  AppendHeader(&head, "Host", host_port);
  for (const auto& [name, value] : request.headers) {
    if (IsConnectionHeader(name) || EqualsIgnoreCase(name, "host")) continue;
    AppendHeader(&head, name, value);
  }
  const bool body_expected = request.method != "GET" && request.method != "HEAD" &&
                             request.method != "DELETE" && request.method != "OPTIONS";
  if (body_expected || !request.body.empty()) {
    AppendHeader(&head, "Content-Length", std::to_string(request.body.size()));
  }
  head += "\r\n";
  return head;
}

void SetCloseOnExec(int descriptor) { ::fcntl(descriptor, F_SETFD, FD_CLOEXEC); }

void KeepAlive(int descriptor) {
  const auto set = [descriptor](int level, int option, int value) {
    (void)::setsockopt(descriptor, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace allot::http
