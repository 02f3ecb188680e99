// What every command shares: where the scheduler is, how to print, what to run after parsing.
//
// The scheduler's address is the first of: --server, $ALLOT_SERVER, the local cluster of this
// folder (./.allotrope, made by `allot local up`), client.yaml ($ALLOT_DIR, ~/.config/allotrope,
// /etc/allotrope), http://127.0.0.1:7401. Each may be several, separated by commas (a list in
// client.yaml): the first that answers is asked. The token: --token-file, then $ALLOT_TOKEN, then
// that of client.yaml, which goes to the servers named there and to no others.
// Whom to believe over https: --ca, then $ALLOT_CA, then `ca_file` of that client.yaml, and nobody
// else then; else the system's certificates and the cluster's ca.crt, if one lies beside the token
// file, in $ALLOT_DIR, ~/.config/allotrope or /etc/allotrope (where `allot node join` puts it).
// A scheduler that is away is waited for (patience.h), unless nobody said that there is one: then
// the address is only our guess.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/api.h"
#include "common/base/status.h"

namespace allot::client {

struct Session {
  // Flags.
  std::string server, token_file, patience, ca, certificate;
  bool plain_tokens = false;
  bool json = false;
  std::optional<double> watch_seconds;
  // Everything after the first "--" of the command line.
  std::vector<std::string> trailing;
  bool has_trailing = false;

  // Set by the command that was parsed; returns the exit code.
  std::function<StatusOr<int>()> action;

  // Where to ask. Of several servers the first that answers; Unavailable with what each said.
  StatusOr<Endpoint> FindEndpoint() const;
  StatusOr<std::unique_ptr<Api>> Connect() const;

  // Prints what `render` gives: once, or again and again with --watch (until interrupted; one that
  // was there once is waited for without end).
  StatusOr<int> Show(const std::function<StatusOr<std::string>()>& render) const;
};

inline constexpr char kDefaultServer[] = "http://127.0.0.1:7401";
inline constexpr char kLocalFolder[] = ".allotrope";

// The message a person gets: "allot: …", with a hint for what can be done about it.
std::string Complaint(const Status& status);

// With a newline at the end; what steers terminals is shown instead (printable.h).
void Print(const std::string& text);     // to standard output
void Say(const std::string& text);       // to standard error
void PrintRaw(const std::string& text);  // to standard output, byte by byte: a file's text
void Pause(Duration time);               // between two looks; ends early on a signal

}  // namespace allot::client
