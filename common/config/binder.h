// A tree into a message, by reflection. Internal to common/config.
#pragma once

#include <string>
#include <vector>

#include "common/config/schema.h"
#include "common/config/tree.h"
#include "google/protobuf/message.h"

namespace allot::config {

class Binder {
 public:
  static constexpr size_t kErrorsMax = 10;

  // `file_name` begins every place of a YAML file; empty: places are paths, after `before`, which
  // names a JSON file ("job.json: "). `folder` is what relative `file` fields are relative to;
  // empty: they stay as they are.
  Binder(const Tree& tree, std::string file_name, std::string folder, std::string before = "")
      : tree_(tree),
        file_name_(std::move(file_name)),
        folder_(std::move(folder)),
        before_(std::move(before)) {}
  // Once. On an error `out` is left empty.
  Status Bind(google::protobuf::Message* out);

 private:
  using Message = google::protobuf::Message;
  struct Path {  // From a value up to the root; lives on the stack, spelled out only for errors.
    const Path* up;
    std::string_view name;
    size_t index;  // of a list's item; it has no name (null, not just empty)
    bool is_item() const { return name.data() == nullptr; }
  };

  void BindMessage(const Node& node, const Schema& schema, Message* out, const Path* path);
  void BindField(const Node& node, const Field& field, Message* out, const Path* path);
  // "gpu:2" where a map would say the same at length. False: it is not written like that.
  bool BindShort(const Node& node, const Field& field, Message* out, const Path* path);
  void BindDevice(const Node& node, Message* out, const Path* path);
  void BindList(const Node& node, const Field& field, Message* out, const Path* path);
  void BindMap(const Node& node, const Field& field, Message* out, const Path* path);
  // Sets the field, or adds to it if it is a list.
  void BindScalar(const Node& node, const Field& field, Message* out, const Path* path);
  void UnknownKey(const Node& node, const Schema& schema, const Path* path);

  static std::string Spell(const Path* path);
  // The last part, with its indices: "command[2]".
  static std::string Name(const Path* path);
  void Error(Place at, const Path* path, std::string_view text);
  void ErrorOf(const Node& node, const Path* path, const Status& status);

  const Tree& tree_;
  const std::string file_name_, folder_, before_;
  std::vector<std::string> errors_;
  bool more_ = false;  // Errors than are told: the walk ends, or a hostile body would keep us busy.
};

}  // namespace allot::config
