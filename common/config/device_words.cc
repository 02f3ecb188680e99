#include "common/config/device_words.h"

#include <algorithm>
#include <charconv>

#include "common/base/printable.h"
#include "common/config/binder.h"
#include "common/config/scalars.h"
#include "common/config/tree.h"
#include "common/model/device.h"

namespace allot::config {
namespace {

std::string_view TakePart(std::string_view* rest, char until) {
  const std::string_view part = rest->substr(0, rest->find(until));
  rest->remove_prefix(std::min(part.size() + 1, rest->size()));
  return part;
}

bool IsCount(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<DeviceKind> KindOf(std::string_view word) {
  std::string upper(word);
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return ParseDeviceKind(upper);
}

// What batch systems write: a kind or a model, then a type, then how many.
class Words {
 public:
  explicit Words(std::string_view text) {
    for (std::string_view rest = text; !rest.empty();) parts_.push_back(TakePart(&rest, ':'));
    if (text.ends_with(':')) parts_.push_back("");
  }

  Status Build(TreeBuilder* builder) {
    std::string_view count;
    if (parts_.size() > 1 && IsCount(parts_.back())) {
      count = parts_.back();
      parts_.pop_back();
    }
    const bool empty = std::any_of(parts_.begin(), parts_.end(),
                                   [](std::string_view part) { return part.empty(); });
    if (parts_.empty() || parts_.size() > 2 || empty || IsCount(parts_.front()))
      return InvalidArgument("write it like gpu:2, gpu:h100:2 or kind=GPU,count=2");
    const auto kind = KindOf(parts_.front());
    if (!kind && parts_.size() > 1)
      return InvalidArgument("\"{}\" is no kind; it is one of gpu, cpu, asic",
                             allot::Shown(parts_.front()));
    if (!kind && parts_.front().find_first_of("/*?") == std::string_view::npos)
      return InvalidArgument(
          "\"{}\" is no kind (gpu, cpu, asic); a model is written like nvidia/h100* or gpu:h100",
          allot::Shown(parts_.front()));
    RETURN_IF_ERROR(kind ? Put(builder, "kind", std::string(ToString(*kind)))
                         : Put(builder, "model", std::string(parts_.front())));
    if (parts_.size() == 2) {
      // A bare type is part of a model's name, as everybody says it: h100, mi300x, l4.
      const bool whole = parts_[1].find_first_of("/*?") != std::string_view::npos;
      const std::string type(parts_[1]);
      RETURN_IF_ERROR(Put(builder, "model", whole ? type : "*/" + type + "*"));
    }
    return count.empty() ? absl::OkStatus() : Put(builder, "count", std::string(count));
  }

 private:
  static Status Put(TreeBuilder* builder, std::string_view key, std::string value) {
    builder->Key(key, {});
    return builder->Scalar({.type = NodeType::kPlain, .text = builder->Keep(std::move(value))});
  }

  std::vector<std::string_view> parts_;
};

}  // namespace

Status ReadDeviceWords(std::string_view text, DeviceRequest* out) {
  Tree tree;
  TreeBuilder builder(&tree);
  RETURN_IF_ERROR(builder.Begin(NodeType::kMap, {}));
  if (text.find('=') == std::string_view::npos && !text.empty()) {
    RETURN_IF_ERROR(Words(text).Build(&builder));
  }
  for (std::string_view rest = text.find('=') == std::string_view::npos ? "" : text;
       !rest.empty();) {
    const std::string_view item = TakePart(&rest, ',');
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      return InvalidArgument("\"{}\" has no '='; write it like kind=GPU,count=2",
                             allot::Shown(item));
    }
    builder.Key(item.substr(0, equals), {});
    RETURN_IF_ERROR(builder.Scalar({.type = NodeType::kPlain, .text = item.substr(equals + 1)}));
  }
  builder.End();
  return Binder(tree, "", "").Bind(out);
}

}  // namespace allot::config
