#include "common/config/binder.h"

#include <bitset>
#include <filesystem>
#include <limits>
#include <set>

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/config/bind.h"
#include "common/config/device_words.h"
#include "common/config/scalars.h"
#include "common/proto/config.pb.h"

namespace allot::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Reflection;

constexpr size_t kFieldsMax = 64;

bool IsScalar(const Node& node) {
  return node.type != NodeType::kList && node.type != NodeType::kMap &&
         node.type != NodeType::kNull;
}

// A key as errors show it: no line breaks, not endless.
std::string Clean(std::string_view key) {
  const std::string quoted = ShownText(key);
  return quoted.substr(1, quoted.size() - 2);
}

std::string Absolute(const std::string& folder, std::string value) {
  if (folder.empty() || value.empty()) return value;
  return (std::filesystem::path(folder) / value).lexically_normal().string();
}

}  // namespace

Status Binder::Bind(google::protobuf::Message* out) {
  out->Clear();
  const Schema& schema = SchemaOf(out->GetDescriptor());
  const Node& root = tree_.root();
  if (root.type != NodeType::kMap) {
    Error(root.at, nullptr,
          fmt::format("the document is {}; a map with the keys of {} is wanted", Shown(root),
                      schema.name));
  } else {
    BindMessage(root, schema, out, nullptr);
  }
  if (errors_.empty()) return absl::OkStatus();
  out->Clear();
  if (more_) errors_.push_back("and more");
  return InvalidArgument("{}", fmt::join(errors_, "\n"));
}

void Binder::BindMessage(const Node& node, const Schema& schema, Message* out, const Path* path) {
  std::bitset<kFieldsMax> seen;
  CHECK(schema.fields.size() <= kFieldsMax);
  for (const Node* value = tree_.child(node); value != nullptr && !more_;
       value = tree_.next(*value)) {
    const Field* field = schema.Find(value->key);
    const Path here{path, value->key, 0};
    if (field == nullptr) {
      UnknownKey(*value, schema, &here);
      continue;
    }
    const auto index = static_cast<size_t>(field - schema.fields.data());
    if (seen[index]) {
      Error(value->key_at, &here, fmt::format("key \"{}\" is here twice", value->key));
      continue;
    }
    seen[index] = true;
    BindField(*value, *field, out, &here);
  }
  for (size_t i = 0; i < schema.fields.size(); ++i) {
    const Field& field = schema.fields[i];
    if (!field.rule->required() || seen[i]) continue;
    const Path missing{path, field.name, 0};
    Error(node.at, &missing, fmt::format("{} needs \"{}\"", schema.name, field.name));
  }
}

void Binder::BindField(const Node& node, const Field& field, Message* out, const Path* path) {
  if (node.type == NodeType::kNull) {
    // JSON writers spell "absent" as null; in YAML a key without a value is a slip.
    if (file_name_.empty() && !field.rule->required()) return;
    Error(node.key_at, path,  // There is nothing at its own place.
          fmt::format("{} has no value; give one or remove the key{}", Name(path),
                      field.message != nullptr && !field.field->is_repeated()
                          ? " (an empty map is {})"
                          : ""));
    return;
  }
  if (field.field->is_map()) return BindMap(node, field, out, path);
  if (field.field->is_repeated()) return BindList(node, field, out, path);
  if (field.message == nullptr) return BindScalar(node, field, out, path);
  if (BindShort(node, field, out, path)) return;
  if (node.type != NodeType::kMap) {
    Error(node.at, path,
          fmt::format("{} is {}; a map with the keys of {} is wanted", Name(path), Shown(node),
                      field.message->name));
    return;
  }
  BindMessage(node, *field.message, out->GetReflection()->MutableMessage(out, field.field), path);
}

bool Binder::BindShort(const Node& node, const Field& field, Message* out, const Path* path) {
  const auto* type = field.field->message_type();
  const auto mutable_message = [&] {
    return out->GetReflection()->MutableMessage(out, field.field);
  };
  if (type == DeviceRequest::descriptor() && IsScalar(node)) {
    BindDevice(node, mutable_message(), path);
    return true;
  }
  // The alternatives, without saying that they are alternatives.
  if (type == Devices::descriptor() && (IsScalar(node) || node.type == NodeType::kList)) {
    auto* devices = dynamic_cast<Devices*>(mutable_message());
    if (IsScalar(node)) {
      BindDevice(node, devices->add_any_of(), path);
    } else {
      BindList(node, *field.message->Find("any_of"), devices, path);
    }
    return true;
  }
  return false;
}

void Binder::BindDevice(const Node& node, Message* out, const Path* path) {
  if (node.type != NodeType::kString && node.type != NodeType::kPlain) {
    return Error(node.at, path,
                 fmt::format("{} is {}; write it like gpu:2 or {{kind: GPU, count: 2}}", Name(path),
                             Shown(node)));
  }
  const Status status = ReadDeviceWords(node.text, dynamic_cast<DeviceRequest*>(out));
  if (!status.ok())
    Error(node.at, path,
          fmt::format("{} is {}: {}", Name(path), ShownText(node.text), MessageOf(status)));
}

void Binder::BindList(const Node& node, const Field& field, Message* out, const Path* path) {
  if (field.rule->one_or_list() && IsScalar(node)) return BindScalar(node, field, out, path);
  if (node.type != NodeType::kList) {
    const bool argv = field.name == "command" && IsScalar(node);
    Error(node.at, path,
          argv ? fmt::format("{} is one string; write an argument vector, like "
                             "[\"python3\", \"train.py\"] (no shell reads it)",
                             Name(path))
               : fmt::format("{} is {}; a list is wanted", Name(path), Shown(node)));
    return;
  }
  if (field.rule->required() && node.children == 0) {
    Error(node.at, path, fmt::format("{} is empty; give at least one item", Name(path)));
    return;
  }
  if (field.rule->length_max() != 0 && node.children > field.rule->length_max()) {
    Error(node.at, path,
          fmt::format("{} has {} items; at most {} are taken", Name(path), node.children,
                      field.rule->length_max()));
    return;
  }
  size_t index = 0;
  for (const Node* item = tree_.child(node); item != nullptr && !more_; item = tree_.next(*item)) {
    const Path here{path, std::string_view(), index++};
    if (field.message == nullptr) {
      BindScalar(*item, field, out, &here);
    } else if (field.field->message_type() == DeviceRequest::descriptor() && IsScalar(*item)) {
      BindDevice(*item, out->GetReflection()->AddMessage(out, field.field), &here);
    } else if (item->type != NodeType::kMap) {
      Error(item->at, &here,
            fmt::format("{} is {}; a map with the keys of {} is wanted", Name(&here), Shown(*item),
                        field.message->name));
    } else {
      BindMessage(*item, *field.message, out->GetReflection()->AddMessage(out, field.field), &here);
    }
  }
}

void Binder::BindMap(const Node& node, const Field& field, Message* out, const Path* path) {
  if (node.type != NodeType::kMap) {
    Error(node.at, path, fmt::format("{} is {}; a map is wanted", Name(path), Shown(node)));
    return;
  }
  const auto* entry_type = field.field->message_type();
  const Field value_field{entry_type->map_value(), "", &Rule::default_instance(), nullptr};
  std::set<std::string_view> seen;
  for (const Node* item = tree_.child(node); item != nullptr && !more_; item = tree_.next(*item)) {
    const Path here{path, item->key, 0};
    if (!seen.insert(item->key).second) {
      Error(item->key_at, &here, fmt::format("key {} is here twice", ShownText(item->key)));
      continue;
    }
    const auto key = StringValue({.type = NodeType::kString, .text = item->key}, Rule());
    if (!key.ok()) {
      Error(item->key_at, &here, fmt::format("a key {}", MessageOf(key.status())));
      continue;
    }
    Message* entry = out->GetReflection()->AddMessage(out, field.field);
    entry->GetReflection()->SetString(entry, entry_type->map_key(), *key);
    BindScalar(*item, value_field, entry, &here);
  }
}

void Binder::BindScalar(const Node& node, const Field& field, Message* out, const Path* path) {
  const FieldDescriptor* to = field.field;
  const Reflection* reflection = out->GetReflection();
  const bool list = to->is_repeated();
  if (node.type == NodeType::kNull) {
    Error(node.key_at.line != 0 ? node.key_at : node.at, path,
          fmt::format("{} has no value; an empty string is written \"\"", Name(path)));
    return;
  }
  switch (to->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING: {
      auto value = StringValue(node, *field.rule, list);
      if (!value.ok()) return ErrorOf(node, path, value.status());
      if (field.rule->file()) *value = Absolute(folder_, *std::move(value));
      if (!IsValidUtf8(*value))
        return Error(node.at, path,
                     fmt::format("{} is in a folder whose path is not valid UTF-8; give a path "
                                 "that is",
                                 Name(path)));
      if (list) return reflection->AddString(out, to, *std::move(value));
      return reflection->SetString(out, to, *std::move(value));
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const auto value = BoolValue(node);
      if (!value.ok()) return ErrorOf(node, path, value.status());
      return reflection->SetBool(out, to, *value);
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const auto value = RealValue(node, *field.rule);
      if (!value.ok()) return ErrorOf(node, path, value.status());
      return reflection->SetDouble(out, to, *value);
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto value = IntegerValue(node, *field.rule, std::numeric_limits<int32_t>::min(),
                                      std::numeric_limits<int32_t>::max());
      if (!value.ok()) return ErrorOf(node, path, value.status());
      return reflection->SetInt32(out, to, static_cast<int32_t>(*value));
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      const auto value = IntegerValue(node, *field.rule, 0, std::numeric_limits<uint32_t>::max());
      if (!value.ok()) return ErrorOf(node, path, value.status());
      return reflection->SetUInt32(out, to, static_cast<uint32_t>(*value));
    }
    default:
      CHECK(false);  // config.proto uses no other type; a test binds every field.
  }
}

void Binder::UnknownKey(const Node& node, const Schema& schema, const Path* path) {
  const std::string near = DidYouMean(node.key, schema.keys);
  Error(node.key_at, path,
        fmt::format("unknown key {} in {}; {}", ShownText(node.key), schema.name,
                    near.empty() ? fmt::format("its keys are {}", fmt::join(schema.keys, ", "))
                                 : fmt::format("did you mean \"{}\"?", near)));
}

std::string Binder::Spell(const Path* path) {
  if (path == nullptr) return "";
  const std::string above = Spell(path->up);
  if (path->is_item()) return fmt::format("{}[{}]", above, path->index);
  return above.empty() ? Clean(path->name) : above + "." + Clean(path->name);
}

std::string Binder::Name(const Path* path) {
  if (path->is_item()) return fmt::format("{}[{}]", Name(path->up), path->index);
  return Clean(path->name);
}

void Binder::Error(Place at, const Path* path, std::string_view text) {
  if (errors_.size() == kErrorsMax) {
    more_ = true;
    return;
  }
  if (!file_name_.empty()) {
    errors_.push_back(fmt::format("{}:{}:{}: {}", file_name_, at.line, at.column, text));
  } else {
    const std::string place = path != nullptr   ? Spell(path) + ": "
                              : before_.empty() ? "body: "
                                                : "";
    errors_.push_back(before_ + place + std::string(text));
  }
}

void Binder::ErrorOf(const Node& node, const Path* path, const Status& status) {
  Error(node.at, path, fmt::format("{} {}", Name(path), MessageOf(status)));
}

}  // namespace allot::config
