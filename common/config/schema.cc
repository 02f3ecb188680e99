#include "common/config/schema.h"

#include <map>
#include <memory>
#include <mutex>

namespace allot::config {
namespace {

using Schemas = std::map<const google::protobuf::Descriptor*, std::unique_ptr<Schema>>;

const Schema& Find(const google::protobuf::Descriptor* type, Schemas* known) {
  auto& slot = (*known)[type];  // Stays where it is while the map grows.
  if (slot != nullptr) return *slot;
  slot = std::make_unique<Schema>();
  Schema& schema = *slot;  // In place before its fields: a type may hold itself.
  schema.name = type->name();
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    const bool message = field->message_type() != nullptr && !field->is_map();
    schema.keys.push_back(field->name());
    schema.fields.push_back({field, field->name(), &field->options().GetExtension(rule),
                             message ? &Find(field->message_type(), known) : nullptr});
  }
  return schema;
}

}  // namespace

const Schema& SchemaOf(const google::protobuf::Descriptor* type) {
  static std::mutex mutex;
  static Schemas known;
  const std::lock_guard lock(mutex);
  return Find(type, &known);
}

}  // namespace allot::config
