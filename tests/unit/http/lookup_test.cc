#include "common/http/lookup.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Lookup, AnAddressIsItself) {
  for (const char* address : {"10.0.0.1", "::1", "fd00::5", "fe80::1%lo"})
    EXPECT_THAT(*Lookup(address), ElementsAre(address));
}

TEST(Lookup, LocalhostNeedsNobody) {
  EXPECT_THAT(*Lookup("localhost"), ElementsAre("127.0.0.1", "::1"));
}

TEST(Lookup, NamesAreTheMachinesToKnow) {
  // Of all that machines know, this reads alike everywhere: getent turns such numbers into
  // addresses.
  EXPECT_THAT(*Lookup("127.1"), ElementsAre("127.0.0.1"));
}

TEST(Lookup, WhatNobodyKnowsIsNotFound) {
  for (const char* host : {"-h", "--help", ""}) {
    const auto found = Lookup(host);
    ASSERT_FALSE(found.ok()) << host;
    EXPECT_THAT(MessageOf(found.status()), HasSubstr("no machine of the name"));
  }
}

}  // namespace
}  // namespace allot::http
