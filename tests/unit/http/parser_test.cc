// Heads and bodies that come in whatever pieces a network makes of them.
#include "common/http/parser.h"

#include <string>

#include "gtest/gtest.h"

namespace allot::http {
namespace {

// Gives `bytes` in pieces of `piece`, and again what was not taken, as a connection does.
template <class Parser>
typename Parser::Result InPieces(Parser& parser, std::string_view bytes, size_t piece) {
  std::string held;
  auto result = Parser::Result::kNeedMore;
  while (!bytes.empty() && result == Parser::Result::kNeedMore) {
    held += bytes.substr(0, piece);
    bytes.remove_prefix(std::min(piece, bytes.size()));
    size_t consumed = 0;
    result = parser.Feed(held, &consumed);
    held.erase(0, consumed);
  }
  return result;
}

constexpr std::string_view kBodies[] = {
    "0\r\n\r\n",                         // The last chunk is the first.
    "0\r\nA: b\r\n\r\n",                 // … and has fields behind it
    "3\r\n0\r\n\r\n0\r\n\r\n",           // a chunk that looks like the last one
    "1\r\n0\r\n2\r\n00\r\n000\r\n\r\n",  // and more noughts
};

TEST(Parser, ChunksEndInWhateverPiecesTheyCome) {
  for (const std::string_view body : kBodies)
    for (size_t piece = 1; piece <= 64; ++piece) {
      RequestParser request(4096, 4096);
      EXPECT_EQ(InPieces(request,
                         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                             std::string(body),
                         piece),
                RequestParser::Result::kDone)
          << body << " by " << piece;
      ResponseParser response(/*head=*/false);
      EXPECT_EQ(
          InPieces(response,
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body),
                   piece),
          ResponseParser::Result::kDone)
          << body << " by " << piece;
    }
}

}  // namespace
}  // namespace allot::http
