#include "common/audit/settings.h"

#include "common/config/convert.h"

namespace allot::audit {

StatusOr<std::optional<Log::Options>> ToOptions(const config::Audit& config,
                                                const std::string& otherwise) {
  Log::Options options{.file = config.file().empty() ? otherwise : config.file()};
  if ((config.has_enabled() && !config.enabled()) || options.file.empty())
    return std::optional<Log::Options>();
  Bytes size_max = options.size_max;
  if (const Status taken = config::TakeBytes("size_max", config.size_max(), &size_max); !taken.ok())
    return InvalidArgument("audit.{}", MessageOf(taken));
  options.size_max = size_max;
  if (config.files() != 0) options.files = config.files();
  return std::optional(std::move(options));
}

}  // namespace allot::audit
