#include "agent/shell/gateway_memory.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace allot::agent {
namespace {

using ::testing::IsEmpty;

class GatewayMemory : public ::testing::Test {
 protected:
  GatewayMemory() {
    std::string name = std::filesystem::temp_directory_path() / "allot-test-XXXXXX";
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~GatewayMemory() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(GatewayMemory, HasTheLastThatWereNamed) {
  EXPECT_THAT(RememberedGateways(folder_).gateways, IsEmpty());
  SetGateways gateways;
  gateways.gateways = {{"tcp://10.0.0.1:7410", "key1"}, {"tcp://[fd00::2]:7410", "key2"}};
  RememberGateways(folder_, gateways);
  EXPECT_EQ(RememberedGateways(folder_).gateways, gateways.gateways);
  gateways.gateways.pop_back();
  RememberGateways(folder_, gateways);
  EXPECT_EQ(RememberedGateways(folder_).gateways, gateways.gateways);
}

// It is a help and no more: what cannot be read is as good as nothing, and is written over.
TEST_F(GatewayMemory, ThatCannotBeReadIsNone) {
  std::ofstream(folder_ + "/gateways") << "\x0a\xff garbage";
  EXPECT_THAT(RememberedGateways(folder_).gateways, IsEmpty());
  SetGateways gateways;
  gateways.gateways = {{"tcp://10.0.0.1:7410", "key1"}};
  RememberGateways(folder_, gateways);
  EXPECT_EQ(RememberedGateways(folder_).gateways, gateways.gateways);
}

TEST_F(GatewayMemory, ThatCannotBeWrittenStopsNothing) {
  RememberGateways(folder_ + "/gone", {});
  EXPECT_THAT(RememberedGateways(folder_ + "/gone").gateways, IsEmpty());
}

}  // namespace
}  // namespace allot::agent
