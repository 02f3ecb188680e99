// Files that people write: jobs, deployments, policies, the programs' own, tokens, lists of peers.
#include "common/config/bind.h"
#include "tests/fuzz/bound.h"

namespace allot::config {
namespace {

FUZZ(config_yaml) {
  fuzz::Cut cut(input);
  const auto document = fuzz::NewDocument(cut.Byte() % fuzz::kKinds);
  const Status read = BindYaml(cut.Rest(), "f.yaml", document.get());
  if (!read.ok()) return fuzz::HoldsOfRefused(read, "f.yaml", *document);
  fuzz::HoldsOfBound(*document);
}

}  // namespace
}  // namespace allot::config
