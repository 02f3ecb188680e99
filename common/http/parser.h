// HTTP/1.1 messages from bytes, incrementally. Beast's parser does the work; it is included in
// parser.cc only, and writes straight into our structs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/http/server.h"

namespace allot::http {

class RequestParser {
 public:
  enum class Result { kNeedMore, kDone, kMalformed, kHeadTooLarge, kBodyTooLarge };

  RequestParser(size_t header_bytes_max, size_t body_bytes_max);
  ~RequestParser();

  // Parses one request at most. `*consumed` bytes are done with; the rest must come again, first
  // in the next call, and is never more than header_bytes_max after kNeedMore: that holds for the
  // head together with extensions of chunks, trailers and what of them is unfinished
  // (kHeadTooLarge beyond). After an error the connection cannot be used any more.
  Result Feed(std::string_view bytes, size_t* consumed);
  bool started() const;  // some bytes of the request were seen
  bool head_done() const;

  // Once the head is done:
  bool keep_alive() const;
  bool http_1_0() const;
  size_t head_memory() const;  // bytes that what has come of the head takes
  const Request& request() const;  // all but path, query, peer
  const std::string& target() const;

  // The request; the parser is ready for the next.
  Request Take();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class ResponseParser {
 public:
  enum class Result { kNeedMore, kDone, kMalformed };

  // `head`: the answer to a HEAD request, which has no body whatever its header says.
  explicit ResponseParser(bool head);
  ~ResponseParser();

  Result Feed(std::string_view bytes, size_t* consumed);
  // The peer closed. True if that completes the message.
  bool FinishAtEof();
  bool head_done() const;   // of the final answer; 1xx ones are skipped
  bool keep_alive() const;  // once done
  int status() const;
  Headers TakeHeaders();   // names in lower case
  std::string TakeBody();  // what arrived since the last call

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace allot::http
