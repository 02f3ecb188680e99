#include "common/enroll/serve.h"

#include "common/enroll/exchange.h"

namespace allot::enroll {

int Serve(std::FILE* in, std::FILE* out) {
  std::string text;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, in)) > 0;) text.append(buffer, n);
  const StatusOr<Question> question = ParseQuestion(text);
  const std::string said =
      ToText(question.ok() ? Ask(*question) : StatusOr<Answer>(question.status())) + "\n";
  const bool written = std::fwrite(said.data(), 1, said.size(), out) == said.size();
  return written && std::fflush(out) == 0 ? 0 : 1;
}

}  // namespace allot::enroll
