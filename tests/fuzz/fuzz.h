// Fuzz targets (ADR 24): each is one decoder of bytes from outside, and what must hold of it
// whatever it is given.
//
// A target is a file in targets/ that ends in FUZZ(name) { … input … }. The same code runs in two
// programs: fuzz_NAME under libFuzzer, which makes inputs up (scripts/fuzz.sh), and test_fuzz,
// which gives every target the seeds in seeds/NAME as an ordinary test. So a target keeps nothing
// from one input to the next, and what it does depends on the input alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace allot::fuzz {

using Run = void (*)(std::string_view input);
struct Target {
  std::string name;
  Run run;
};
const std::vector<Target>& Targets();  // of this program, by name
bool Register(const char* name, Run run);

#define FUZZ(name)                                               \
  static void Fuzz_##name(std::string_view input);               \
  [[maybe_unused]] static const bool fuzz_is_registered_##name = \
      ::allot::fuzz::Register(#name, Fuzz_##name);               \
  static void Fuzz_##name([[maybe_unused]] std::string_view input)

// What must hold. Ends the program, as libFuzzer wants it: the input is then kept.
#define HOLDS(condition)                                          \
  do {                                                            \
    if (!(condition)) [[unlikely]]                                \
      ::allot::fuzz::DoesNotHold(__FILE__, __LINE__, #condition); \
  } while (false)
// The same, with a text that helps to see why: printed escaped.
#define HOLDS_FOR(condition, text)                                      \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::allot::fuzz::DoesNotHold(__FILE__, __LINE__, #condition, text); \
  } while (false)
[[noreturn]] void DoesNotHold(const char* file, int line, const char* condition,
                              std::string_view text = {});

// What any error of ours must be, since it is told to people and programs: a text in UTF-8 that
// steers no terminal and begins no line but at its own line breaks, and no longer than `bytes_max`
// however long what is wrong was.
void HoldsOfError(const Status& status, size_t bytes_max = 8 << 10);
// The same of one that is not told as it is: who logs it or answers with it quotes it
// (record_log.h, JSON), as it names what is not known to be text.
void HoldsOfInnerError(const Status& status);
// No control characters; line breaks and tabs only where `lines` says so.
bool IsPlain(std::string_view text, bool lines);

// An input taken apart: small numbers that choose, then parts, then the rest. What is not there is
// zero or empty, so that every input means something.
class Cut {
 public:
  explicit Cut(std::string_view input) : rest_(input) {}
  uint8_t Byte();
  uint64_t Number(int bytes);  // little endian
  std::string_view Part();     // two bytes of length, then so many
  std::string_view Rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

// A folder of this process in memory, where there is one, for what reads files; empty at first.
// Removed when the program ends rightly.
const std::string& Folder();
void WriteFile(const std::string& path, std::string_view text);

}  // namespace allot::fuzz
