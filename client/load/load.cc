#include "client/load/load.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <thread>

#include "client/api.h"
#include "common/base/near_word.h"
#include "common/base/thread.h"
#include "common/http/blocking_client.h"
#include "common/json/json.h"

namespace allot::client::load {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string HeaderOf(const http::Headers& headers, std::string_view lower_case_name) {
  for (const auto& [name, value] : headers) {
    if (name.size() != lower_case_name.size()) continue;
    bool same = true;
    for (size_t i = 0; i < name.size() && same; ++i)
      same = std::tolower(static_cast<unsigned char>(name[i])) == lower_case_name[i];
    if (same) return value;
  }
  return "";
}

void ReadHeaders(const http::Headers& headers, Sample* sample) {
  sample->policy = HeaderOf(headers, "x-allot-policy");
  sample->device_model = HeaderOf(headers, "x-allot-device");
  sample->kind = HeaderOf(headers, "x-allot-device-kind");
  sample->replica = HeaderOf(headers, "x-allot-replica");
  sample->node = HeaderOf(headers, "x-allot-node");
  sample->emulated = HeaderOf(headers, "x-allot-emulated") == "true";
  const std::string price = HeaderOf(headers, "x-allot-price-usd-per-hour");
  std::from_chars(price.data(), price.data() + price.size(), sample->price_usd_per_hour);
  const std::string power = HeaderOf(headers, "x-allot-power-watts");
  std::from_chars(power.data(), power.data() + power.size(), sample->power_watts);
}

// Every n-th request streams so that after k requests k × ratio (rounded) have.
bool Streams(int number, double ratio) {
  return static_cast<int64_t>((number + 1) * ratio + 0.5) >
         static_cast<int64_t>(number * ratio + 0.5);
}

Sample Send(http::BlockingClient& client, const Options& options, int number) {
  Sample sample;
  sample.stream = Streams(number, options.stream_ratio);
  const std::string& prompt = options.prompts[static_cast<size_t>(number) % options.prompts.size()];
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/v1/completions";
  request.headers = {{"Content-Type", "application/json"}};
  request.body = json::serialize(json::object{{"model", options.model},
                                              {"prompt", prompt},
                                              {"max_tokens", options.max_tokens},
                                              {"stream", sample.stream}});
  request.timeout = options.timeout;
  request.idle_timeout = options.timeout;
  std::string tail;
  const auto start = Clock::now();
  StatusOr<http::ClientResponse> answer =
      sample.stream ? client.Stream(request,
                                    [&](std::string_view piece) {
                                      if (!sample.ttft_seconds)
                                        sample.ttft_seconds = SecondsSince(start);
                                      tail += piece;
                                      if (tail.size() > 256) tail.erase(0, tail.size() - 256);
                                      return true;
                                    })
                    : client.Fetch(request);
  sample.seconds = SecondsSince(start);
  if (!answer.ok()) {
    sample.truncated = sample.ttft_seconds.has_value();
    sample.error = MessageOf(answer.status());
    return sample;
  }
  sample.status = answer->status;
  if (const Status status = StatusOfAnswer(answer->status, answer->body); !status.ok())
    sample.error = fmt::format("{}: {}", answer->status, MessageOf(status));
  sample.truncated = sample.stream && sample.status == 200 && !EndsWithDone(tail);
  ReadHeaders(answer->headers, &sample);
  return sample;
}

// A name nobody serves would be as many 404s as requests were asked for.
Status CheckModel(Api& api, const std::string& model) {
  const StatusOr<std::vector<std::string>> listed = api.Models();
  if (!listed.ok()) return absl::OkStatus();  // Then the requests will tell.
  const std::vector<std::string>& models = *listed;
  if (std::find(models.begin(), models.end(), model) != models.end()) return absl::OkStatus();
  if (models.empty())
    return NotFound("{} serves no model; `allot deploy FILE` makes a deployment of one", api.url());
  const std::string near = NearWord(model, models);
  return NotFound("{} serves no model \"{}\"{}; there are {}", api.url(), model,
                  near.empty() ? "" : fmt::format(", did you mean \"{}\"?", near),
                  fmt::join(models, ", "));
}

}  // namespace

bool EndsWithDone(std::string_view tail) {
  const size_t last = tail.rfind("data: ");
  return last != std::string_view::npos && tail.substr(last).starts_with("data: [DONE]");
}

StatusOr<LoadRun> Execute(const Options& options, const std::function<void(int)>& progress) {
  LoadRun run;
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Api> api,
      Api::Connect({.url = options.gateway, .token = options.token, .security = options.security}));
  ASSIGN_OR_RETURN(const auto deployments, api->GatewayDeployments());
  RETURN_IF_ERROR(CheckModel(*api, options.model));
  for (const GatewayDeployment& d : deployments.view)
    for (const RequestCandidate& replica : d.predictions)
      run.concurrency[replica.replica] = replica.concurrency;

  std::atomic<int> next{0}, answered{0};
  std::mutex mutex;  // guards run.samples and progress
  auto said = Clock::now();
  const auto work = [&](http::BlockingClient& client) {
    for (int number; (number = next.fetch_add(1)) < options.requests;) {
      Sample sample = Send(client, options, number);
      const int count = answered.fetch_add(1) + 1;
      const std::lock_guard lock(mutex);
      run.samples.push_back(std::move(sample));
      if (SecondsSince(said) < 1) continue;
      said = Clock::now();
      progress(count);
    }
  };
  std::vector<std::unique_ptr<http::BlockingClient>> clients;
  for (int i = 0; i < options.concurrency; ++i) {
    ASSIGN_OR_RETURN(auto client, http::BlockingClient::Create(options.gateway, options.token,
                                                               options.security));
    clients.push_back(std::move(client));
  }
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (auto& client : clients) threads.push_back(StartThread([&work, &client] { work(*client); }));
  for (std::thread& thread : threads) thread.join();
  run.seconds = SecondsSince(start);
  return run;
}

}  // namespace allot::client::load
