#include "gateway/settings.h"

#include "common/auth/tokens.h"
#include "common/config/bind.h"
#include "common/config/convert.h"

namespace allot::gateway {
namespace {

void Take(const std::string& from, std::string* to) {
  if (!from.empty()) *to = from;
}

}  // namespace

StatusOr<config::Gateway> LoadConfig(const std::string& path) {
  config::Gateway config;
  RETURN_IF_ERROR(config::LoadYamlFile(path, &config));
  if (Status good = config::Check(config); !good.ok())
    return Status(good.code(), fmt::format("{}: {}", path, MessageOf(good)));
  return config;
}

StatusOr<Options> ToOptions(const config::Gateway& config) {
  Options options;
  options.name = config.name();
  Take(config.listen(), &options.listen);
  options.advertise = config.advertise();
  Take(config.http_listen(), &options.http_listen);
  if (!config.body_max().empty()) {
    ASSIGN_OR_RETURN(options.body_bytes_max, config::ParseBytes(config.body_max()));
  }
  options.allow_file = config.allow_file();
  options.scheduler = config.scheduler();
  options.scheduler_public_key = config.scheduler_public_key();
  options.tokens_file = config.tokens_file();
  options.local = config.local();
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  RETURN_IF_ERROR(transport::LoadAllowFile(config.allow_file()).status());
  RETURN_IF_ERROR(
      auth::Tokens::Load({.file = options.tokens_file, .local = options.local}).status());
  return options;
}

}  // namespace allot::gateway
