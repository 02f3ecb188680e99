#include "scheduler/shell/api/openapi.h"

#include <map>
#include <string_view>
#include <vector>

#include "common/json/json.h"
#include "common/proto/config.pb.h"
#include "google/protobuf/descriptor.h"
#include "scheduler/shell/api/routes.h"

namespace allot::scheduler {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

json::object Reference(std::string_view name) {
  return {{"$ref", "#/components/schemas/" + std::string(name)}};
}

json::value TypeOf(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return {{"type", "boolean"}};
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return {{"type", "number"}};
    case FieldDescriptor::CPPTYPE_STRING:
      return {{"type", "string"}};
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Reference(field.message_type()->name());
    default:
      return {{"type", "integer"}};
  }
}

json::value SchemaOf(const FieldDescriptor& field) {
  json::value schema = TypeOf(field);
  if (field.is_map()) {
    schema = {{"type", "object"},
              {"additionalProperties", TypeOf(*field.message_type()->map_value())}};
  } else if (field.is_repeated()) {
    const json::value one = schema;
    schema = {{"type", "array"}, {"items", one}};
    if (field.options().GetExtension(config::rule).one_or_list())
      schema = {{"anyOf", json::array{one, schema}}};
  }
  const std::string& help = field.options().GetExtension(config::help);
  json::object& object = schema.as_object();
  // A reference takes no neighbours in OpenAPI 3.0.
  if (!help.empty() && !object.contains("$ref")) object["description"] = help;
  const config::Rule& rule = field.options().GetExtension(config::rule);
  if (rule.one_of_size() > 0) {
    json::array words;
    for (const std::string& word : rule.one_of()) words.emplace_back(word);
    object["enum"] = std::move(words);
  }
  return schema;
}

// A message of config.proto and, first, those it is made of.
void AddMessage(const Descriptor& message, json::object& schemas) {
  if (schemas.contains(message.name())) return;
  json::object properties;
  json::array required;
  schemas[message.name()] = nullptr;  // no circle
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.message_type() != nullptr && !field.is_map()) {
      AddMessage(*field.message_type(), schemas);
    }
    properties[field.name()] = SchemaOf(field);
    if (field.options().GetExtension(config::rule).required()) required.emplace_back(field.name());
  }
  json::object schema{
      {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  schemas[message.name()] = std::move(schema);
}

json::object Content(std::string_view schema) {
  if (schema.empty()) return {{"text/plain", {{"schema", {{"type", "string"}}}}}};
  return {{"application/json", {{"schema", Reference(schema)}}}};
}

json::array ParametersOf(const Route& route) {
  json::array parameters;
  for (size_t at = route.path.find('{'); at != std::string_view::npos;
       at = route.path.find('{', at + 1)) {
    const std::string name(route.path.substr(at + 1, route.path.find('}', at) - at - 1));
    parameters.push_back(
        {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
  }
  for (const Parameter& parameter : route.query) {
    parameters.push_back({{"name", std::string(parameter.name)},
                          {"in", "query"},
                          {"description", std::string(parameter.help)},
                          {"schema", {{"type", std::string(parameter.type)}}}});
  }
  return parameters;
}

std::string_view RoleName(const Route& route) {
  return route.right ? ToString(*auth::RoleFor(route.right->kind, route.right->action)) : "none";
}

json::object OperationOf(const Route& route) {
  const std::string ok = route.method == "POST" && route.path == "/v1/jobs" ? "201" : "200";
  json::object operation{
      {"summary", std::string(route.summary)},
      {"x-role", std::string(RoleName(route))},
      {"x-only", std::string(route.right ? ToString(auth::AreaOf(route.right->kind)) : "none")},
      {"parameters", ParametersOf(route)},
      {"responses",
       {{ok, {{"description", "The answer."}, {"content", Content(route.answer)}}},
        {"default", {{"description", "An error."}, {"content", Content("Error")}}}}}};
  if (!route.right) operation["security"] = json::array{};
  if (!route.body.empty()) {
    operation["requestBody"] = {{"required", true},
                                {"content",
                                 {{"application/json", {{"schema", Reference(route.body)}}},
                                  {"application/yaml", {{"schema", Reference(route.body)}}}}}};
  }
  return operation;
}

std::string Build() {
  json::object schemas = json::parse(kAnswerSchemas).as_object();
  AddMessage(*config::Job::descriptor(), schemas);
  AddMessage(*config::Deployment::descriptor(), schemas);
  AddMessage(*config::Policy::descriptor(), schemas);
  json::object paths;
  for (const Route& route : Routes()) {
    json::value& path = paths[std::string(route.path)];
    if (path.is_null()) path = json::object();
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
    path.as_object()[method] = OperationOf(route);
  }
  const json::object document{
      {"openapi", "3.0.3"},
      {"info",
       {{"title", "Allotrope scheduler"},
        {"version", "1"},
        {"description",
         "Times are RFC 3339 in UTC, durations seconds, money US dollars, memory bytes. What is "
         "absent is unknown."}}},
      {"security", json::array{json::object{{"token", json::array{}}}}},
      {"paths", std::move(paths)},
      {"components",
       {{"schemas", std::move(schemas)},
        {"securitySchemes", {{"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
  return json::serialize(document);
}

}  // namespace

const std::string& OpenApiDocument() {
  static const std::string document = Build();
  return document;
}

}  // namespace allot::scheduler
