// A ClusterState as a stream of records::SnapshotPart, and back.
//
// A snapshot is every durable field written out, so that reading it gives a state with the same
// Fingerprint. Parts come in this order: head, nodes, jobs, deployments, replicas; a part that is
// missing, repeated or out of order is an error. Also the one encoding of a finished job that the
// history table keeps.
#pragma once

#include <functional>

#include "common/base/status.h"
#include "common/proto/records.pb.h"
#include "scheduler/core/cluster_state.h"

namespace allot::scheduler {

struct StateCodec {
  using Sink = std::function<Status(const records::SnapshotPart& part)>;
  // Stops at the first error of `sink`.
  static Status Write(const ClusterState& state, const Sink& sink);

  class Reader {
   public:
    Status Add(const records::SnapshotPart& part);
    // The state, once every part was added. Leaves the reader empty.
    StatusOr<ClusterState> Finish();

   private:
    Status AddHead(const records::SnapshotHead& in);
    Status AddNode(const records::NodeState& in);
    Status AddJob(const records::JobState& in);
    Status AddForgottenKeys(const records::ForgottenKeys& in);
    Status AddDeployment(const records::DeploymentState& in);
    Status AddReplica(const records::ReplicaState& in);
    Status CheckReferences() const;
    void DateDeployments();
    void DateNewest();
    bool head_ = false;
    ClusterState state_;
  };
};

void EncodeJobState(const JobState& job, records::JobState* out);
StatusOr<JobState> DecodeJobState(const records::JobState& in);

}  // namespace allot::scheduler
