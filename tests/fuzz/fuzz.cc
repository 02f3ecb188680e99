#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/base/text.h"

namespace allot::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<Target>& Registered() {
  static auto& targets = *new std::vector<Target>;
  return targets;
}

struct MemoryFolder {
  MemoryFolder() {
    const fs::path shm = "/dev/shm";
    std::string pattern =
        ((fs::is_directory(shm) ? shm : fs::temp_directory_path()) / "allot-fuzz-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~MemoryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string path;
};

}  // namespace

const std::vector<Target>& Targets() { return Registered(); }

bool Register(const char* name, Run run) {
  std::vector<Target>& targets = Registered();
  targets.push_back({name, run});
  std::sort(targets.begin(), targets.end(),
            [](const Target& a, const Target& b) { return a.name < b.name; });
  return true;
}

void DoesNotHold(const char* file, int line, const char* condition, std::string_view text) {
  std::string shown;
  for (const char c : text.substr(0, 2000)) {
    if (c >= ' ' && c <= '~')
      shown += c;
    else
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  std::fprintf(stderr, "%s:%d: does not hold: %s%s%s\n", file, line, condition,
               shown.empty() ? "" : "\n  ", shown.c_str());
  std::abort();
}

bool IsPlain(std::string_view text, bool lines) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\n' || c == '\t') {
      if (!lines) return false;
    } else if (c < 0x20 || c == 0x7F) {
      return false;
    } else if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      return false;  // the controls U+0080 to U+009F
    }
  }
  return true;
}

void HoldsOfError(const Status& status, size_t bytes_max) {
  const std::string message = MessageOf(status);
  HOLDS(!status.ok());
  HOLDS(!message.empty());
  HOLDS_FOR(IsValidUtf8(message), message);
  HOLDS_FOR(IsPlain(message, /*lines=*/true), message);
  HOLDS_FOR(message.size() <= bytes_max, message);
}

void HoldsOfInnerError(const Status& status) {
  HOLDS(!status.ok());
  HOLDS(!status.message().empty());
}

uint8_t Cut::Byte() { return static_cast<uint8_t>(Number(1)); }

uint64_t Cut::Number(int bytes) {
  uint64_t number = 0;
  for (int i = 0; i < bytes && !rest_.empty(); ++i) {
    number |= uint64_t{static_cast<unsigned char>(rest_.front())} << (8 * i);
    rest_.remove_prefix(1);
  }
  return number;
}

std::string_view Cut::Part() {
  const uint64_t length = Number(2);  // First: it takes from the rest.
  const std::string_view part = rest_.substr(0, length);
  rest_.remove_prefix(part.size());
  return part;
}

const std::string& Folder() {
  static const MemoryFolder folder;
  return folder.path;
}

void WriteFile(const std::string& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.flush();
  if (!out) std::abort();
}

}  // namespace allot::fuzz
