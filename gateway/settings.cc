#include "gateway/settings.h"

#include "common/audit/settings.h"
#include "common/auth/tokens.h"
#include "common/base/address.h"
#include "common/config/convert.h"
#include "common/http/cors.h"

namespace allot::gateway {
StatusOr<config::Gateway> LoadConfig(const std::string& path) {
  return config::LoadChecked<config::Gateway>(path);
}

Status TakeOrigins(const config::Gateway& config, std::vector<std::string>* origins) {
  for (int i = 0; i < config.cors_origins_size(); ++i) {
    const Status sound = http::CheckOrigin(config.cors_origins(i));
    if (!sound.ok()) return InvalidArgument("cors_origins[{}] {}", i, MessageOf(sound));
    origins->push_back(config.cors_origins(i));
  }
  return absl::OkStatus();
}

Status TakeLimits(const config::Gateway& config, Options* options) {
  RETURN_IF_ERROR(config::TakeBytes("body_max", config.body_max(), &options->body_bytes_max));
  RETURN_IF_ERROR(
      config::TakeBytes("answers_max", config.answers_max(), &options->answers_bytes_max));
  if (config.connections_max() != 0) options->connections_max = config.connections_max();
  if (config.connections_per_address_max() != 0)
    options->connections_per_address_max = config.connections_per_address_max();
  return absl::OkStatus();
}

void TakeTls(const config::Gateway& config, Options* options) {
  if (config.has_tls())
    options->tls =
        http::TlsFiles{config.tls().certificate(), config.tls().key(), config.tls().client_ca()};
  options->plain_tokens = options->plain_tokens || config.plain_tokens();
}

StatusOr<Options> ToOptions(const config::Gateway& config) {
  Options options;
  options.name = config.name();
  config::TakeText(config.listen(), &options.listen);
  options.advertise = config.advertise().empty() ? "" : WithScheme(config.advertise());
  options.http_advertise = config.http_advertise();
  config::TakeText(config.http_listen(), &options.http_listen);
  RETURN_IF_ERROR(TakeLimits(config, &options));
  RETURN_IF_ERROR(TakeOrigins(config, &options.cors_origins));
  options.allow_file = config.allow_file();
  for (const std::string& endpoint : config.scheduler())
    options.schedulers.push_back(WithScheme(endpoint));
  options.scheduler_public_key = config.scheduler_public_key();
  RETURN_IF_ERROR(transport::CheckKeyText(options.scheduler_public_key, "scheduler_public_key"));
  options.tokens_file = config.tokens_file();
  ASSIGN_OR_RETURN(options.audit,
                   audit::ToOptions(config.audit(), config.state_dir().empty()
                                                        ? ""
                                                        : fmt::format("{}/{}", config.state_dir(),
                                                                      audit::kFileName)));
  if (!config.state_dir().empty()) options.renewed_keys_file = config.state_dir() + "/renewed.keys";
  options.local = config.local();
  options.open = config.auth() == "none";
  TakeTls(config, &options);
  ASSIGN_OR_RETURN(options.keys, transport::LoadKeyFile(config.key_file()));
  if (!config.allow_file().empty()) {
    RETURN_IF_ERROR(transport::LoadAllowFile(config.allow_file()).status());
  }
  RETURN_IF_ERROR(
      auth::Tokens::Load({.file = options.tokens_file, .learns = true, .open = options.open})
          .status());
  return options;
}

}  // namespace allot::gateway
