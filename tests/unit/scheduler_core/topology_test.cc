// Which devices of a node a task gets: tables of whole nodes, and a search through all sets of
// small ones as the judge.
#include "scheduler/core/topology.h"

#include <rapidcheck.h>

#include <algorithm>
#include <numeric>

#include "common/base/rng.h"
#include "gtest/gtest.h"

namespace allot::scheduler {
namespace {

DeviceSet SetOf(const std::vector<uint32_t>& positions) {
  DeviceSet set;
  for (const uint32_t i : positions) set.Add(i);
  return set;
}

std::vector<uint32_t> Positions(const DeviceSet& set) {
  std::vector<uint32_t> positions;
  set.ForEach([&](uint32_t i) { positions.push_back(i); });
  return positions;
}

DeviceSet First(uint32_t count) {
  DeviceSet set;
  for (uint32_t i = 0; i < count; ++i) set.Add(i);
  return set;
}

std::vector<std::string> Names(uint32_t first, uint32_t count) {
  std::vector<std::string> names;
  for (uint32_t i = first; i < first + count; ++i) names.push_back(fmt::format("d{}", i));
  return names;
}

NodeInfo Node(uint32_t devices, std::vector<DeviceGroup> groups = {}) {
  NodeInfo node;
  for (uint32_t i = 0; i < devices; ++i) node.devices.emplace_back().id = fmt::format("d{}", i);
  node.groups = std::move(groups);
  return node;
}

NodeInfo OnZones(NodeInfo node, uint32_t each) {
  for (uint32_t i = 0; i < node.devices.size(); ++i)
    node.devices[i].numa_node = static_cast<int32_t>(i / each);
  return node;
}

// Chips c0, c1, … of `parts` each.
NodeInfo Parts(uint32_t chips, uint32_t parts, const std::string& kind, const std::string& shape) {
  NodeInfo node;
  DeviceGroup group{kind, {}, shape};
  for (uint32_t c = 0; c < chips; ++c) {
    group.members.push_back(fmt::format("c{}", c));
    for (uint32_t p = 0; p < parts; ++p) {
      Device& device = node.devices.emplace_back();
      device.id = fmt::format("c{}/s{}", c, p);
      device.parent = fmt::format("c{}", c);
    }
  }
  if (!kind.empty()) node.groups.push_back(group);
  return node;
}

NodeInfo Slice(uint32_t chips, const std::string& shape) {
  return Node(chips, {{"tpu-slice", Names(0, chips), shape}});
}

const NodeInfo kPlain = Node(8);
// Device 0 is in none; 4 is what the larger leaves of another.
const NodeInfo kOverlapping = Node(
    5, {{"nvlink", Names(1, 3), ""}, {"nvlink", Names(3, 2), ""}, {"nvlink", {"d1", "d3"}, ""}});
const NodeInfo kTwoIslands = Node(8, {{"nvlink", Names(0, 4), ""}, {"nvlink", Names(4, 4), ""}});
const NodeInfo kUnequalIslands =
    Node(8, {{"nvlink", Names(0, 5), ""}, {"nvlink", Names(5, 3), ""}});
const NodeInfo kHiveOfCards = Node(8, {{"xgmi-hive", Names(0, 8), ""},
                                       {"card", Names(0, 2), ""},
                                       {"card", Names(2, 2), ""},
                                       {"card", Names(4, 2), ""},
                                       {"card", Names(6, 2), ""}});
const NodeInfo kRing = Node(12, {{"neuronlink-ring", Names(0, 12), ""}});
const NodeInfo kLine = Node(6, {{"neuronlink-ring", Names(0, 6), "line"}});
const NodeInfo kSlice = Slice(8, "2,4,1");
const NodeInfo kSmallSlice = Slice(4, "2,2,1");
const NodeInfo kTorus = Node(16, {{"neuronlink-torus", Names(0, 16), "4,4"}});

TEST(Topology, TheSetsItTakes) {
  struct Row {
    const char* what;
    NodeInfo node;
    std::vector<uint32_t> busy;
    uint32_t count;
    bool joined;
    std::vector<uint32_t> taken;
  };
  const std::vector<Row> rows = {
      {"lowest where nothing tells them apart", kPlain, {0, 2}, 3, false, {1, 3, 4}},
      {"no fabric joins nothing", kPlain, {}, 2, true, {}},
      {"one alone is always joined", kPlain, {0}, 1, true, {1}},
      {"the broken island first", kTwoIslands, {1}, 1, false, {0}},
      {"the island that holds them", kTwoIslands, {0}, 4, false, {4, 5, 6, 7}},
      {"as broken as the other, and smaller", kTwoIslands, {0, 1, 4}, 2, false, {2, 3}},
      {"split when no island holds them", kTwoIslands, {0, 1, 4}, 4, false, {2, 5, 6, 7}},
      {"but not if joined", kTwoIslands, {0, 1, 4}, 4, true, {}},
      {"nothing left over beats broken", kUnequalIslands, {0}, 3, false, {5, 6, 7}},
      {"broken beats whole", kUnequalIslands, {0}, 2, false, {1, 2}},
      {"a whole card within the hive", kHiveOfCards, {0}, 2, false, {2, 3}},
      {"the broken card for one", kHiveOfCards, {2}, 1, false, {3}},
      {"cards are in the hive together", kHiveOfCards, {0}, 5, true, {1, 2, 3, 4, 5}},
      {"one NUMA node", OnZones(kPlain, 4), {0}, 4, false, {4, 5, 6, 7}},
      {"the NUMA node with less left", OnZones(kPlain, 4), {5, 6}, 2, false, {4, 7}},
      {"both where one is too small", OnZones(kPlain, 4), {0, 5, 6}, 4, false, {1, 2, 3, 4}},
      {"NUMA node within the island",
       OnZones(Node(8, {{"nvswitch-fabric", Names(0, 8), ""}}), 4),
       {0},
       4,
       true,
       {4, 5, 6, 7}},
      {"a ring from its start", kRing, {}, 3, false, {0, 1, 2}},
      {"the shortest run that holds them", kRing, {0, 3, 4, 8}, 2, false, {1, 2}},
      {"the end of a ring meets its start",
       kRing,
       {2, 3, 4, 5, 6, 7, 8, 9},
       4,
       false,
       {0, 1, 10, 11}},
      {"never beyond a gap", kRing, {1, 3, 5, 7, 9, 11}, 2, false, {}},
      {"a whole ring", kRing, {}, 12, false, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
      {"the end of the run that stays on a NUMA node",
       OnZones(kRing, 6),
       {0, 1, 2, 3},
       3,
       false,
       {9, 10, 11}},
      {"the end of a line is its end", kLine, {1, 2, 3, 4}, 2, false, {}},
      {"a box of two", kSlice, {0}, 2, false, {2, 3}},
      {"one where a box is broken", kSlice, {0, 1, 2}, 1, false, {3}},
      {"a box of four", kSlice, {0}, 4, false, {4, 5, 6, 7}},
      {"a box begins at a multiple of its sides", kSlice, {0, 7}, 4, false, {}},
      {"all", kSlice, {}, 8, false, {0, 1, 2, 3, 4, 5, 6, 7}},
      {"three are no box", kSlice, {}, 3, false, {}},
      {"two of four", kSmallSlice, {0}, 2, false, {2, 3}},
      {"a slice without a shape has the usual one", Slice(8, ""), {0}, 4, false, {4, 5, 6, 7}},
      {"so has one of two", Slice(2, ""), {}, 2, false, {0, 1}},
      {"and they are joined", Slice(2, ""), {}, 2, true, {0, 1}},
      {"as are those of four", Slice(4, ""), {}, 4, true, {0, 1, 2, 3}},
      {"in rows of two", Slice(4, ""), {0}, 2, true, {2, 3}},
      {"and no others", Slice(4, ""), {0, 3}, 2, false, {}},
      {"a shape that is not theirs is none", Slice(4, "2,4,1"), {}, 2, false, {}},
      {"nor is one of four sides", Slice(4, "2,2,1,1"), {}, 2, false, {}},
      {"more members than a node has devices are no group",
       Node(4, {{"neuronlink-ring", Names(0, 129), "ring"}}),
       {},
       2,
       true,
       {}},
      {"nor an island", Node(4, {{"nvlink", Names(0, 129), ""}}), {}, 2, true, {}},
      {"one left over by another island is none", kOverlapping, {}, 1, false, {0}},
      {"chips that make no box are used one by one", Slice(7, ""), {}, 2, false, {}},
      {"a row of the torus", kTorus, {5}, 4, false, {0, 1, 2, 3}},
      {"the row whose other half is taken", kTorus, {9}, 4, false, {12, 13, 14, 15}},
      {"two rows", kTorus, {0}, 8, false, {8, 9, 10, 11, 12, 13, 14, 15}},
      {"two chips of a torus are no row", kTorus, {}, 2, false, {}},
      {"one chip of the broken row", kTorus, {6}, 1, false, {4}},
      {"a member that is not there is a gap",
       Node(4, {{"neuronlink-ring", {"d0", "d1", "gone", "d2", "d3"}, "line"}}),
       {},
       3,
       false,
       {}},
      {"cores of one chip", Parts(4, 2, "neuronlink-ring", ""), {0}, 2, false, {6, 7}},
      {"neighbouring cores", Parts(4, 2, "neuronlink-ring", ""), {0, 3}, 3, false, {4, 5, 6}},
      {"cores within a chip of a torus",
       Parts(16, 8, "neuronlink-torus", "4,4"),
       {0},
       7,
       false,
       {1, 2, 3, 4, 5, 6, 7}},
      {"no cores of two chips of a torus",
       Parts(16, 8, "neuronlink-torus", "4,4"),
       {},
       9,
       false,
       {}},
      {"parts of one chip are joined", Parts(2, 4, "", ""), {0}, 4, true, {4, 5, 6, 7}},
      {"the run of a broken chip that holds them",
       Parts(2, 4, "neuronlink-ring", ""),
       {1, 4, 5, 6, 7},
       2,
       false,
       {2, 3}},
      {"of a torus as well", Parts(16, 8, "neuronlink-torus", "4,4"), {1}, 2, false, {2, 3}},
      {"the broken chip first", Parts(2, 4, "", ""), {5}, 2, false, {4, 6}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    const Topology topology(row.node);
    const DeviceSet free =
        First(static_cast<uint32_t>(row.node.devices.size())).Minus(SetOf(row.busy));
    EXPECT_EQ(Positions(topology.Pick(free, row.count, row.joined)), row.taken);
    EXPECT_EQ(topology.Room(free, row.count, row.joined) > 0, !row.taken.empty());
  }
}

TEST(Topology, HowManyFindRoomAtOnce) {
  struct Row {
    NodeInfo node;
    std::vector<uint32_t> busy;
    uint32_t count;
    bool joined;
    uint32_t room;
  };
  const std::vector<Row> rows = {
      {kPlain, {}, 3, false, 2},
      {kPlain, {}, 2, true, 0},
      {kTwoIslands, {}, 3, false, 2},
      {kTwoIslands, {0, 1}, 3, false, 2},
      {kTwoIslands, {0, 1}, 3, true, 1},
      {kRing, {}, 5, false, 2},
      {kRing, {0}, 4, false, 2},  // eleven in a row
      {kRing, {0, 6}, 5, false, 2},
      {kRing, {0, 5}, 5, false, 1},  // four and six
      {kSlice, {0}, 2, false, 3},
      {kSlice, {0, 2}, 2, false, 2},
      {kSlice, {0, 4}, 4, false, 0},
      {kTorus, {0, 5}, 4, false, 2},
      {kTorus, {0}, 8, false, 1},
      {kTorus, {}, 5, false, 0},
      {Parts(4, 2, "neuronlink-ring", ""), {1}, 2, false, 3},         // seven cores in a row
      {Parts(4, 4, "neuronlink-torus", "2,2"), {1, 2}, 2, false, 6},  // no ring within a chip
  };
  for (const Row& row : rows) {
    const DeviceSet free =
        First(static_cast<uint32_t>(row.node.devices.size())).Minus(SetOf(row.busy));
    EXPECT_EQ(Topology(row.node).Room(free, row.count, row.joined), row.room)
        << "row " << &row - rows.data();
  }
}

TEST(Topology, PlainNodesHaveNone) {
  EXPECT_TRUE(Topology(kPlain).plain());
  EXPECT_FALSE(Topology(kPlain).restricted());
  EXPECT_TRUE(Topology(OnZones(kPlain, 8)).plain());
  EXPECT_FALSE(Topology(OnZones(kPlain, 4)).plain());
  EXPECT_FALSE(Topology(kTwoIslands).restricted());
  EXPECT_TRUE(Topology(kRing).restricted());
  EXPECT_TRUE(Topology(Node(4, {{"nvlink", {"x", "y"}, ""}})).plain());  // of devices it has not
}

// ---- against a search through all sets ---------------------------------------------------------

// A small node and, worked out apart from Topology, which sets a task may use.
struct Case {
  NodeInfo node;
  std::function<bool(const std::vector<uint32_t>& set, bool joined)> usable;
};

bool Within(const std::vector<uint32_t>& set, const std::vector<uint32_t>& members) {
  return std::all_of(set.begin(), set.end(), [&](uint32_t i) {
    return std::find(members.begin(), members.end(), i) != members.end();
  });
}
bool Meets(const std::vector<uint32_t>& set, const std::vector<uint32_t>& members) {
  return std::any_of(set.begin(), set.end(), [&](uint32_t i) {
    return std::find(members.begin(), members.end(), i) != members.end();
  });
}

std::vector<uint32_t> Shuffled(Rng& rng, uint32_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  for (uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.Below(i)]);
  return order;
}

std::vector<std::string> NamesOf(const std::vector<uint32_t>& positions) {
  std::vector<std::string> names;
  for (const uint32_t i : positions) names.push_back(fmt::format("d{}", i));
  return names;
}

// Some of the devices in a ring, in any order; the others in none.
Case RingCase(Rng& rng) {
  const auto count = static_cast<uint32_t>(2 + rng.Below(8));
  std::vector<uint32_t> ring = Shuffled(rng, count);
  ring.resize(2 + rng.Below(count - 1));
  const bool closed = rng.OneIn(2);
  Case c;
  c.node = Node(count, {{"neuronlink-ring", NamesOf(ring), closed ? "" : "line"}});
  c.usable = [ring, closed](const std::vector<uint32_t>& set, bool joined) {
    if (set.size() == 1) return true;
    if (!Meets(set, ring)) return !joined;
    if (!Within(set, ring)) return false;
    for (size_t start = 0; start < ring.size(); ++start) {
      if (!closed && start + set.size() > ring.size()) break;
      std::vector<uint32_t> arc;
      for (size_t i = 0; i < set.size(); ++i) arc.push_back(ring[(start + i) % ring.size()]);
      if (Within(set, arc)) return true;
    }
    return false;
  };
  return c;
}

// Islands that hold each other or do not meet.
Case IslandCase(Rng& rng) {
  const auto count = static_cast<uint32_t>(2 + rng.Below(8));
  const std::vector<uint32_t> order = Shuffled(rng, count);
  std::vector<std::vector<uint32_t>> islands;
  for (uint32_t at = 0; at + 2 <= count;) {
    const auto size = static_cast<uint32_t>(2 + rng.Below(count - at - 1));
    const auto begin = order.begin() + at;
    if (!rng.OneIn(4)) {
      islands.emplace_back(begin, begin + size);
      if (size > 3 && rng.OneIn(2)) islands.emplace_back(begin, begin + 2);
    }
    at += size;
  }
  Case c;
  c.node = Node(count);
  for (const std::vector<uint32_t>& island : islands)
    c.node.groups.push_back({"nvlink", NamesOf(island), ""});
  if (rng.OneIn(2))
    for (Device& device : c.node.devices) device.numa_node = static_cast<int32_t>(rng.Below(3)) - 1;
  c.usable = [islands](const std::vector<uint32_t>& set, bool joined) {
    if (!joined || set.size() == 1) return true;
    return std::any_of(islands.begin(), islands.end(),
                       [&](const std::vector<uint32_t>& island) { return Within(set, island); });
  };
  return c;
}

Case SliceCase(Rng& rng) {
  struct Known {
    const char* shape;
    uint32_t chips;
    std::vector<std::vector<uint32_t>> boxes;
  };
  static const std::vector<Known> kKnown = {
      {"2,4,1",
       8,
       {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 1, 2, 3}, {4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}}},
      {"2,2,2",
       8,
       {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 1, 2, 3}, {4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}}},
      {"4,2,1",
       8,
       {{0, 1}, {2, 3}, {4, 5}, {6, 7}, {0, 1, 4, 5}, {2, 3, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}}},
      {"2,2,1", 4, {{0, 1}, {2, 3}, {0, 1, 2, 3}}},
      {"1,2,1", 2, {{0, 1}}},
      {"3,2,1", 6, {{0, 1, 2, 3, 4, 5}}},
  };
  const Known& known = kKnown[rng.Below(kKnown.size())];
  const auto others = static_cast<uint32_t>(rng.Below(3));
  Case c;
  c.node = Node(known.chips + others, {{"tpu-slice", Names(0, known.chips), known.shape}});
  c.usable = [&known](const std::vector<uint32_t>& set, bool joined) {
    if (set.size() == 1) return true;
    if (set.front() >= known.chips) return !joined;
    return std::find(known.boxes.begin(), known.boxes.end(), set) != known.boxes.end();
  };
  return c;
}

// The most sets of `count` that are usable, free and share nothing.
uint32_t Most(const std::vector<DeviceSet>& usable, const DeviceSet& free, size_t from = 0) {
  uint32_t most = 0;
  for (size_t i = from; i < usable.size(); ++i) {
    if (!usable[i].Minus(free).Empty()) continue;
    most = std::max(most, 1 + Most(usable, free.Minus(usable[i]), i + 1));
  }
  return most;
}

std::vector<DeviceSet> UsableSets(const Case& c, const DeviceSet& free, uint32_t count,
                                  bool joined) {
  std::vector<DeviceSet> sets;
  const std::vector<uint32_t> all = Positions(free);
  for (uint32_t bits = 0; bits < (1U << all.size()); ++bits) {
    if (static_cast<uint32_t>(std::popcount(bits)) != count) continue;
    std::vector<uint32_t> set;
    for (size_t i = 0; i < all.size(); ++i)
      if ((bits >> i & 1) != 0) set.push_back(all[i]);
    if (c.usable(set, joined)) sets.push_back(SetOf(set));
  }
  return sets;
}

void CheckAgainstAllSets(const std::function<Case(Rng&)>& make, uint64_t seed) {
  Rng rng(seed);
  const Case c = make(rng);
  const Topology topology(c.node);
  const auto devices = static_cast<uint32_t>(c.node.devices.size());
  DeviceSet free;
  for (uint32_t i = 0; i < devices; ++i)
    if (!rng.OneIn(4)) free.Add(i);
  const auto count = static_cast<uint32_t>(1 + rng.Below(devices));
  const bool joined = rng.OneIn(2);
  const std::vector<DeviceSet> usable = UsableSets(c, free, count, joined);
  // Disjoint sets are as many as fit by number alone where every set is usable; else few are.
  const bool any = !joined && !topology.restricted();
  RC_ASSERT(topology.Room(free, count, joined) ==
            (any ? free.Count() / count : Most(usable, free)));
  while (true) {
    const uint32_t room = topology.Room(free, count, joined);
    const DeviceSet taken = topology.Pick(free, count, joined);
    RC_ASSERT(taken.Empty() == (room == 0));
    if (room == 0) break;
    RC_ASSERT(taken.Count() == count);
    RC_ASSERT(taken.Minus(free).Empty());
    RC_ASSERT(std::find(usable.begin(), usable.end(), taken) != usable.end());
    free = free.Minus(taken);
    RC_ASSERT(topology.Room(free, count, joined) == room - 1);
  }
}

TEST(TopologyProperty, RingsAgreeWithAllSets) {
  EXPECT_TRUE(rc::check("rings", [](uint64_t seed) { CheckAgainstAllSets(RingCase, seed); }));
}
TEST(TopologyProperty, IslandsAgreeWithAllSets) {
  EXPECT_TRUE(rc::check("islands", [](uint64_t seed) { CheckAgainstAllSets(IslandCase, seed); }));
}
TEST(TopologyProperty, SlicesAgreeWithAllSets) {
  EXPECT_TRUE(rc::check("slices", [](uint64_t seed) { CheckAgainstAllSets(SliceCase, seed); }));
}

// Whatever an agent says: groups that overlap, name a device twice or none, shapes that are none.
TEST(TopologyProperty, NonsenseIsTakenOneByOne) {
  EXPECT_TRUE(rc::check("nonsense", [](uint64_t seed) {
    Rng rng(seed);
    const auto devices = static_cast<uint32_t>(1 + rng.Below(DeviceSet::kMax));
    NodeInfo node = Node(devices);
    static const std::vector<std::string> kKinds = {
        "neuronlink-ring", "neuronlink-torus", "tpu-slice", "nvlink", "card", ""};
    static const std::vector<std::string> kShapes = {"",
                                                     "line",
                                                     "4,4",
                                                     "2,4,1",
                                                     "0,1,2",
                                                     "-1,2",
                                                     "2,,2",
                                                     "x",
                                                     "128,128,128",
                                                     "1,1,1,1",
                                                     "999999999999999999999,1"};
    for (Device& device : node.devices) {
      device.numa_node = static_cast<int32_t>(rng.Below(4)) - 1;
      if (rng.OneIn(8)) device.parent = fmt::format("d{}", rng.Below(devices));
    }
    for (uint64_t groups = rng.Below(6); groups > 0; --groups) {
      DeviceGroup& group = node.groups.emplace_back();
      group.kind = kKinds[rng.Below(kKinds.size())];
      group.shape = kShapes[rng.Below(kShapes.size())];
      for (uint64_t i = rng.Below(40); i > 0; --i)
        group.members.push_back(fmt::format("d{}", rng.Below(devices + 3)));
    }
    const Topology topology(node);
    DeviceSet free;
    for (uint32_t i = 0; i < devices; ++i)
      if (!rng.OneIn(4)) free.Add(i);
    const auto count = static_cast<uint32_t>(1 + rng.Below(rng.OneIn(2) ? 4 : devices));
    const bool joined = rng.OneIn(2);
    for (uint32_t room = topology.Room(free, count, joined); room > 0; --room) {
      RC_ASSERT(room <= free.Count() / count);
      const DeviceSet taken = topology.Pick(free, count, joined);
      RC_ASSERT(taken.Count() == count && taken.Minus(free).Empty());
      free = free.Minus(taken);
      RC_ASSERT(topology.Room(free, count, joined) == room - 1);
    }
    RC_ASSERT(topology.Pick(free, count, joined).Empty());
    RC_ASSERT(count > 1 || free.Empty());
  }));
}

}  // namespace
}  // namespace allot::scheduler
