// What a TLS server shows: certificate and key from files, and whose certificates it asks for.
//
// The files are looked at whenever somebody comes, and read again when they have changed; who is
// connected goes on with what was shown then. Files that turn unreadable, or do not belong
// together, leave what was read before in force, with an error in the log for every version of them
// and problem() for metrics; at the start they are an error. One thread.
#pragma once

#include <array>
#include <ctime>
#include <memory>
#include <string>

#include "common/base/file_stamp.h"
#include "common/base/status.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace allot::http {

struct TlsFiles {
  std::string certificate;     // PEM: the server's own first, then what has signed it
  std::string key = {};        // PEM; empty: it stands in the file of the certificate
  std::string client_ca = {};  // PEM; clients must show a certificate by one of these; empty: none
  bool operator==(const TlsFiles&) const = default;
};

// What the metrics of a program say of its certificate.
struct TlsState {
  std::time_t expires = 0;  // of the one that is shown
  bool stale = false;       // its files have changed and cannot be used
};

class TlsIdentity {
 public:
  static StatusOr<std::unique_ptr<TlsIdentity>> Load(TlsFiles files);
  ~TlsIdentity();
  TlsIdentity(const TlsIdentity&) = delete;
  TlsIdentity& operator=(const TlsIdentity&) = delete;

  // For the next connection; looks whether the files have changed.
  ssl_ctx_st* Current();
  TlsState State();  // likewise
  const Status& problem() const { return problem_; }

 private:
  struct Loaded;
  explicit TlsIdentity(TlsFiles files);
  static StatusOr<std::unique_ptr<Loaded>> Read(const TlsFiles& files);
  std::array<FileStamp, 3> Stamps() const;
  void Look();

  const TlsFiles files_;
  std::array<FileStamp, 3> stamps_;
  std::unique_ptr<Loaded> loaded_;
  Status problem_;
};

// The authority that has signed it, in PEM, where it is a private one: the file's chain ends in a
// certificate that has signed itself. Empty where it does not, or cannot be read.
std::string PrivateAuthorityOf(const std::string& certificate_file);

}  // namespace allot::http
