#include "tests/unit/config/reference.h"

#include <set>
#include <vector>

#include "common/config/scalars.h"
#include "common/config/schema.h"
#include "common/proto/config.pb.h"
#include "fmt/format.h"

namespace allot::config {
namespace {

using google::protobuf::FieldDescriptor;

std::string Anchor(const Schema& schema) {
  std::string lower;
  for (char c : schema.name) lower += static_cast<char>(std::tolower(c));
  return fmt::format("[{}](#{})", schema.name, lower);
}

std::string Scalar(const FieldDescriptor* field, const Rule& rule) {
  switch (rule.unit()) {
    case UNIT_DURATION:
      return "duration";
    case UNIT_BYTES:
      return "size";
    case UNIT_CPUS:
      return "processors";
    default:
      break;
  }
  if (rule.name()) return "name";
  if (rule.label_value()) return "label value";
  if (rule.file()) return "path";
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "true or false";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "number";
    case FieldDescriptor::CPPTYPE_STRING:
      return "string";
    default:
      return "whole number";
  }
}

std::string Type(const Field& field) {
  if (field.field->is_map()) {
    return fmt::format("map of string to {}",
                       Scalar(field.field->message_type()->map_value(), Rule()));
  }
  const std::string one =
      field.message != nullptr ? Anchor(*field.message) : Scalar(field.field, *field.rule);
  if (!field.field->is_repeated()) return one;
  return field.rule->one_or_list() ? one + ", or a list" : "list of " + one;
}

std::string Range(const Rule& rule, bool list) {
  if (rule.one_of_size() > 0) return fmt::format("{}", fmt::join(rule.one_of(), ", "));
  std::vector<std::string> parts;
  const bool low = rule.has_min(), high = rule.has_max();
  if (low && high) {
    parts.push_back(FormatUnit(rule.unit(), rule.min()) + " to " +
                    FormatUnit(rule.unit(), rule.max()));
  } else if (low && rule.min() != 0) {
    parts.push_back("at least " + FormatUnit(rule.unit(), rule.min()));
  } else if (high) {
    parts.push_back("at most " + FormatUnit(rule.unit(), rule.max()));
  }
  if (rule.length_max() != 0) {
    parts.push_back(fmt::format("at most {} {}", rule.length_max(), list ? "items" : "bytes"));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string Escape(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) {
    text.insert(at, 1, '\\');
  }
  return text;
}

void Table(const Schema& schema, std::string_view about, std::string* out) {
  *out += fmt::format("\n### {}\n", schema.name);
  if (!about.empty()) *out += fmt::format("{}\n", about);
  *out += "\n| key | type | range | left out | |\n|---|---|---|---|---|\n";
  for (const Field& field : schema.fields) {
    const std::string otherwise = field.rule->required()             ? "**required**"
                                  : field.rule->default_is().empty() ? ""
                                                                     : field.rule->default_is();
    *out += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name, Type(field),
                        Escape(Range(*field.rule, field.field->is_repeated())), otherwise,
                        Escape(field.field->options().GetExtension(help)));
  }
}

// A file's message, then what it holds, each once in the whole page.
void Tables(const Schema& schema, std::string_view about, std::set<std::string>* done,
            std::string* out) {
  if (!done->insert(schema.name).second) return;
  Table(schema, about, out);
  for (const Field& field : schema.fields) {
    if (field.message != nullptr) Tables(*field.message, "", done, out);
  }
}

constexpr std::string_view kHead = R"(# Configuration reference

Every file and body a person writes, key by key. Written from `common/proto/config.proto` by a test of `tests/unit/config`; after a change there run
`ALLOT_UPDATE=1 build/dev/bin/test_config --gtest_filter='Reference.*'`.

Files are YAML 1.2 without anchors, aliases and tags, or JSON of the same shape where they are named `.json` or begin with `{` and are JSON; bodies of the API are JSON or YAML. A mistake is reported with file, line and column
(in JSON the path of the key), up to ten at once. Unknown keys, keys that are there twice, files over 4 MiB and nesting over 64 levels are mistakes too.

- **duration**: a number with its unit, `250ms`, `1.5s`, `10m`, `2h`, `3d`; also `1h30m`, `1:30:00`, `1-00:00:00` (days before a dash). Units: us, ms, s, m, h, d, w. At most 115740d17h (317 years).
- **size**: `512MiB`, `16GiB`, `1.5GB`; a number alone is bytes, from 1024 on (`16` is refused). Units: B, kB, MB, GB, TB, PB, KiB, MiB, GiB, TiB, PiB; the B may be left out. At most 1024PiB.
- **processors**: `2`, `0.5`, `500m`.
- **devices**: `gpu`, `gpu:2`, `gpu:h100:2`, `nvidia/h100*:2` or `kind=gpu,count=2` wherever a [DeviceRequest](#devicerequest) or a list of alternatives is wanted; capitals do not matter.
- **name**: a-z, 0-9, `-` and `.`, first and last a letter or digit, at most 63 characters.
- **label value**: a-z, A-Z, 0-9, `-`, `_` and `.`, first and last a letter or digit, at most 63 characters; capitals count.
- **path**: relative ones count from the folder of the file that names them.
- Prices are US dollars.
)";

}  // namespace

std::string Reference() {
  std::string out(kHead);
  std::set<std::string> done;
  const auto add = [&](const google::protobuf::Message& message, std::string_view about) {
    Tables(SchemaOf(message.GetDescriptor()), about, &done, &out);
  };
  out += "\n## Work\n";
  add(Job(), "`allot submit FILE`, `POST /v1/jobs`.");
  add(Deployment(), "`allot deploy FILE`, `PUT /v1/deployments/NAME`.");
  out += "\n## Policy\n";
  add(Policy(), "`allot policy apply FILE`, `PUT /v1/policy`. Ready-made ones: `policies/conf`.");
  out += "\n## Programs\n";
  add(Scheduler(), "`allot-scheduler`.");
  add(Agent(), "`allot-agent`.");
  add(Gateway(), "Inside a scheduler's file, or the file of `allot-gateway`.");
  out += "\n## Keys\n";
  add(AllowList(), "Who may connect; `allot keys enroll` keeps it.");
  add(Invitations(), "Who may enrol; `allot node add` and `allot gateway add` keep it.");
  add(Tokens(), "Bearer tokens of people and programs; `allot keys token` makes them.");
  add(KeyPair(), "`allot keys new` makes it.");
  add(RenewedKeys(),
      "`renewed.keys` in a `state_dir`: written by the program itself when keys are renewed.");
  return out;
}

}  // namespace allot::config
