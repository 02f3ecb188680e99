#include "common/transport/ledger.h"

#include "gtest/gtest.h"

namespace allot::transport {
namespace {

TEST(ConnectionLedger, AnnouncedFailuresCountOnce) {
  ConnectionLedger ledger;
  ledger.Accepted(9);
  ledger.HandshakeFailed();
  ledger.Disconnected(9);
  EXPECT_EQ(ledger.handshakes_failed(), 1u);
  EXPECT_EQ(ledger.accepted(), 1u);
  EXPECT_EQ(ledger.disconnected(), 1u);
}

TEST(ConnectionLedger, ConnectionsThatJustEndAreFailures) {
  ConnectionLedger ledger;
  ledger.Accepted(9);
  ledger.Disconnected(9);
  EXPECT_EQ(ledger.handshakes_failed(), 1u);
}

TEST(ConnectionLedger, PeersThatSpokeOrWereAdmittedAreNot) {
  ConnectionLedger ledger;
  ledger.Accepted(9);
  ledger.HandshakeSucceeded();
  ledger.Spoke(9);
  ledger.Spoke(9);
  ledger.Accepted(10);  // admitted, and silent
  ledger.HandshakeSucceeded();
  ledger.Disconnected(9);
  ledger.Disconnected(10);
  EXPECT_EQ(ledger.handshakes_failed(), 0u);
}

TEST(ConnectionLedger, StrangersAmongSpeakingPeersAreSeen) {
  ConnectionLedger ledger;
  for (int fd = 0; fd < 100; ++fd) {
    ledger.Accepted(fd);
    ledger.HandshakeSucceeded();
    ledger.Spoke(fd);
  }
  ledger.Accepted(100);
  ledger.Disconnected(100);
  EXPECT_EQ(ledger.handshakes_failed(), 1u);
  // A descriptor is used again after its connection has ended.
  ledger.Disconnected(5);
  ledger.Accepted(5);
  ledger.Disconnected(5);
  EXPECT_EQ(ledger.handshakes_failed(), 2u);
}

TEST(ConnectionLedger, DescriptorsItNeverSawAreHarmless) {
  ConnectionLedger ledger;
  ledger.Spoke(-1);
  ledger.Spoke(1000);
  ledger.Accepted(-1);
  ledger.Disconnected(-1);
  EXPECT_EQ(ledger.disconnected(), 1u);
}

}  // namespace
}  // namespace allot::transport
