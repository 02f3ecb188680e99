// The textual parts of HTTP/1.1 that need no parser: targets, header lines, reasons, dates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/http/server.h"

namespace allot::http {

// Fills path and query from a request target: "/v1/jobs?limit=3", or "http://host/v1/jobs".
// False on a bad percent sequence, one of a letter, digit, "-", ".", "_" or "~" in the path, a
// decoded NUL or invalid UTF-8. "+" is a space in the query.
bool ParseTarget(std::string_view target, Request* request);

bool EqualsIgnoreCase(std::string_view a, std::string_view lower_case);
void ToLower(std::string* text);

// "name: value\r\n". Line breaks and other control characters become spaces: no header of ours
// can end the head early.
void AppendHeader(std::string* out, std::string_view name, std::string_view value);
// Headers the connection decides, whatever the caller has copied from somewhere else:
// Content-Length, Transfer-Encoding, Connection and their like.
bool IsConnectionHeader(std::string_view name);

// Request line and headers, the empty line at their end included. What would end a line early is
// escaped; the connection's own headers are ours.
struct ClientRequest;
std::string RequestHead(const ClientRequest& request, const std::string& host_port);
std::string_view ReasonPhrase(int status);         // "Not Found"
std::string FormatHttpDate(int64_t unix_seconds);  // "Sun, 06 Nov 1994 08:49:37 GMT"

// "127.0.0.1:7401", "[::1]:0", "localhost:8000". The host comes without brackets.
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
StatusOr<HostPort> ParseHostPort(std::string_view text);

// Asio opens descriptors that programs we start would inherit, and with them our ports and the
// connections we mean to close.
void SetCloseOnExec(int descriptor);
// A peer whose machine is gone says nothing, and neither does one that follows a silent log. The
// kernel asks after 30 s of silence, then every 10 s, and ends the connection after 3 without an
// answer: a minute, as on the links between our programs.
void KeepAlive(int descriptor);

}  // namespace allot::http
