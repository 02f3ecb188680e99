#include "agent/devices/furiosa/parts.h"

#include <algorithm>
#include <optional>
#include <set>

namespace allot::agent {
namespace {

constexpr std::string_view kVariable = "FURIOSA_DEVICES";
// Elements are fused in aligned runs of so many (furiosa-device: fused device files).
constexpr uint32_t kFused[] = {4, 2};

// "/dev/rngd/npu0pe2-3" → {"/dev/rngd/npu0pe", 2, 3}.
struct ElementFile {
  std::string prefix;
  uint32_t first = 0, last = 0;
};
std::optional<ElementFile> ParseFile(const std::string& path) {
  const size_t at = path.rfind("pe");
  if (at == path.npos) return std::nullopt;
  const std::vector<std::string_view> ends = Split(std::string_view(path).substr(at + 2), '-');
  if (ends.empty() || ends.size() > 2) return std::nullopt;
  const auto first = NumberAfter(ends.front(), ""), last = NumberAfter(ends.back(), "");
  if (!first || !last) return std::nullopt;
  return ElementFile{path.substr(0, at + 2), *first, *last};
}

// "npu:0:2" → NPU 0, element 2; "npu:0" → NPU 0.
struct Word {
  uint32_t npu = 0;
  std::optional<uint32_t> element;
};
std::optional<Word> ParseWord(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() < 2 || parts.size() > 3 || parts[0] != "npu") return std::nullopt;
  const auto npu = NumberAfter(parts[1], "");
  if (!npu) return std::nullopt;
  if (parts.size() == 2) return Word{*npu, std::nullopt};
  const auto element = NumberAfter(parts[2], "");
  return element ? std::optional<Word>(Word{*npu, *element}) : std::nullopt;
}

bool HasAll(const std::set<uint32_t>& set, uint32_t first, uint32_t count) {
  for (uint32_t i = first; i < first + count; ++i)
    if (!set.contains(i)) return false;
  return true;
}

}  // namespace

StatusOr<std::vector<FoundDevice>> SplitFuriosa(const FoundDevice& whole) {
  const Device& npu = whole.device;
  const auto word = npu.visible_variable == kVariable ? ParseWord(npu.visible_value) : std::nullopt;
  if (!word || word->element) return NotFound("its number among the NPUs is not known");
  std::map<uint32_t, std::string> files;
  std::vector<std::string> common = npu.shared_nodes;
  for (const std::string& path : npu.nodes) {
    const auto file = ParseFile(path);
    if (!file) {
      common.push_back(path);
    } else if (file->first == file->last) {
      files[file->first] = path;
    }
  }
  if (files.empty()) return NotFound("its elements have no device files");
  std::vector<FoundDevice> parts;
  for (const auto& [element, path] : files) {
    FoundDevice part = whole;
    part.device.visible_value = fmt::format("npu:{}:{}", word->npu, element);
    part.device.nodes = {path};
    part.device.shared_nodes = common;
    part.device.isolation = Isolation::kNone;
    parts.push_back(std::move(part));
  }
  return parts;
}

SetAccess JoinFuriosa(const Leased& leased, const std::vector<DeviceGroup>&) {
  std::vector<std::string> words;
  std::map<uint32_t, std::set<uint32_t>> elements;
  SetAccess access;
  for (const Device* device : leased) {
    const auto word =
        device->visible_variable == kVariable ? ParseWord(device->visible_value) : std::nullopt;
    if (!word) return {};
    if (word->element) {
      elements[word->npu].insert(*word->element);
    } else {
      words.push_back(device->visible_value);
    }
  }
  if (elements.empty()) return {};
  // Every fused file whose elements are all leased, whichever the program opens.
  for (const Device* device : leased)
    for (const std::string& path : device->nodes)
      if (const auto file = ParseFile(path); file && file->first == file->last)
        for (const uint32_t count : kFused)
          if (const auto word = ParseWord(device->visible_value);
              word->element && file->first % count == 0 &&
              HasAll(elements[word->npu], file->first, count))
            access.nodes.push_back(
                fmt::format("{}{}-{}", file->prefix, file->first, file->first + count - 1));
  for (auto& [npu, left] : elements) {
    while (!left.empty()) {
      const uint32_t first = *left.begin();
      uint32_t count = 1;
      for (const uint32_t fused : kFused)
        if (first % fused == 0 && HasAll(left, first, fused)) {
          count = fused;
          break;
        }
      words.push_back(count == 1 ? fmt::format("npu:{}:{}", npu, first)
                                 : fmt::format("npu:{}:{}-{}", npu, first, first + count - 1));
      for (uint32_t i = first; i < first + count; ++i) left.erase(i);
    }
  }
  std::string& value = access.environment[std::string(kVariable)];
  for (const std::string& word : words) value += (value.empty() ? "" : ",") + word;
  return access;
}

}  // namespace allot::agent
