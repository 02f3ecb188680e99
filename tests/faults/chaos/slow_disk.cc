// Preloaded into a program, makes its disk slow: fsync and fdatasync take as many milliseconds
// longer as stands in the file that CHAOS_DISK names, read anew each time, so that it changes while
// the program runs.
//
// A device mapper or a throttled cgroup would be nearer to a disk; many hosts lack the one's module
// and the other's controller. What a slow disk does to a program is that its syncs take long.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

namespace {

void Wait() {
  const char* path = getenv("CHAOS_DISK");
  if (path == nullptr) return;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  char digits[16] = {};
  const ssize_t n = read(fd, digits, sizeof(digits) - 1);
  close(fd);
  const int milliseconds = n > 0 ? atoi(digits) : 0;
  if (milliseconds > 0) poll(nullptr, 0, milliseconds);
}

int Next(const char* name, int fd) {
  return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) {
  Wait();
  return Next("fsync", fd);
}

extern "C" int fdatasync(int fd) {
  Wait();
  return Next("fdatasync", fd);
}
