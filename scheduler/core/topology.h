// Which accelerators of a node one task gets.
//
// A task may get only sets that the devices' runtime can use. Groups of these kinds say which:
//   tpu-slice                     one chip, or a box of 2, 4, 8 or all chips that is one of the
//                                 halves, quarters, … of the slice's shape ("2,4,1")
//   neuronlink-ring               neighbours; past the end too, unless the shape is "line"
//   neuronlink-torus              one chip, or a row of 4, two rows, or all 16 of "4,4"
// Every other group is an island: a task stays in one if it can, and must if it asks for `joined`.
// Where the chips of a group are shared out, their parts stand in their place: sets within a chip
// are neighbours, wider ones are whole chips. The parts of a chip are an island too.
//
// Among the sets that may be used it takes the one that cuts up least: an island with nothing left
// over first, then one that is broken already, then the smallest; the shortest run of a ring; the
// box whose other half is taken. Within an island: the same NUMA node, the same card, the lowest.
//
// Complete: Pick lowers Room by exactly one, so tasks of one kind may be placed one by one. For
// that the sets of a count must not stand in each other's way: islands that overlap count as
// disjoint (a device belongs to the largest that names it), and boxes begin at multiples of their
// sides.
#pragma once

#include <string>
#include <vector>

#include "common/model/node.h"

namespace allot::scheduler {

class Topology {
 public:
  Topology() = default;  // any accelerators are as good as any others
  explicit Topology(const NodeInfo& node);

  // Nothing tells the accelerators apart: Pick would take the lowest.
  bool plain() const { return fabrics_.empty() && zones_.empty() && cards_.empty(); }
  // Some sets may not be used, whether `joined` is asked for or not.
  bool restricted() const { return restricted_; }

  // How many tasks find `count` (> 0) devices each among `free` at the same time. At most
  // free.Count() / count.
  uint32_t Room(const DeviceSet& free, uint32_t count, bool joined) const;
  // The devices for one of them; empty iff Room is 0.
  DeviceSet Pick(const DeviceSet& free, uint32_t count, bool joined) const;

  bool operator==(const Topology&) const = default;

 private:
  using Cells = std::vector<DeviceSet>;  // disjoint
  static constexpr uint8_t kHole = 255;  // in the place of a device that is not there
  using Order = std::vector<uint8_t>;    // positions, or kHole
  enum class Rule : uint8_t { kIsland, kRing, kTiles };
  struct Level {
    uint32_t count = 0;  // devices in each tile
    Cells tiles;
    bool operator==(const Level&) const = default;
  };
  struct Fabric {
    Rule rule = Rule::kIsland;
    DeviceSet members;
    Order ring;                 // kRing
    bool closed = false;        // kRing: its end meets its beginning
    std::vector<Order> chips;   // kTiles: the parts of each chip
    std::vector<Level> levels;  // kTiles: of more than a chip, from small to large
    bool operator==(const Fabric&) const = default;
  };
  struct Run {
    uint32_t start = 0, length = 0;
  };
  struct Builder;

  static std::vector<Run> RunsOf(const Order& order, bool closed, const DeviceSet& free);
  static uint32_t RoomInRuns(const Order& order, bool closed, const DeviceSet& free,
                             uint32_t count);
  static uint32_t RoomIn(const Fabric& fabric, const DeviceSet& free, uint32_t count);
  DeviceSet PickRun(const Order& order, const Run& run, uint32_t count) const;
  DeviceSet PickOfRing(const Fabric& fabric, const DeviceSet& free, uint32_t count) const;
  DeviceSet PickTile(const Fabric& fabric, const DeviceSet& free, uint32_t count) const;
  DeviceSet Pack(const std::vector<const Cells*>& levels, size_t depth, const DeviceSet& free,
                 uint32_t count) const;
  const Fabric* BestFabric(const DeviceSet& free, uint32_t count, bool islands) const;

  std::vector<Fabric> fabrics_;  // disjoint
  Cells islands_;                // members of those without a rule
  Cells zones_;                  // by NUMA node; empty if there is only one
  Cells cards_;                  // what is nearer than an island: parts of a chip, chips of a card
  bool restricted_ = false;
};

}  // namespace allot::scheduler
