#include "common/config/json_text.h"

#include "common/base/check.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "google/protobuf/descriptor.h"

namespace allot::config {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

StatusOr<json::object> ObjectOf(const Message& message, const std::string& path);

StatusOr<json::value> TextOf(const std::string& text, const std::string& path) {
  if (IsValidUtf8(text)) return json::value(json::string(text));
  return InvalidArgument("{} is not valid UTF-8; the API speaks JSON, which cannot carry its bytes",
                         path);
}

// One value, or the `index`-th of a list (-1: it is none).
StatusOr<json::value> ValueOf(const Message& message, const FieldDescriptor* field, int index,
                              const std::string& path) {
  const Reflection* from = message.GetReflection();
  const bool item = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return TextOf(
          item ? from->GetRepeatedString(message, field, index) : from->GetString(message, field),
          path);
    case FieldDescriptor::CPPTYPE_BOOL:
      return json::value(item ? from->GetRepeatedBool(message, field, index)
                              : from->GetBool(message, field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return json::value(item ? from->GetRepeatedDouble(message, field, index)
                              : from->GetDouble(message, field));
    case FieldDescriptor::CPPTYPE_INT32:
      return json::value(item ? from->GetRepeatedInt32(message, field, index)
                              : from->GetInt32(message, field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return json::value(item ? from->GetRepeatedUInt32(message, field, index)
                              : from->GetUInt32(message, field));
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      ASSIGN_OR_RETURN(json::object object,
                       ObjectOf(item ? from->GetRepeatedMessage(message, field, index)
                                     : from->GetMessage(message, field),
                                path));
      return json::value(std::move(object));
    }
    default:
      CHECK(false);  // As in the binder: config.proto uses no other type.
      return json::value();
  }
}

StatusOr<json::object> MapOf(const Message& message, const FieldDescriptor* field,
                             const std::string& path) {
  json::object out;
  const Reflection* from = message.GetReflection();
  const auto* entry_type = field->message_type();
  for (int i = 0; i < from->FieldSize(message, field); ++i) {
    const Message& entry = from->GetRepeatedMessage(message, field, i);
    const std::string key = entry.GetReflection()->GetString(entry, entry_type->map_key());
    if (!IsValidUtf8(key)) {
      return InvalidArgument("{} has a name that is not valid UTF-8: \"{}\"", path,
                             ReplaceInvalidUtf8(key));
    }
    ASSIGN_OR_RETURN(out[key], ValueOf(entry, entry_type->map_value(), -1, path + "." + key));
  }
  return out;
}

StatusOr<json::object> ObjectOf(const Message& message, const std::string& path) {
  json::object out;
  const Reflection* from = message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  from->ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const std::string here = path.empty() ? field->name() : path + "." + field->name();
    json::value& value = out[field->name()];
    if (field->is_map()) {
      ASSIGN_OR_RETURN(value, MapOf(message, field, here));
    } else if (field->is_repeated()) {
      json::array& list = value.emplace_array();
      for (int i = 0; i < from->FieldSize(message, field); ++i) {
        ASSIGN_OR_RETURN(json::value item,
                         ValueOf(message, field, i, fmt::format("{}[{}]", here, i)));
        list.push_back(std::move(item));
      }
    } else {
      ASSIGN_OR_RETURN(value, ValueOf(message, field, -1, here));
    }
  }
  return out;
}

}  // namespace

StatusOr<std::string> ToJsonText(const Message& message) {
  ASSIGN_OR_RETURN(const json::object object, ObjectOf(message, ""));
  return json::serialize(object);
}

}  // namespace allot::config
