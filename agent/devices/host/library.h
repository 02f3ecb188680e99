// A vendor's library, opened at run time and never linked: an agent without it runs as well.
//
// Opening one runs its start-up code, which may hang as its functions may: only on the thread of a
// vendor that says so (may_hang), and never for a recorded machine, whose libraries are not here.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace allot::agent {

class SharedLibrary {
 public:
  // The first of `files` that can be opened: a name ("libhlml.so"), looked for where the loader
  // looks, or a path. NotFound: none can, which is how a machine without such devices looks; the
  // message has the loader's reasons.
  static StatusOr<SharedLibrary> Open(const std::vector<std::string>& files);

  // False, and null in `function`, if the library has none of that name. The caller vouches for
  // the type.
  template <class F>
  bool Find(const char* name, F** function) const {
    *function = reinterpret_cast<F*>(Symbol(name));
    return *function != nullptr;
  }

 private:
  struct Close {
    void operator()(void* handle) const;
  };
  explicit SharedLibrary(void* handle) : handle_(handle) {}
  void* Symbol(const char* name) const;
  std::unique_ptr<void, Close> handle_;
};

// One that is open and started, with the functions of it that a vendor uses. At the end it is shut
// down, if it was told how, and closed.
template <class Api>
class VendorLibrary {
 public:
  explicit VendorLibrary(SharedLibrary opened) : file(std::move(opened)) {}
  VendorLibrary(const VendorLibrary&) = delete;
  VendorLibrary& operator=(const VendorLibrary&) = delete;
  ~VendorLibrary() {
    if (shut_down != nullptr) shut_down();
  }

  const SharedLibrary file;
  Api api;
  int (*shut_down)() = nullptr;  // set once it has started
};

}  // namespace allot::agent
