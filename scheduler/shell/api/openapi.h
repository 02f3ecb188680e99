// The OpenAPI 3.0 document, built once from the route table, from the messages of
// common/proto/config.proto (bodies) and from schemas.cc (answers).
#pragma once

#include <string>

namespace allot::scheduler {

const std::string& OpenApiDocument();

// The schemas of answers: a JSON object, name → schema.
extern const char kAnswerSchemas[];

}  // namespace allot::scheduler
