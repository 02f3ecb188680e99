// Addresses that one program tells another: "HOST:PORT", with "tcp://" before it or without;
// "https://" stands before those of HTTP where only TLS is spoken.
//
// Two things have an address each: where a program listens, and what others are told of it. Where
// it listens may be a wildcard ("0.0.0.0", "[::]", "*"), which means "here, wherever that is" and
// so means nothing elsewhere; loopback means something to programs of the same machine only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace allot {

struct Address {
  std::string scheme;  // "tcp://", "https://" or ""
  std::string host;    // an IPv6 address without its brackets
  std::string port;    // digits; a config is checked before it comes here
  std::string Text() const;
  bool operator==(const Address&) const = default;
};
// None: it has no port or no host, or an IPv6 address without brackets.
std::optional<Address> ParseAddress(std::string_view text);

// "head:7400" is "tcp://head:7400".
std::string WithScheme(std::string_view endpoint);

// What is told of a port of HTTP: "head:7401", or "https://head:7401" where it speaks TLS.
std::string WithTls(std::string address, bool tls);

// "fd00::1" and 7400 make "[fd00::1]:7400".
std::string JoinHostPort(std::string_view host, std::string_view port);

// The host of any address that binds everywhere; with or without brackets.
bool IsWildcardHost(std::string_view host);
// The same of "HOST:PORT", with a scheme or without. False for what is no address.
bool IsWildcardAddress(std::string_view address);
// Loopback of "HOST:PORT", with a scheme or without (IsLoopbackHost says what that is).
bool IsLoopbackAddress(std::string_view address);

// An IPv4 address that came over an IPv6 socket ("::ffff:10.0.0.1") is the IPv4 address.
std::string_view PlainHost(std::string_view host);

// What others are told of a program that is bound to `bound`: `advertise` if somebody wrote it
// down, else `bound`, with `host` in place of a wildcard.
std::string Advertised(std::string_view bound, std::string_view advertise, std::string_view host);

}  // namespace allot
