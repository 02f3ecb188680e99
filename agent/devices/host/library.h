// A vendor's library, opened at run time and never linked: an agent without it runs as well.
//
// Opening one runs its start-up code, which may hang as its functions may: only on the thread of a
// vendor that says so (may_hang), and never for a recorded machine, whose libraries are not here.
#pragma once

#include <memory>
#include <string>
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

}  // namespace allot::agent
