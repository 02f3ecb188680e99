// Strong identifiers: a JobId cannot be passed where a NodeId is wanted.
//
// All ids are dense or monotonically growing numbers given out by the core that
// owns the thing, so they order by age and a vector can be indexed by them.
// ToString gives the form people see and type ("job-17"); Parse takes it back.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/hash/hash.h"

namespace allot {

template <class Tag, class Rep>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  constexpr bool valid() const { return value_ != 0; }  // 0 is "none" for every id.
  constexpr auto operator<=>(const Id&) const = default;
  template <class H>
  friend H AbslHashValue(H h, Id id) {
    return H::combine(std::move(h), id.value_);
  }

 private:
  Rep value_ = 0;
};

// One life of the store: drawn at random whenever a scheduler opens it. Numbers count from the store,
// and a store that was restored or emptied counts them again, so whatever is remembered outside it is
// named by the number and the incarnation in which that was given (ADR 18). None: by a build that
// knew of no incarnations.
using Incarnation = Id<struct IncarnationTag, uint64_t>;

// A number for people, and what makes it a name that is never given twice.
template <class Tag, class Rep>
class NumberOfLife {
 public:
  constexpr NumberOfLife() = default;
  constexpr explicit NumberOfLife(Rep value, Incarnation incarnation = {})
      : value_(value), incarnation_(incarnation) {}
  constexpr Rep value() const { return value_; }
  constexpr Incarnation incarnation() const { return incarnation_; }
  constexpr bool valid() const { return value_ != 0; }
  constexpr auto operator<=>(const NumberOfLife&) const = default;
  template <class H>
  friend H AbslHashValue(H h, NumberOfLife id) {
    return H::combine(std::move(h), id.value_, id.incarnation_);
  }

 private:
  Rep value_ = 0;
  Incarnation incarnation_;
};

using JobId = Id<struct JobTag, uint64_t>;                    // job-17
using ReplicaId = NumberOfLife<struct ReplicaTag, uint64_t>;  // replica-3
using RequestId = Id<struct RequestTag, uint64_t>;  // req-00f3…  (16 hex digits)
using NodeId = Id<struct NodeTag, uint32_t>;        // dense, from 1; people use node names
using Epoch = Id<struct EpochTag, uint64_t>;        // one incarnation of a node's link
using Term = Id<struct TermTag, uint64_t>;          // how often a scheduler has opened the store
using Attempt = NumberOfLife<struct AttemptTag, uint32_t>;  // from 1; one try at running a gang

// One process of a job; `index` is its rank.
struct TaskId {
  JobId job;
  uint32_t index = 0;
  constexpr auto operator<=>(const TaskId&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const TaskId& id) {
    return H::combine(std::move(h), id.job, id.index);
  }
};

// One run of a task. An agent never runs the same key twice.
struct TaskKey {
  TaskId task;
  Attempt attempt;
  constexpr auto operator<=>(const TaskKey&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const TaskKey& key) {
    return H::combine(std::move(h), key.task, key.attempt);
  }
};

std::string ToString(JobId id);          // "job-17"
std::string ToString(ReplicaId id);      // "replica-3"
std::string ToString(RequestId id);      // "req-0000000000000011"
std::string ToString(const TaskId& id);  // "job-17/0"
std::string ToString(const TaskKey& k);  // "job-17/0#2"

// As it stands in names of folders: "" for none, else 16 hex digits after `before`.
std::string Suffix(Incarnation incarnation, std::string_view before);
std::string ToString(Incarnation incarnation);  // 16 hex digits; "none"

std::optional<JobId> ParseJobId(std::string_view text);
std::optional<ReplicaId> ParseReplicaId(std::string_view text);  // of no incarnation
std::optional<Incarnation> ParseIncarnation(std::string_view text);  // 16 hex digits
std::optional<RequestId> ParseRequestId(std::string_view text);

}  // namespace allot
