// Records of the scheduler core to and from the journal's Protobuf.
//
// Decoding checks what it is given (the file may have been damaged or written by a newer
// version): an unknown kind or number is an error, never a CHECK. Thread-safe, no state.
#pragma once

#include "common/base/status.h"
#include "common/proto/records.pb.h"
#include "scheduler/core/events.h"

namespace allot::scheduler {

void EncodeRecord(const Record& record, records::Record* out);
StatusOr<Record> DecodeRecord(const records::Record& in);

// InvalidArgument where what a person asked for would not come back from the journal as it is. For
// events of the API, before they are fed: a record that is acknowledged and cannot be read again
// keeps the scheduler from ever starting. config checks the same first and says it better; here
// nothing depends on the two agreeing. Events that carry only names of what exists are fine as
// they are. 10 to 14 us for a job with eight variables (dev build, two busy cores).
Status CheckStorable(const Event& event);

// When the fact was recorded.
Time TimeOf(const Record& record);

// Shared with the snapshot.
void EncodePlacement(const TaskPlacement& in, records::TaskPlacement* out);
StatusOr<TaskPlacement> DecodePlacement(const records::TaskPlacement& in);
void EncodeResources(const Resources& in, ::allot::wire::Resources* out);
Resources DecodeResources(const ::allot::wire::Resources& in);
StatusOr<JobOutcome> DecodeOutcome(int32_t number);
StatusOr<RequeueReason> DecodeRequeueReason(int32_t number);

}  // namespace allot::scheduler
