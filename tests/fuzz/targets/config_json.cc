// Bodies of the API, from whoever has a token: the binder of JSON.
#include "common/config/bind.h"
#include "tests/fuzz/bound.h"

namespace allot::config {
namespace {

FUZZ(config_json) {
  fuzz::Cut cut(input);
  const auto document = fuzz::NewDocument(cut.Byte() % fuzz::kKinds);
  const Status read = BindJson(cut.Rest(), document.get());
  if (!read.ok()) return fuzz::HoldsOfRefused(read, "", *document);
  fuzz::HoldsOfBound(*document);
}

}  // namespace
}  // namespace allot::config
