// A certificate authority for one test: made when the test starts, gone when it ends.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace allot::testing {

struct Certificate {
  std::string certificate, key;  // PEM
};

class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();
  const std::string& certificate() const { return pem_; }  // self-signed, PEM
  // For a server called by `names`: "DNS:localhost", "IP:127.0.0.1".
  Certificate Issue(const std::vector<std::string>& names, bool expired = false) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string pem_;
};

}  // namespace allot::testing
