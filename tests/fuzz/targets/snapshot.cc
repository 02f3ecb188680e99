// A snapshot of the store: parts in an order, which refer to each other.
#include <google/protobuf/stubs/logging.h>

#include "scheduler/shell/snapshot.h"
#include "tests/fuzz/fuzz.h"

namespace allot::scheduler {
namespace {

FUZZ(snapshot) {
  const google::protobuf::LogSilencer quiet;
  fuzz::Cut cut(input);
  StateCodec::Reader reader;
  while (!cut.empty()) {
    const std::string_view bytes = cut.Part();
    records::SnapshotPart part;
    if (!part.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    if (const Status added = reader.Add(part); !added.ok()) return fuzz::HoldsOfInnerError(added);
  }
  const StatusOr<ClusterState> state = reader.Finish();
  if (!state.ok()) return fuzz::HoldsOfInnerError(state.status());
  // What was read is a state like any other: written and read it is the same.
  StateCodec::Reader again;
  const Status written =
      StateCodec::Write(*state, [&](const records::SnapshotPart& part) { return again.Add(part); });
  HOLDS_FOR(written.ok(), MessageOf(written));
  const StatusOr<ClusterState> reread = again.Finish();
  HOLDS_FOR(reread.ok(), MessageOf(reread.status()));
  HOLDS(reread->Fingerprint() == state->Fingerprint());
}

}  // namespace
}  // namespace allot::scheduler
