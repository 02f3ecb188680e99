// Records of the journal: a file that may be damaged, or of another build.
#include <google/protobuf/stubs/logging.h>

#include "scheduler/shell/record_codec.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ordered.h"

namespace allot::scheduler {
namespace {

FUZZ(record) {
  const google::protobuf::LogSilencer quiet;
  records::Record kept;
  if (!kept.ParseFromArray(input.data(), static_cast<int>(input.size()))) return;
  const StatusOr<Record> read = DecodeRecord(kept);
  if (!read.ok()) return fuzz::HoldsOfInnerError(read.status());
  // What was read is written again and read as the same: compaction and backups do that.
  records::Record again, third;
  EncodeRecord(*read, &again);
  const StatusOr<Record> reread = DecodeRecord(again);
  HOLDS_FOR(reread.ok(), MessageOf(reread.status()));
  EncodeRecord(*reread, &third);
  HOLDS(read->index() == reread->index());
  HOLDS(TimeOf(*read) == TimeOf(*reread));
  HOLDS(fuzz::Ordered(again) == fuzz::Ordered(third));
}

}  // namespace
}  // namespace allot::scheduler
