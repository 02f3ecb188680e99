// From what a person wrote (YAML file or JSON body) to a checked Protobuf message.
//
// Keys are field names of common/proto/config.proto; rules stand on the fields (rules.proto).
// Every error says where and what to do:
//   job.yaml:7:3: unknown key "priorty" in Job; did you mean "priority"?
//   job.yaml:9:11: memory is "16GBB"; give a size like 512MiB or 16GiB
// JSON has no lines here, so the place is a path: `devices.any_of[1].count: …`, after the file's
// name if there is one. A file named .json is JSON; so is any text that begins with `{` and is
// valid JSON (flow YAML begins with `{` too). JSON is read by JSON's rules, not as a kind of YAML.
// Up to ten errors are reported at once, one a line. Duplicate keys, invalid UTF-8, aliases
// (YAML bombs), nesting deeper than 64 and documents over 4 MiB are errors. Thread-safe.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/near_word.h"
#include "common/base/status.h"
#include "google/protobuf/message.h"

namespace allot::config {

// Looks at the bound message as a whole. Where its error begins with the path of a key
// (`peers[1].public_key is …`) the place of that key is put before it; `out` is then cleared.
using WholeCheck = std::function<Status()>;

Status BindYaml(std::string_view text, const std::string& file_name, google::protobuf::Message* out,
                const WholeCheck& check = nullptr);
Status BindJson(std::string_view text, google::protobuf::Message* out);
// Reads the file; fields marked `file` become absolute, relative to the file's folder. A program's
// own file is read with LoadChecked (convert.h).
Status LoadYamlFile(const std::string& path, google::protobuf::Message* out,
                    const WholeCheck& check = nullptr);

// The units of rules.proto. Also used by the command line's flags.
// "250ms" "1.5s" "10m" "2h" "3d", "1:30:00" "1-00:00:00" (hours, minutes, seconds; days before a
// dash)
StatusOr<int64_t> ParseDurationMicros(std::string_view text);
// "512MiB" "16Gi" (powers of 1024), "16GB" "16G" (of 1000), "1048576". A bare number below 1024 is
// refused: nobody means sixteen bytes.
StatusOr<int64_t> ParseBytes(std::string_view text);
StatusOr<int64_t> ParseMilliCpus(std::string_view text);  // "2" "0.5" "500m"

// The known word nearest to `word`, or "" if none is near (common/base/near_word.h).
inline std::string DidYouMean(std::string_view word, const std::vector<std::string>& known) {
  return NearWord(word, known);
}

}  // namespace allot::config
