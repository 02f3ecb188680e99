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
