#include "gateway/settings.h"

#include "common/auth/tokens.h"
#include "common/config/convert.h"

namespace allot::gateway {
StatusOr<config::Gateway> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Gateway>(path);
}

StatusOr<Options> ToOptions(const config::Gateway& config) {
  Options options;
  options.name = config.name();
  config::TakeText(config.listen(), &options.listen);
  options.advertise = config.advertise();
  config::TakeText(config.http_listen(), &options.http_listen);
  RETURN_IF_ERROR(config::TakeBytes("body_max", config.body_max(), &options.body_bytes_max));
  options.allow_file = config.allow_file();
  options.schedulers = {config.scheduler().begin(), config.scheduler().end()};
  options.scheduler_public_key = config.scheduler_public_key();
  RETURN_IF_ERROR(transport::CheckKeyText(options.scheduler_public_key, "scheduler_public_key"));
  options.tokens_file = config.tokens_file();
  options.local = config.local();
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  RETURN_IF_ERROR(transport::LoadAllowFile(config.allow_file()).status());
  RETURN_IF_ERROR(
      auth::Tokens::Load({.file = options.tokens_file, .local = options.local}).status());
  return options;
}

}  // namespace allot::gateway
