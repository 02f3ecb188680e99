#include "common/base/loopback.h"

#include "gtest/gtest.h"

namespace allot {
namespace {

TEST(Loopback, IsThisMachineAndNothingThatOnlyBeginsLikeIt) {
  for (const char* host :
       {"localhost", "[::1]", "::1", "127.0.0.1", "127.1.2.3", "127.255.255.255"})
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  for (const char* host : {"",
                           "127.evil.example",
                           "127.0.0.1.evil.example",
                           "127.0.0.1.",
                           "127.0.0",
                           "127.0.0.1.1",
                           "127.0.0.256",
                           "127.0.0.01",
                           "127.1",
                           "127..0.1",
                           "0.0.0.0",
                           "10.0.0.1",
                           "127",
                           "::",
                           "[::]",
                           "[::1",
                           "[::1].evil.example",
                           "localhost.evil.example",
                           "localhost.",
                           "notlocalhost"})
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
}

TEST(Loopback, MayHaveAPort) {
  for (const char* authority : {"localhost", "localhost:7401", "127.0.0.1:1", "[::1]", "[::1]:80"})
    EXPECT_TRUE(IsLoopbackAuthority(authority)) << authority;
  for (const char* authority :
       {"127.evil.example:7401", "[::1]evil.example", "[::1].evil.example:80", "localhost:80x",
        "localhost:", "127.0.0.1:evil", "user@evil.example:1", "127.0.0.1:80@evil.example", ":80",
        "evil.example]:80"})
    EXPECT_FALSE(IsLoopbackAuthority(authority)) << authority;
}

}  // namespace
}  // namespace allot
