#include "agent/devices/host/library.h"

#include <dlfcn.h>

namespace allot::agent {

StatusOr<SharedLibrary> SharedLibrary::Open(const std::vector<std::string>& files) {
  std::string why;
  for (const std::string& file : files) {
    // Local: names of one vendor's library must not be taken for those of another's.
    if (void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr)
      return SharedLibrary(handle);
    const char* reason = dlerror();
    why += (why.empty() ? "" : "; ") + std::string(reason != nullptr ? reason : file);
  }
  return NotFound("{}", why.empty() ? "no library is to be opened" : why);
}

void* SharedLibrary::Symbol(const char* name) const { return dlsym(handle_.get(), name); }

void SharedLibrary::Close::operator()(void* handle) const { dlclose(handle); }

}  // namespace allot::agent
