// A message type as the binder sees it: its fields by name, each with its rule. Built once per type
// from the descriptors; thread-safe. Internal to common/config (and the reference generator).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/proto/rules.pb.h"
#include "google/protobuf/descriptor.h"

namespace allot::config {

struct Schema;

struct Field {
  const google::protobuf::FieldDescriptor* field;
  std::string_view name;
  const Rule* rule;
  const Schema* message;  // of the value (also of a list's items); null for scalars and maps
};

struct Schema {
  std::string name;  // "Job"
  std::vector<Field> fields;
  std::vector<std::string> keys;

  const Field* Find(std::string_view key) const {
    for (const Field& field : fields) {
      if (field.name == key) return &field;
    }
    return nullptr;
  }
};

const Schema& SchemaOf(const google::protobuf::Descriptor* type);

}  // namespace allot::config
