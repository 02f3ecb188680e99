#include "agent/devices/endpoint/endpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "common/base/loopback.h"

namespace allot::agent {
namespace {

constexpr size_t kTokenBytesMax = 16 << 10;

StatusOr<std::string> ReadToken(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kTokenBytesMax + 1, '\0');
  if (!in.is_open()) return NotFound("cannot open {}", path);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(in.gcount(), 0)));
  if (in.bad()) return Unavailable("cannot read {}", path);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
    text.pop_back();
  const bool one_word = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
  });
  // Whatever it holds is not repeated here: it may be a secret all the same.
  if (text.empty() || text.size() > kTokenBytesMax || !one_word)
    return InvalidArgument("{} does not hold one token on one line", path);
  return text;
}

bool OthersMayRead(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0;
}

StatusOr<std::shared_ptr<const Endpoint>> ReadEndpoint(const config::EndpointDevice& from,
                                                       const Catalogue& catalogue) {
  const std::string where = fmt::format("devices.endpoints: {}", from.name());
  const auto explain = [&where](const Status& status) {
    return InvalidArgument("{}: {}", where, MessageOf(status));
  };
  const CatalogueRow* row = catalogue.Find(from.model());
  if (row == nullptr)
    return InvalidArgument(
        "{}: model \"{}\" is not in the catalogue; see common/catalogue/devices.csv or add a row "
        "by "
        "catalogue_files",
        where, from.model());
  if (row->kind == DeviceKind::kCpu)
    return InvalidArgument("{}: model \"{}\" is a processor; an endpoint stands for an accelerator",
                           where, row->model);

  const auto to = std::make_shared<Endpoint>();
  to->name = from.name();
  to->model = row->model;
  to->vendor = row->vendor;
  to->kind = row->kind;
  to->memory = row->memory;
  StatusOr<Url> url = ParseUrl(from.url());
  if (!url.ok()) return InvalidArgument("{}: url {}", where, MessageOf(url.status()));
  to->url = *std::move(url);
  if (to->url.secure) {
    auto trust = http::TlsTrust::Load(from.ca_file());
    if (!trust.ok()) return explain(trust.status());
    to->trust = *std::move(trust);
  }
  if (from.has_price_usd_per_hour())
    to->price = PriceRate{Cost::FromDollars(from.price_usd_per_hour()).micros};
  if (!from.token_file().empty()) {
    auto token = TokenFile::Open(from.token_file());
    if (!token.ok()) return explain(token.status());
    to->token = *std::move(token);
    if (OthersMayRead(from.token_file()))
      to->warnings.push_back(fmt::format("endpoint {}: every user of this machine can read {}",
                                         to->name, from.token_file()));
    if (!to->url.secure && !IsLoopbackHost(to->url.host))
      to->warnings.push_back(
          fmt::format("endpoint {}: its token travels to {} in the clear; https would protect it",
                      to->name, ToString(to->url)));
  }
  to->health_path = from.health_path().empty() ? "/v1/models" : from.health_path();
  to->remote_model = from.remote_model();
  const uint32_t capacity = std::max(from.capacity(), 1U);
  for (uint32_t i = 0; i < capacity; ++i) {
    to->devices.push_back(capacity == 1 ? to->name : fmt::format("{}/{}", to->name, i));
    to->loads.push_back(std::make_shared<EndpointLoad>());
  }
  return std::shared_ptr<const Endpoint>(to);
}

}  // namespace

StatusOr<std::shared_ptr<TokenFile>> TokenFile::Open(const std::string& path) {
  std::shared_ptr<TokenFile> file(new TokenFile(path));
  RETURN_IF_ERROR(file->Refresh());
  return file;
}

std::string TokenFile::Get() const {
  const std::lock_guard lock(mutex_);
  return token_;
}

Status TokenFile::Refresh() {
  ASSIGN_OR_RETURN(std::string token, ReadToken(path_));
  const std::lock_guard lock(mutex_);
  token_ = std::move(token);
  return absl::OkStatus();
}

std::unique_ptr<http::Client> Endpoint::Connect(boost::asio::io_context& loop,
                                                size_t idle_max) const {
  return std::make_unique<http::Client>(loop, url, trust, idle_max);
}

http::ClientRequest Endpoint::HealthQuestion(Duration timeout) const {
  http::ClientRequest request;
  request.target = url.path + health_path;
  request.timeout = request.idle_timeout = timeout;
  request.headers.emplace_back("Accept", "application/json");
  if (token) request.headers.emplace_back("Authorization", "Bearer " + token->Get());
  return request;
}

StatusOr<Endpoints> ReadEndpoints(const config::AgentDevices& devices, const Catalogue& catalogue) {
  Endpoints endpoints;
  for (const config::EndpointDevice& from : devices.endpoints()) {
    ASSIGN_OR_RETURN(std::shared_ptr<const Endpoint> endpoint, ReadEndpoint(from, catalogue));
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

EndpointDirectory::EndpointDirectory(const Endpoints& endpoints) {
  for (const auto& endpoint : endpoints)
    for (size_t i = 0; i < endpoint->devices.size(); ++i)
      slots_[endpoint->devices[i]] = {endpoint, endpoint->loads[i]};
}

std::shared_ptr<const Endpoint> EndpointDirectory::Find(const std::string& device) const {
  const auto it = slots_.find(device);
  return it == slots_.end() ? nullptr : it->second.endpoint;
}

StatusOr<std::shared_ptr<const EndpointLease>> EndpointDirectory::Lease(
    const std::vector<std::string>& devices) const {
  auto lease = std::make_shared<EndpointLease>();
  for (const std::string& device : devices) {
    const auto it = slots_.find(device);
    if (it == slots_.end()) continue;
    if (lease->endpoint != nullptr && lease->endpoint != it->second.endpoint)
      return InvalidArgument(
          "a replica is served from one place, and its devices are the endpoints {} and {}; ask "
          "for "
          "one device, or for more of one model",
          lease->endpoint->name, it->second.endpoint->name);
    lease->endpoint = it->second.endpoint;
    lease->devices.push_back(device);
    lease->loads.push_back(it->second.load);
  }
  if (lease->endpoint == nullptr) return std::shared_ptr<const EndpointLease>();
  if (lease->devices.size() != devices.size())
    return InvalidArgument(
        "a replica is served from one place, and its devices are the endpoint {} and others of "
        "this "
        "machine; ask for one device, or for a model that only one of them has",
        lease->endpoint->name);
  return std::shared_ptr<const EndpointLease>(std::move(lease));
}

}  // namespace allot::agent
