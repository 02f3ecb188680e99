#include "scheduler/core/topology.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>

#include "fmt/format.h"

namespace allot::scheduler {
namespace {

// The runtimes' own limits. TPU: 1, 2, 4 and 8 chips of a host (Ray's TPU_VALID_CHIP_OPTIONS; JAX
// runs processes of two on the pairs 0,1 and 2,3). Trainium: 1, 4, 8 or 16 chips (AWS Neuron
// scheduler extension), which AWS's DRA driver takes as chips n*size … n*size+size-1.
constexpr uint32_t kSliceSizes[] = {2, 4, 8};
constexpr uint32_t kTorusSizes[] = {4, 8, 16};

DeviceSet Lowest(const DeviceSet& set, uint32_t count) {
  DeviceSet lowest;
  set.ForEach([&](uint32_t i) {
    if (count == 0) return;
    lowest.Add(i);
    --count;
  });
  return lowest;
}

uint32_t LowestOf(const DeviceSet& set) {
  const auto [low, high] = set.words();
  return static_cast<uint32_t>(low != 0 ? std::countr_zero(low) : 64 + std::countr_zero(high));
}

bool Holds(const DeviceSet& set, const DeviceSet& part) { return part.Minus(set).Empty(); }

uint32_t Touched(const std::vector<DeviceSet>& cells, const DeviceSet& set) {
  return static_cast<uint32_t>(std::count_if(
      cells.begin(), cells.end(), [&](const DeviceSet& cell) { return cell.Intersects(set); }));
}

std::array<uint32_t, 3> ParseShape(const std::string& text) {
  std::array<uint32_t, 3> sides = {1, 1, 1};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t axis = 0; axis < sides.size(); ++axis) {
    const auto [next, error] = std::from_chars(at, end, sides[axis]);
    if (error != std::errc() || sides[axis] == 0 || sides[axis] > DeviceSet::kMax) return {};
    if (next == end) return sides;
    if (*next != ',') return {};
    at = next + 1;
  }
  return {};
}

// A host that does not tell its shape has the one that all hosts of so many chips have.
std::array<uint32_t, 3> SliceShape(const std::string& text, size_t chips) {
  std::array<uint32_t, 3> sides = ParseShape(text);
  if (text.empty() && chips == 2) sides = {1, 2, 1};
  if (text.empty() && chips == 4) sides = {2, 2, 1};
  if (text.empty() && chips == 8) sides = {2, 4, 1};
  return size_t{sides[0]} * sides[1] * sides[2] == chips ? sides : std::array<uint32_t, 3>{};
}

}  // namespace

// ---- reading a node's groups ----------------------------------------------------------------

struct Topology::Builder {
  const NodeInfo& node;
  Topology& out;
  std::map<std::string_view, uint32_t> accelerators = {};           // by id
  std::map<std::string_view, std::vector<uint32_t>> parts_of = {};  // by the whole's id
  DeviceSet owned = {};                                             // in a fabric already

  static bool IsKind(const DeviceGroup& group, std::string_view what) {
    return group.kind == fmt::format("neuron-{}", what) ||
           group.kind == fmt::format("neuronlink-{}", what);
  }
  static bool HasRule(const DeviceGroup& group) {
    return group.kind == "tpu-slice" || IsKind(group, "ring") || IsKind(group, "torus");
  }

  void Build() {
    for (uint32_t i = 0; i < node.devices.size() && i < DeviceSet::kMax; ++i) {
      const Device& device = node.devices[i];
      if (device.kind == DeviceKind::kCpu) continue;
      accelerators[device.id] = i;
      if (!device.parent.empty()) parts_of[device.parent].push_back(i);
    }
    for (const DeviceGroup& group : node.groups) {
      if (group.members.size() > DeviceSet::kMax) continue;
      if (IsKind(group, "ring")) AddRing(group);
      if (group.kind == "tpu-slice" || IsKind(group, "torus")) AddTiles(group);
    }
    out.restricted_ = !out.fabrics_.empty();
    AddIslands();
    AddZones();
  }

  std::vector<uint32_t> PositionsOf(const std::string& member) const {
    if (const auto it = accelerators.find(member); it != accelerators.end()) return {it->second};
    const auto it = parts_of.find(member);
    return it == parts_of.end() ? std::vector<uint32_t>() : it->second;
  }
  // What no fabric has yet; it belongs to this one from now on.
  Order Claim(const std::string& member, DeviceSet* members) {
    Order order;
    for (const uint32_t i : PositionsOf(member)) {
      if (owned.Has(i)) continue;
      owned.Add(i);
      members->Add(i);
      order.push_back(static_cast<uint8_t>(i));
    }
    return order;
  }

  void AddRing(const DeviceGroup& group) {
    Fabric ring;
    ring.rule = Rule::kRing;
    ring.closed = group.shape != "line";
    for (const std::string& member : group.members) {
      const Order order = Claim(member, &ring.members);
      ring.ring.insert(ring.ring.end(), order.begin(), order.end());
      if (order.empty()) ring.ring.push_back(kHole);
    }
    Add(std::move(ring));
  }

  void AddTiles(const DeviceGroup& group) {
    Fabric fabric;
    fabric.rule = Rule::kTiles;
    std::string_view last;
    for (const std::string& member : group.members) {
      Order order = Claim(member, &fabric.members);
      // Parts that are members themselves: those of one chip stand side by side.
      const std::string_view chip =
          order.size() == 1 ? std::string_view(node.devices[order[0]].parent) : std::string_view();
      if (!chip.empty() && chip == last) {
        fabric.chips.back().push_back(order[0]);
      } else {
        fabric.chips.push_back(std::move(order));
      }
      last = chip;
    }
    const size_t chips = fabric.chips.size();
    if (group.kind == "tpu-slice") {
      AddBoxes(SliceShape(group.shape, chips), &fabric);
    } else if (group.shape.empty() ? chips == 16 : SliceShape(group.shape, chips)[0] > 0) {
      for (const uint32_t size : kTorusSizes) {
        if (size > chips || chips % size != 0) continue;
        std::vector<std::vector<uint32_t>> tiles(chips / size);
        for (uint32_t i = 0; i < chips; ++i) tiles[i / size].push_back(i);
        AddLevel(tiles, &fabric);
      }
    }
    Add(std::move(fabric));
  }

  // Halves, again and again, across the longest side.
  void AddBoxes(std::array<uint32_t, 3> sides, Fabric* fabric) const {
    const std::array<uint32_t, 3> whole = sides;
    const auto chips = static_cast<uint32_t>(fabric->chips.size());
    if (chips != sides[0] * sides[1] * sides[2]) return;
    std::vector<std::vector<std::vector<uint32_t>>> levels;
    for (uint32_t size = chips; size > 1; size /= 2) {
      const bool usable = size == chips || std::find(std::begin(kSliceSizes), std::end(kSliceSizes),
                                                     size) != std::end(kSliceSizes);
      if (usable) {
        std::map<std::array<uint32_t, 3>, std::vector<uint32_t>> boxes;
        for (uint32_t i = 0; i < chips; ++i) {
          const uint32_t x = i % whole[0], y = i / whole[0] % whole[1],
                         z = i / (whole[0] * whole[1]);
          boxes[{z / sides[2], y / sides[1], x / sides[0]}].push_back(i);
        }
        levels.emplace_back();
        for (auto& [corner, box] : boxes) levels.back().push_back(std::move(box));
      }
      size_t axis = 2;
      for (const size_t other : {size_t{1}, size_t{0}})
        if (sides[other] > sides[axis]) axis = other;
      if (sides[axis] % 2 != 0) break;
      sides[axis] /= 2;
    }
    for (auto it = levels.rbegin(); it != levels.rend(); ++it) AddLevel(*it, fabric);
  }

  static void AddLevel(const std::vector<std::vector<uint32_t>>& tiles, Fabric* fabric) {
    Level level;
    for (const std::vector<uint32_t>& tile : tiles) {
      DeviceSet set;
      bool whole = true;
      for (const uint32_t chip : tile) {
        whole &= !fabric->chips[chip].empty();
        for (const uint8_t i : fabric->chips[chip]) set.Add(i);
      }
      if (!whole) continue;
      if (level.tiles.empty()) level.count = set.Count();
      if (set.Count() == level.count) level.tiles.push_back(set);
    }
    if (!level.tiles.empty()) fabric->levels.push_back(std::move(level));
  }

  void Add(Fabric fabric) {
    if (fabric.members.Count() > 0) out.fabrics_.push_back(std::move(fabric));
  }

  void AddIslands() {
    Cells groups;
    const auto note = [&groups](const std::vector<uint32_t>& positions) {
      DeviceSet set;
      for (const uint32_t i : positions) set.Add(i);
      if (set.Count() > 1) groups.push_back(set);
    };
    for (const DeviceGroup& group : node.groups) {
      if (HasRule(group) || group.members.size() > DeviceSet::kMax) continue;
      std::vector<uint32_t> positions;
      for (const std::string& member : group.members) {
        const std::vector<uint32_t> more = PositionsOf(member);
        positions.insert(positions.end(), more.begin(), more.end());
      }
      note(positions);
    }
    for (const auto& [whole, positions] : parts_of) note(positions);
    std::stable_sort(groups.begin(), groups.end(),
                     [](const DeviceSet& a, const DeviceSet& b) { return a.Count() > b.Count(); });
    for (const DeviceSet& group : groups) {
      Fabric island;
      island.members = group.Minus(owned);
      owned = owned | group;
      if (island.members.Count() < 2) continue;
      out.islands_.push_back(island.members);
      Add(std::move(island));
    }
    // From small to large: the nearest cards.
    DeviceSet carded;
    for (auto it = groups.rbegin(); it != groups.rend(); ++it) {
      const bool is_island =
          std::find(out.islands_.begin(), out.islands_.end(), *it) != out.islands_.end();
      if (is_island || it->Intersects(carded)) continue;
      carded = carded | *it;
      out.cards_.push_back(*it);
    }
  }

  void AddZones() {
    std::map<int32_t, DeviceSet> zones;
    for (const auto& [id, i] : accelerators) zones[node.devices[i].numa_node].Add(i);
    if (zones.size() < 2) return;
    zones.erase(-1);  // unknown
    for (const auto& [number, zone] : zones) out.zones_.push_back(zone);
  }
};

Topology::Topology(const NodeInfo& node) { Builder{node, *this}.Build(); }

// ---- how many find room -----------------------------------------------------------------------

std::vector<Topology::Run> Topology::RunsOf(const Order& order, bool closed,
                                            const DeviceSet& free) {
  const auto size = static_cast<uint32_t>(order.size());
  const auto is_free = [&](uint32_t at) {
    const uint8_t i = order[at % size];
    return i != kHole && free.Has(i);
  };
  uint32_t first = 0;
  if (closed) {  // Begin behind a gap, so that no run is cut in two.
    while (first < size && is_free(first)) ++first;
    if (first == size) return {Run{0, size}};
  }
  std::vector<Run> runs;
  for (uint32_t at = first; at < first + size; ++at) {
    if (!is_free(at)) continue;
    if (!runs.empty() && runs.back().start + runs.back().length == at) {
      ++runs.back().length;
    } else {
      runs.push_back(Run{at, 1});
    }
  }
  for (Run& run : runs) run.start %= size;
  return runs;
}

uint32_t Topology::RoomInRuns(const Order& order, bool closed, const DeviceSet& free,
                              uint32_t count) {
  uint32_t room = 0;
  for (const Run& run : RunsOf(order, closed, free)) room += run.length / count;
  return room;
}

uint32_t Topology::RoomIn(const Fabric& fabric, const DeviceSet& free, uint32_t count) {
  switch (fabric.rule) {
    case Rule::kIsland:
      return free.Count() / count;
    case Rule::kRing:
      return RoomInRuns(fabric.ring, fabric.closed, free, count);
    case Rule::kTiles:
      break;
  }
  uint32_t room = 0;
  bool within = false;
  for (const Order& chip : fabric.chips) {
    if (count > chip.size()) continue;
    within = true;
    room += RoomInRuns(chip, false, free, count);
  }
  if (within) return room;
  for (const Level& level : fabric.levels) {
    if (level.count != count) continue;
    return static_cast<uint32_t>(
        std::count_if(level.tiles.begin(), level.tiles.end(),
                      [&](const DeviceSet& tile) { return Holds(free, tile); }));
  }
  return 0;
}

uint32_t Topology::Room(const DeviceSet& free, uint32_t count, bool joined) const {
  uint32_t room = 0;
  DeviceSet loose = free;
  for (const Fabric& fabric : fabrics_) {
    const DeviceSet part = free & fabric.members;
    if (part.Empty() || (fabric.rule == Rule::kIsland && !joined)) continue;
    loose = loose.Minus(part);
    room += RoomIn(fabric, part, count);
  }
  return joined && count > 1 ? room : room + loose.Count() / count;
}

// ---- which of them ------------------------------------------------------------------------------

// Both ends of a run leave one run behind; the one that touches fewer cards and NUMA nodes is
// taken.
DeviceSet Topology::PickRun(const Order& order, const Run& run, uint32_t count) const {
  const auto at = [&](uint32_t start) {
    DeviceSet set;
    for (uint32_t i = start; i < start + count; ++i) set.Add(order[i % order.size()]);
    return set;
  };
  const DeviceSet head = at(run.start), tail = at(run.start + run.length - count);
  const auto cost = [&](const DeviceSet& set) {
    return std::pair(Touched(cards_, set), Touched(zones_, set));
  };
  return cost(tail) < cost(head) ? tail : head;
}

DeviceSet Topology::PickOfRing(const Fabric& fabric, const DeviceSet& free, uint32_t count) const {
  std::optional<Run> best;
  for (const Run& run : RunsOf(fabric.ring, fabric.closed, free)) {
    if (run.length < count) continue;
    if (!best || std::pair(run.length, run.start) < std::pair(best->length, best->start))
      best = run;
  }
  return best ? PickRun(fabric.ring, *best, count) : DeviceSet();
}

DeviceSet Topology::PickTile(const Fabric& fabric, const DeviceSet& free, uint32_t count) const {
  // The size of the largest tile (or chip) around it that is still whole: what taking it breaks.
  const auto broken_by = [&](const DeviceSet& set, uint32_t least) {
    uint32_t whole = least;
    for (const Level& level : fabric.levels) {
      for (const DeviceSet& tile : level.tiles)
        if (Holds(tile, set) && Holds(free, tile)) whole = std::max(whole, level.count);
    }
    return whole;
  };
  struct Offer {
    std::tuple<uint32_t, uint32_t, uint32_t> cost;
    DeviceSet set;
  };
  std::optional<Offer> best;
  const auto offer = [&best](Offer next) {
    if (!best || next.cost < best->cost) best = next;
  };
  bool within = false;
  for (const Order& chip : fabric.chips) {
    if (count > chip.size()) continue;
    within = true;
    DeviceSet all;
    for (const uint8_t i : chip) all.Add(i);
    for (const Run& run : RunsOf(chip, false, free)) {
      if (run.length < count) continue;
      const DeviceSet set = PickRun(chip, run, count);
      offer({{broken_by(all, run.length), run.length, LowestOf(set)}, set});
    }
  }
  for (const Level& level : fabric.levels) {
    if (within || level.count != count) continue;
    for (const DeviceSet& tile : level.tiles)
      if (Holds(free, tile)) offer({{broken_by(tile, count), 0, LowestOf(tile)}, tile});
  }
  return best ? best->set : DeviceSet();
}

// Takes `count` of `free` from as few cells as it can, and so within each cell by the next level.
DeviceSet Topology::Pack(const std::vector<const Cells*>& levels, size_t depth,
                         const DeviceSet& free, uint32_t count) const {
  if (depth == levels.size() || count == 0) return Lowest(free, count);
  DeviceSet taken;
  while (count > 0) {
    const DeviceSet left = free.Minus(taken);
    DeviceSet best;
    bool best_holds = false;
    // Not in a cell: for one device those are the first to go, for several the last.
    DeviceSet rest = left;
    std::tuple<bool, bool, uint32_t, uint32_t> best_cost;
    const auto offer = [&](const DeviceSet& part, bool is_rest, bool whole) {
      const uint32_t size = part.Count();
      if (size == 0) return;
      const bool holds = size >= count;
      std::tuple<bool, bool, uint32_t, uint32_t> cost;
      if (holds) {
        cost = {is_rest == (count > 1), whole && size > count, size, LowestOf(part)};
        if (!is_rest && size == count) cost = {false, false, 0, LowestOf(part)};
      } else {
        cost = {is_rest, false, DeviceSet::kMax - size, LowestOf(part)};
      }
      if (!best.Empty() && (holds != best_holds ? best_holds : best_cost <= cost)) return;
      best = part;
      best_holds = holds;
      best_cost = cost;
    };
    for (const DeviceSet& cell : *levels[depth]) {
      offer(left & cell, false, Holds(left, cell));
      rest = rest.Minus(cell);
    }
    offer(rest, true, false);
    if (best.Empty()) break;
    const uint32_t most = std::min(count, best.Count());
    taken = taken | Pack(levels, depth + 1, best, most);
    count -= most;
  }
  return taken;
}

// Of the islands, or of those with a rule, that have room for it.
const Topology::Fabric* Topology::BestFabric(const DeviceSet& free, uint32_t count,
                                             bool islands) const {
  const Fabric* best = nullptr;
  std::tuple<bool, uint32_t, uint32_t> best_cost;
  for (const Fabric& fabric : fabrics_) {
    const DeviceSet part = free & fabric.members;
    if ((fabric.rule == Rule::kIsland) != islands || RoomIn(fabric, part, count) == 0) continue;
    const uint32_t size = part.Count();
    std::tuple<bool, uint32_t, uint32_t> cost = {part == fabric.members, size, LowestOf(part)};
    if (size == count) cost = {false, 0, LowestOf(part)};
    if (best != nullptr && best_cost <= cost) continue;
    best = &fabric;
    best_cost = cost;
  }
  return best;
}

DeviceSet Topology::Pick(const DeviceSet& free, uint32_t count, bool joined) const {
  if (plain()) {  // The hot path.
    const bool none = free.Count() < count || (joined && count > 1);
    return none ? DeviceSet() : Lowest(free, count);
  }
  DeviceSet loose = free;
  for (const Fabric& fabric : fabrics_)
    if (fabric.rule != Rule::kIsland) loose = loose.Minus(fabric.members);
  // One device alone is taken where no ring or slice is cut for it; several are better off in one.
  const bool loose_first = count == 1 && !loose.Empty();
  if (const Fabric* ruled = loose_first ? nullptr : BestFabric(free, count, false)) {
    const DeviceSet part = free & ruled->members;
    return ruled->rule == Rule::kRing ? PickOfRing(*ruled, part, count)
                                      : PickTile(*ruled, part, count);
  }
  if (joined && count > 1) {
    const Fabric* island = BestFabric(loose, count, true);
    return island == nullptr ? DeviceSet()
                             : Pack({&zones_, &cards_}, 0, loose & island->members, count);
  }
  if (loose.Count() < count) return DeviceSet();
  return Pack({&islands_, &zones_, &cards_}, 0, loose, count);
}

}  // namespace allot::scheduler
