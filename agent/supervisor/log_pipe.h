// The way of a process's output into its log: through a pipe, written down by the supervisor.
//
// The process never holds its log, so it cannot cut it, put something else in its place, or fill
// the disk with it: the log is bounded while it is written, by whoever writes it, at any speed. And
// a disk that takes nothing more is the node's trouble: output is lost and counted, while the
// process runs on as if it had been written.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "agent/supervisor/sys.h"

namespace allot::supervisor {

class Text {
 public:
  Text& Add(const char* text) {
    while (*text != '\0' && size_ < sizeof text_) text_[size_++] = *text++;
    return *this;
  }
  Text& Add(uint64_t number) {
    char digits[24];
    int at = sizeof digits - 1;
    digits[at] = '\0';
    do digits[--at] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    return Add(digits + at);
  }
  Text& AddBytes(uint64_t bytes) {
    static const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; unit < 4 && bytes >= 1024 && bytes % 1024 == 0; ++unit) bytes /= 1024;
    return Add(bytes).Add(units[unit]);
  }
  const char* data() const { return text_; }
  size_t size() const { return size_; }

 private:
  char text_[256];
  size_t size_ = 0;
};

class LogPipe {
 public:
  // `bytes_max`: what the log may take of the disk; at least kBytesMin. `free_min`: what is to stay
  // free there; below it the log gives back what it can and grows no more.
  LogPipe(uint64_t bytes_max, uint64_t free_min) : bytes_max_(bytes_max), free_min_(free_min) {
    if (bytes_max_ == 0) bytes_max_ = uint64_t{1} << 30;
    if (bytes_max_ < kBytesMin) bytes_max_ = kBytesMin;
  }

  // Opens the log and puts the pipe where the process will have its output. -errno.
  long Open(const char* path) {
    path_ = path;
    log_ = OpenLog(O_WRONLY | O_CREAT | O_APPEND);
    if (log_ < 0) return log_;
    int ends[2];
    if (const long error = sys::Call(SYS_pipe2, sys::Word(ends), O_CLOEXEC); error < 0)
      return error;
    read_ = ends[0];
    sys::Call(SYS_fcntl, read_, F_SETFL, O_NONBLOCK);
    // So that /dev/stdout can be opened, whoever the process becomes: no other has a way to it.
    sys::Call(SYS_fchmod, ends[1], 0622);
    for (int fd = 1; fd <= 2; ++fd)
      if (const long error = sys::Call(SYS_dup3, ends[1], fd, 0); error < 0) return error;
    sys::Call(SYS_close, ends[1]);
    return 0;
  }
  // So that the user whose process it becomes, and nobody else, can open /dev/stdout. The log stays
  // ours. Before LeaveWriting; -errno.
  long GiveWriting(long uid, long gid) {
    if (const long error = sys::Call(SYS_fchmod, 1, 0200); error < 0) return error;
    return sys::Call(SYS_fchown, 1, uid, gid);
  }
  // Once the process has it.
  void LeaveWriting() {
    for (int fd = 1; fd <= 2; ++fd) sys::Call(SYS_dup3, 0, fd, 0);
  }
  int fd() const { return static_cast<int>(read_); }

  // Writes down one buffer of what there is. False: nothing is there now, or will ever come.
  bool Pump() {
    static char buffer[64 << 10];
    long size;
    do size = sys::Call(SYS_read, read_, sys::Word(buffer), sizeof buffer);
    while (size == -EINTR);
    if (size == 0) ended_ = true;
    if (size <= 0) return false;
    // Room is made before it is used.
    if ((unlooked_ += static_cast<uint64_t>(size)) >= kLookEvery) Look();
    if (lost_ > 0) TellLost();
    Write(buffer, static_cast<size_t>(size));
    return true;
  }
  bool ended() const { return ended_; }

 private:
  static constexpr uint64_t kBlock = 64 << 10;  // a multiple of any file system's
  static constexpr uint64_t kLookEvery = 128 << 10;
  static constexpr uint64_t kBytesMin = 512 << 10;
  static constexpr uint64_t kWhenShort = 4 << 20;

  // What stands at its name may be anything; only a file of one name is written to.
  long OpenLog(long flags) {
    const long fd = sys::Call(SYS_openat, AT_FDCWD, sys::Word(path_),
                              flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) return fd;
    struct stat info;
    if (sys::Call(SYS_fstat, fd, sys::Word(&info)) == 0 && S_ISREG(info.st_mode) &&
        info.st_nlink == 1)
      return fd;
    sys::Call(SYS_close, fd);
    return -EINVAL;
  }

  void Write(const char* data, size_t size) {
    for (bool gave_way = false; size > 0;) {
      const long written = sys::Call(SYS_write, log_, sys::Word(data), static_cast<long>(size));
      if (written == -EINTR) continue;
      if ((written == -ENOSPC || written == -EDQUOT) && !gave_way) {
        gave_way = true;  // Better the end of it than the beginning.
        GiveWay();
        continue;
      }
      if (written <= 0) {
        lost_ += size;
        return;
      }
      data += written;
      size -= static_cast<size_t>(written);
    }
  }

  void TellLost() {
    Text text;
    text.Add("\n[allotrope] ")
        .Add(lost_)
        .Add(" bytes of output before this line were lost: the node could not write them\n");
    const long written =
        sys::Call(SYS_write, log_, sys::Word(text.data()), static_cast<long>(text.size()));
    if (written == static_cast<long>(text.size())) lost_ = 0;
  }

  void Look() {
    unlooked_ = 0;
    struct stat info;
    if (sys::Call(SYS_fstat, log_, sys::Word(&info)) != 0) return;
    uint64_t most = bytes_max_;
    struct statfs disk;
    if (sys::Call(SYS_fstatfs, log_, sys::Word(&disk)) == 0 &&
        static_cast<uint64_t>(disk.f_bavail) * static_cast<uint64_t>(disk.f_bsize) < free_min_ &&
        kWhenShort < most)
      most = kWhenShort;
    const uint64_t taken = static_cast<uint64_t>(info.st_blocks) * 512;
    if (taken + kLookEvery + kBlock > most)
      GiveBack(static_cast<uint64_t>(info.st_size), most / 2, most);
  }

  void GiveWay() {
    struct stat info;
    if (sys::Call(SYS_fstat, log_, sys::Word(&info)) != 0) return;
    const uint64_t taken = static_cast<uint64_t>(info.st_blocks) * 512;
    if (taken >= 4 * kBlock) GiveBack(static_cast<uint64_t>(info.st_size), taken / 2, taken);
  }

  // The log keeps its length and its readers their offsets; the space of all but its end goes.
  void GiveBack(uint64_t size, uint64_t kept, uint64_t most) {
    if (size <= kept) return;
    const uint64_t given = (size - kept) / kBlock * kBlock;
    if (given == 0) return;
    Text text;
    text.Add("\n[allotrope] the ")
        .AddBytes(given)
        .Add(" before this line were given back: a log keeps ");
    text.AddBytes(most).Add(" at most (log_max), less when the disk is full\n");
    const long done = sys::Call(SYS_fallocate, log_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                                static_cast<long>(given));
    if (done == 0) {
      // Not appended: it stands where the rest begins. A reader finds zeros before it.
      const long fd = OpenLog(O_WRONLY);
      if (fd < 0) return;
      struct stat ours, there;
      if (sys::Call(SYS_fstat, log_, sys::Word(&ours)) == 0 &&
          sys::Call(SYS_fstat, fd, sys::Word(&there)) == 0 && ours.st_ino == there.st_ino &&
          ours.st_dev == there.st_dev)
        sys::Call(SYS_pwrite64, fd, sys::Word(text.data()), static_cast<long>(text.size()),
                  static_cast<long>(given - text.size()));
      sys::Call(SYS_close, fd);
    } else if (done == -EOPNOTSUPP && sys::Call(SYS_ftruncate, log_, 0) == 0) {
      // A file system without holes: better no beginning than a full disk.
      Write(text.data(), text.size());
    }
  }

  uint64_t bytes_max_;
  const uint64_t free_min_;
  const char* path_ = nullptr;
  long log_ = -1, read_ = -1;
  uint64_t unlooked_ = kLookEvery;  // what an earlier writer has left is looked at first
  uint64_t lost_ = 0;
  bool ended_ = false;
};

}  // namespace allot::supervisor
