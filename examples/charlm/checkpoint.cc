#include "examples/charlm/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace charlm {
namespace {

namespace fs = std::filesystem;
constexpr char kMagic[8] = {'c', 'h', 'a', 'r', 'l', 'm', '0', '1'};
constexpr uint64_t kLongest = 1 << 24;

struct Sum {  // FNV-1a over everything before it
  uint64_t value = 0xcbf29ce484222325;
  void Add(const void* data, size_t size) {
    for (size_t i = 0; i < size; ++i)
      value = (value ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3;
  }
};

class Writer {
 public:
  explicit Writer(const std::string& path) : out_(path, std::ios::binary | std::ios::trunc) {}
  void Raw(const void* data, size_t size) {
    sum_.Add(data, size);
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
  }
  template <class Container>
  void List(const Container& items) {
    const uint64_t count = items.size();
    Raw(&count, sizeof count);
    Raw(items.data(), count * sizeof(items[0]));
  }
  bool Finish() {
    const uint64_t sum = sum_.value;
    out_.write(reinterpret_cast<const char*>(&sum), sizeof sum);
    out_.close();
    return !out_.fail();
  }

 private:
  std::ofstream out_;
  Sum sum_;
};

class Reader {
 public:
  explicit Reader(const std::string& path) : in_(path, std::ios::binary) {}
  bool Raw(void* data, size_t size) {
    if (!in_.read(static_cast<char*>(data), static_cast<std::streamsize>(size))) return false;
    sum_.Add(data, size);
    return true;
  }
  template <class Container>
  bool List(Container& items) {
    uint64_t count = 0;
    if (!Raw(&count, sizeof count) || count > kLongest) return false;
    items.resize(count);
    return Raw(items.data(), count * sizeof(items[0]));
  }
  bool Finish() {
    uint64_t sum = 0;
    const uint64_t expected = sum_.value;
    return Raw(&sum, sizeof sum) && sum == expected;
  }

 private:
  std::ifstream in_;
  Sum sum_;
};

std::optional<Checkpoint> Load(const std::string& path) {
  Reader in(path);
  char magic[sizeof kMagic];
  Checkpoint c;
  if (!in.Raw(magic, sizeof magic) || std::memcmp(magic, kMagic, sizeof magic) != 0)
    return std::nullopt;
  if (!in.Raw(&c.step, sizeof c.step) || !in.List(c.characters) || !in.List(c.parameters) ||
      !in.List(c.first) || !in.List(c.second) || !in.Finish())
    return std::nullopt;
  return c;
}

std::vector<fs::path> NewestFirst(const std::string& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == ".charlm") found.push_back(entry.path());
  std::sort(found.rbegin(), found.rend());  // names carry the step, zero-padded
  return found;
}

}  // namespace

bool SaveCheckpoint(const std::string& folder, const Checkpoint& checkpoint) {
  char name[64];
  std::snprintf(name, sizeof name, "step-%09lld.charlm", static_cast<long long>(checkpoint.step));
  const fs::path path = fs::path(folder) / name;
  const std::string unfinished = path.string() + ".unfinished";
  std::error_code error;
  fs::create_directories(folder, error);
  Writer out(unfinished);
  out.Raw(kMagic, sizeof kMagic);
  out.Raw(&checkpoint.step, sizeof checkpoint.step);
  out.List(checkpoint.characters);
  out.List(checkpoint.parameters);
  out.List(checkpoint.first);
  out.List(checkpoint.second);
  if (!out.Finish()) {
    std::fprintf(stderr, "charlm: cannot write %s: is the disk full, or the folder missing?\n",
                 unfinished.c_str());
    fs::remove(unfinished, error);
    return false;
  }
  fs::rename(unfinished, path, error);
  if (error) {
    std::fprintf(stderr, "charlm: cannot rename %s: %s\n", unfinished.c_str(),
                 error.message().c_str());
    return false;
  }
  const auto all = NewestFirst(folder);
  for (size_t i = 2; i < all.size(); ++i) fs::remove(all[i], error);
  return true;
}

std::optional<Checkpoint> LoadNewestCheckpoint(const std::string& folder) {
  for (const auto& path : NewestFirst(folder)) {
    if (auto checkpoint = Load(path.string())) return checkpoint;
    std::fprintf(stderr, "charlm: %s is damaged, trying the one before it\n", path.c_str());
  }
  return std::nullopt;
}

}  // namespace charlm
