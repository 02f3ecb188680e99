// Which place a dial goes to.
#include "common/transport/endpoints.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::transport {
namespace {

class EndpointsTest : public ::testing::Test {
 protected:
  // The answer to one question: an address, or "?" and the endpoint that has none.
  std::string Ask(Endpoints& endpoints) {
    std::string said;
    endpoints.Next([&](StatusOr<Endpoints::Place> place) {
      said = place.ok() ? place->address : "? " + MessageOf(place.status());
    });
    EXPECT_EQ(said, "") << "answered from inside";
    loop_.restart();
    while (said.empty() && loop_.run_one() > 0) {
    }
    return said;
  }
  boost::asio::io_context loop_;
};

TEST_F(EndpointsTest, GoRound) {
  Endpoints endpoints(loop_, {"tcp://127.0.0.1:1", "tcp://[::1]:2", "tcp://10.0.0.3:3"});
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:1");
    EXPECT_EQ(Ask(endpoints), "tcp://[::1]:2");
    EXPECT_EQ(Ask(endpoints), "tcp://10.0.0.3:3");
  }
  EXPECT_EQ(endpoints.Text(), "tcp://127.0.0.1:1, tcp://[::1]:2, tcp://10.0.0.3:3");
}

TEST_F(EndpointsTest, BeginWithWhatWorked) {
  Endpoints endpoints(loop_, {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2", "tcp://127.0.0.1:3"});
  Ask(endpoints);
  EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:2");
  endpoints.Worked();
  EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:2");
  EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:3");
  EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:1");
}

TEST_F(EndpointsTest, ANameThatIsNotFoundIsSaidAndPassedOver) {
  Endpoints endpoints(loop_, {"tcp://no-such-host.invalid:1", "tcp://127.0.0.1:2"});
  EXPECT_THAT(Ask(endpoints),
              ::testing::StartsWith("? cannot find the host of tcp://no-such-host.invalid:1"));
  EXPECT_EQ(Ask(endpoints), "tcp://127.0.0.1:2");
}

TEST_F(EndpointsTest, AllAddressesOfANameHaveTheirTurn) {
  // What "localhost" is here: one address or two, the last endpoint after them all.
  Endpoints endpoints(loop_, {"tcp://localhost:1", "tcp://127.0.0.2:2"});
  std::vector<std::string> tried;
  do tried.push_back(Ask(endpoints));
  while (tried.back() != "tcp://127.0.0.2:2" && tried.size() < 10);
  ASSERT_GE(tried.size(), 2u);
  tried.pop_back();
  EXPECT_THAT(tried, ::testing::Each(::testing::AnyOf("tcp://127.0.0.1:1", "tcp://[::1]:1")));
}

TEST_F(EndpointsTest, AQuestionAskedAgainIsAnsweredOnce) {
  Endpoints endpoints(loop_, {"tcp://127.0.0.1:1", "tcp://127.0.0.1:2"});
  int first = 0, second = 0;
  endpoints.Next([&](StatusOr<Endpoints::Place>) { ++first; });
  endpoints.Next([&](StatusOr<Endpoints::Place>) { ++second; });
  loop_.run();
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 1);
}

TEST_F(EndpointsTest, NoAnswerAfterTheirEnd) {
  int answers = 0;
  {
    Endpoints endpoints(loop_, {"tcp://127.0.0.1:1"});
    endpoints.Next([&](StatusOr<Endpoints::Place>) { ++answers; });
  }
  loop_.run();
  EXPECT_EQ(answers, 0);
}

}  // namespace
}  // namespace allot::transport
