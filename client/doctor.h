// What is wrong with a node, in the order in which a person would look, and what to do next. Pure:
// all of it is in the API's answers.
#pragma once

#include <string>
#include <vector>

#include "client/views.h"

namespace allot::client {

struct Finding {
  // kProblem: work is lost or kept waiting. kNotice: worth knowing; the node is well with it.
  enum class Severity { kNotice, kProblem };
  Severity severity = Severity::kNotice;
  std::string what;  // "0000:17:00.0 is quarantined for 9m40s: …"
  std::string next;  // what to do; may be empty
};

struct Diagnosis {
  std::string node;
  std::string summary;  // "alive, heard 1s ago; 7 of 8 devices in service, 3 leased; …"
  std::vector<Finding> findings;
  bool well() const;
};

// One for each node, in order. `devices` may hold those of other nodes.
std::vector<Diagnosis> Diagnose(const ClusterView& cluster, const std::vector<NodeView>& nodes,
                                const std::vector<DeviceView>& devices);

// What is worth knowing of the cluster as a whole: tokens whose time is nearly over.
std::vector<Finding> DiagnoseCluster(const ClusterView& cluster);

// Of NodeView::warnings: whether it is about how the node is reached, not about its devices.
bool IsOfAddress(const std::string& warning);

std::string DoctorLines(const std::vector<Diagnosis>& all);  // one line a node
std::string DoctorText(const Diagnosis& diagnosis);          // everything about one
std::string DoctorJson(const std::vector<Diagnosis>& all,
                       const std::vector<Finding>& of_cluster = {});

}  // namespace allot::client
