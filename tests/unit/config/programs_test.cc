// The programs' own files: checks across fields.
#include "common/config/bind.h"
#include "common/config/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::config {
namespace {

template <class Message>
std::string Checked(const std::string& text) {
  Message message;
  const Status status = BindYaml(text, "f.yaml", &message);
  return status.ok() ? MessageOf(Check(message)) : MessageOf(status);
}

TEST(BindChecked, PutsThePlaceBeforeWhatDoesNotGoTogether) {
  AllowList list;
  const std::string key = "public_key: 'kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk', role: agent}\n";
  EXPECT_EQ(
      MessageOf(BindChecked("peers:\n- {name: a, " + key + "- {name: a, " + key, "f.yaml", &list)),
      "f.yaml:3:3: peers[1]: the name \"a\" is here twice");
  EXPECT_EQ(list.peers_size(), 0) << "nothing of a bad file is used";
  Scheduler scheduler;
  EXPECT_THAT(MessageOf(BindChecked(
                  "state_dir: s\nkey_file: k\nallow_file: a\ntokens_file: t\nlocal: true\n"
                  "gateway:\n  http_listen: 0.0.0.0:1\n",
                  "f.yaml", &scheduler)),
              testing::StartsWith("f.yaml:7:16: gateway.http_listen is \"0.0.0.0:1\""));
  // A key that is missing has no place, so the map it is missing from is named.
  EXPECT_THAT(
      MessageOf(BindChecked("state_dir: s\nkey_file: k\nallow_file: a\n", "f.yaml", &scheduler)),
      testing::StartsWith("f.yaml:1:1: tokens_file is missing"));
}

const std::string kKey(40, 'k');

TEST(CheckScheduler, SaysWhatDoesNotGoTogether) {
  const std::string start = "{state_dir: s, key_file: k, allow_file: a, ";
  const std::string kNoTokens =
      "tokens_file is missing; the API asks for tokens, which `allot keys token` makes. On a "
      "machine of yours alone local: true with auth: none does without, and then everybody on it "
      "runs jobs as this scheduler's nodes do";
  const std::pair<std::string, std::string> rows[] = {
      {start + "local: true, auth: none}", ""},
      {start + "tokens_file: t, listen: 'tcp://0.0.0.0:7400', http_listen: '[::]:7401'}", ""},
      {start + "local: true, auth: none, gateway: {listen: 'tcp://127.0.0.1:0'}}", ""},
      {start + "local: true, tokens_file: t}", ""},
      {start + "}", kNoTokens},
      // Loopback is everybody's on this machine: that nobody needs a token is to be said.
      {start + "local: true}", kNoTokens},
      {start + "local: true, auth: tokens}", kNoTokens},
      {start + "auth: none}",
       "auth is none without local: true; only on loopback may everybody come in, so give "
       "tokens_file or set local: true"},
      {start + "tokens_file: t, auth: none}",
       "auth is none without local: true; only on loopback may everybody come in, so give "
       "tokens_file or set local: true"},
      {start + "local: true, tokens_file: t, gateway: {auth: none}}",
       "gateway.auth is set; leave it out, this gateway is inside the scheduler"},
      {start + "local: true, auth: none, http_listen: '0.0.0.0:7401'}",
       "http_listen is \"0.0.0.0:7401\" with local: true; a local cluster listens on loopback "
       "only, "
       "so use 127.0.0.1 or set tokens_file and local: false"},
      {start + "local: true, auth: none, http_listen: '127.evil.example:7401'}",
       "http_listen is \"127.evil.example:7401\" with local: true; a local cluster listens on "
       "loopback only, so use 127.0.0.1 or set tokens_file and local: false"},
      {start + "local: true, auth: none, listen: '127.0.0.1:7400'}",
       "listen is \"127.0.0.1:7400\"; write it like tcp://127.0.0.1:7400"},
      {start + "local: true, auth: none, http_listen: '127.0.0.1'}",
       "http_listen is \"127.0.0.1\"; write it like 127.0.0.1:7400"},
      {start + "local: true, auth: none, http_listen: '127.0.0.1:99999'}",
       "http_listen is \"127.0.0.1:99999\"; a port is 65535 at most"},
      {start + "local: true, auth: none, lease: 2s}",
       "lease is 2s and heartbeat_every 1s; a lease below three heartbeats takes one lost message "
       "for a lost node"},
      {start + "local: true, auth: none, task_port_min: 3000, task_port_max: 2000}",
       "task_port_min is 3000, above task_port_max 2000; the range has no port"},
      {start + "local: true, auth: none, task_port_min: 30000}",
       "task_port_min is 30000, above task_port_max 29999; the range has no port"},
      {start + "local: true, auth: none, task_port_max: 19999}",
       "task_port_min is 20000, above task_port_max 19999; the range has no port"},
      {start + "local: true, auth: none, gateway: {name: g}}",
       "gateway.name is set; leave it out, this gateway is inside the scheduler"},
      {start + "local: true, auth: none, advertise: 'tcp://head:7400'}", ""},
  };
  for (const auto& [text, message] : rows) EXPECT_EQ(Checked<Scheduler>(text), message);
}

TEST(CheckGateway, NeedsWhatAProgramOfItsOwnNeeds) {
  EXPECT_EQ(Checked<Gateway>("{}"),
            "name is missing; a gateway that is a program of its own needs it");
  EXPECT_EQ(Checked<Gateway>("{name: g}"),
            "state_dir is missing; a gateway that is a program of its own needs it");
  const std::string good =
      "{name: g, state_dir: s, scheduler: 'tcp://h:7400', scheduler_public_key: " + kKey +
      ", key_file: k, allow_file: a, ";
  EXPECT_EQ(Checked<Gateway>(good + "tokens_file: t}"), "");
  // Whom to let in is told by the scheduler; files of its own are beside that.
  EXPECT_EQ(Checked<Gateway>("{name: g, state_dir: s, scheduler: [a:7400, b:7400], key_file: k, "
                             "scheduler_public_key: " +
                             kKey + "}"),
            "");
}

TEST(CheckPrograms, TellNothingThatMeansNothingElsewhere) {
  const std::string head = "{state_dir: s, key_file: k, allow_file: a, tokens_file: t, ";
  const std::string agent =
      "{name: n, state_dir: s, key_file: k, scheduler: h:7400, scheduler_public_key: " + kKey +
      ", ";
  const std::string nothing =
      ", which means nothing on another machine; give a name or an address "
      "of this one";
  const std::pair<std::string, std::string> heads[] = {
      {"listen: 'tcp://0.0.0.0:7400', advertise: head:7400}", ""},
      {"listen: 'tcp://0.0.0.0:7400', advertise: ['tcp://a:7400', 'tcp://[fd00::1]:7400']}", ""},
      {"listen: 'tcp://0.0.0.0:7400', advertise: 'tcp://0.0.0.0:7400'}",
       "advertise[0] is \"tcp://0.0.0.0:7400\"" + nothing},
      {"listen: 'tcp://[::]:7400', advertise: 'tcp://[::]:7400'}",
       "advertise[0] is \"tcp://[::]:7400\"" + nothing},
      {"http_listen: '0.0.0.0:7401', http_advertise: '0.0.0.0:7401'}",
       "http_advertise is \"0.0.0.0:7401\"" + nothing},
      {"listen: 'tcp://0.0.0.0:7400', advertise: 127.0.0.1:7400}",
       "advertise[0] is \"127.0.0.1:7400\", which is every machine itself, and what it is told of "
       "listens on tcp://0.0.0.0:7400; give a name or an address that others reach"},
      {"listen: 'tcp://127.0.0.1:7400', gateway: {listen: 'tcp://127.0.0.1:7410'}}", ""},
      {"listen: 'tcp://0.0.0.0:7400', gateway: {}}", ""},
      {"listen: 'tcp://0.0.0.0:7400', gateway: {listen: 'tcp://127.0.0.1:7410'}}",
       "gateway.listen is \"tcp://127.0.0.1:7410\", where agents on other machines cannot reach "
       "it, "
       "and listen is \"tcp://0.0.0.0:7400\"; leave gateway.listen out, or give gateway.advertise"},
      {"gateway: {listen: 'tcp://*:7410', advertise: '*:7410'}}",
       "gateway.advertise is \"*:7410\"" + nothing},
  };
  for (const auto& [text, message] : heads) EXPECT_EQ(Checked<Scheduler>(head + text), message);
  EXPECT_EQ(Checked<Agent>(agent + "address: node-7.example, http_listen: '[::]:0'}"), "");
  EXPECT_EQ(
      Checked<Agent>(agent + "address: '::'}"),
      "address is \"::\", which means nothing on another machine; leave it out, or give a name "
      "or an address by which peers reach this node");
  EXPECT_EQ(Checked<Agent>(agent + "http_advertise: '[::]:9100'}"),
            "http_advertise is \"[::]:9100\"" + nothing);
}

TEST(CheckAgent, RefusesKeysAndDeviceCountsThatCannotBe) {
  const std::string start =
      "{name: n, state_dir: s, key_file: k, scheduler: 'tcp://h:7400', scheduler_public_key: ";
  EXPECT_EQ(Checked<Agent>(start + kKey + "}"), "");
  const std::string schedulers =
      "{name: n, state_dir: s, key_file: k, scheduler_public_key: " + kKey +
      ", scheduler: ['tcp://a:7400', ";
  EXPECT_EQ(Checked<Agent>(schedulers + "'tcp://[fd00::1]:7400']}"), "");
  EXPECT_EQ(Checked<Agent>(schedulers + "b:7400]}"), "");
  EXPECT_EQ(Checked<Agent>(schedulers + "b]}"),
            "scheduler[1] is \"b\"; write it like 127.0.0.1:7400");
  EXPECT_EQ(Checked<Agent>(schedulers + "'tcp://fd00::1:7400']}"),
            "scheduler[1] is \"tcp://fd00::1:7400\"; an IPv6 address stands in brackets, like "
            "tcp://[fd00::1]:7400");
  EXPECT_EQ(Checked<Agent>(start + "short}"),
            "scheduler_public_key is not a public key; it has 40 characters, as `allot keys new` "
            "prints");
  EXPECT_EQ(
      Checked<Agent>(start + kKey +
                     ", devices: {emulated: [{model: a/b, count: 100}, {model: a/c, count: 29}]}}"),
      "devices.emulated names 129 devices; a node has 128 at most");
}

TEST(CheckAgent, SaysWhatIsWrongWithDeclaredAndSharedDevices) {
  const std::string start =
      "{name: n, state_dir: s, key_file: k, scheduler: 'tcp://h:7400', "
      "scheduler_public_key: " +
      kKey + ", devices: {";
  const std::string row = "static: [{name: npu, kind: ASIC, model: ";
  const std::pair<std::string, std::string> rows[] = {
      {row + "acme/npu, pci: '1E52:b140', nodes: ['/dev/a{n}'], visible_variable: A, "
             "visible_value: '{pci}'}, {name: b, kind: GPU, model: a/b, pci: '10000:01:1f.7'}]",
       ""},
      {"sharing: [{match: '*', mode: units}, {match: 'a/*', mode: mps, shares: 4}]", ""},
      {row + "acme}]", "devices.static[0].model is \"acme\"; write it like acme/npu-9"},
      {row + "acme/npu*}]", "devices.static[0].model is \"acme/npu*\"; write it like acme/npu-9"},
      {row + "a/b}, {name: npu, kind: GPU, model: a/c}]",
       "devices.static[1].name is \"npu\", as that of a row before it"},
      {row + "a/b, pci: '17:00.0'}]",
       "devices.static[0].pci is \"17:00.0\"; write vendor:device like 1e52:b140, or an address "
       "like 0000:17:00.0"},
      {row + "a/b, pci: '1e52:b140'}, {name: c, kind: GPU, model: a/c, pci: '1E52:B140'}]",
       "devices.static[1].pci is \"1E52:B140\", as that of a row before it"},
      {row + "a/b, nodes: [/dev/a, acme0]}]",
       "devices.static[0].nodes[1] is \"acme0\"; a device file is below /dev"},
      {row + "a/b, nodes: ['/dev/a{i}']}]",
       "devices.static[0].nodes[0] is \"/dev/a{i}\"; what is filled in is {n} and {pci}"},
      {row + "a/b, shared_nodes: ['/dev/{pci}']}]",
       "devices.static[0].shared_nodes[0] is \"/dev/{pci}\"; without pci there is no address to "
       "fill in"},
      {row + "a/b, visible_variable: 'A=B'}]",
       "devices.static[0].visible_variable is \"A=B\"; that is no name of a variable"},
      {row + "a/b, visible_value: '1'}]",
       "devices.static[0].visible_value is set and visible_variable is not"},
      {"sharing: [{match: '*', mode: units, shares: 2}]",
       "devices.sharing[0].shares is 2 with mode units; a device has the parts it is made of, so "
       "leave it out"},
      {"sharing: [{match: '*', mode: time_slice}]",
       "devices.sharing[0].shares is missing; how many of each device?"},
  };
  for (const auto& [text, message] : rows) EXPECT_EQ(Checked<Agent>(start + text + "}}"), message);
  Agent agent;
  EXPECT_THAT(MessageOf(BindChecked(
                  "name: n\nstate_dir: s\nkey_file: k\nscheduler: 'tcp://h:1'\n"
                  "scheduler_public_key: " +
                      kKey +
                      "\ndevices:\n  static:\n"
                      "  - name: npu\n    kind: ASIC\n    model: acme/npu\n    pci: nonsense\n",
                  "f.yaml", &agent)),
              testing::StartsWith("f.yaml:11:10: devices.static[0].pci is \"nonsense\""));
}

TEST(CheckAgent, RefusesEndpointsThatCannotBeReached) {
  const auto checked = [](const std::string& endpoints) {
    return Checked<Agent>(
        "{name: n, state_dir: s, key_file: k, scheduler: 'tcp://h:7400', scheduler_public_key: " +
        kKey + ", devices: {endpoints: [" + endpoints + "]}}");
  };
  const std::string start = "{name: a, model: groq/lpu-v1, url: '";
  EXPECT_EQ(checked(start + "https://api.groq.com/openai'}"), "");
  EXPECT_EQ(checked(start + "http://[::1]:8000/', health_path: /health}"), "");
  struct Row {
    const char* rest;
    const char* message;
  };
  const Row rows[] = {
      {"api.groq.com'}",
       "devices.endpoints[0].url is \"api.groq.com\"; write it like https://host or "
       "http://host:8000"},
      {"https://api.groq.com/openai/v1/'}",
       "devices.endpoints[0].url is \"https://api.groq.com/openai/v1/\"; leave out /v1, requests "
       "bring it along"},
      {"https://me:secret@host'}",
       "devices.endpoints[0].url names a user; put a token into a file of its own"},
      {"https://host:0'}",
       "devices.endpoints[0].url is \"https://host:0\"; a port is a number from 1 to 65535"},
      {"http://host', ca_file: /ca.pem}",
       "devices.endpoints[0].ca_file is set, but its url is not https://"},
      {"http://host', health_path: models}",
       "devices.endpoints[0].health_path is \"models\"; give a path like /v1/models"},
      {"http://host'}, {name: a, model: m, url: 'http://host'}",
       "devices.endpoints[1]: the name \"a\" is here twice"},
      {"http://host', capacity: 100}, {name: b, model: m, url: 'http://host', capacity: 29}",
       "devices.endpoints have a capacity of 129; a node has 128 devices at most"},
  };
  for (const Row& row : rows) EXPECT_EQ(checked(start + row.rest), row.message);
}

TEST(CheckTokens, RefusesDigestsThatAreNoneAndNamesTwice) {
  const std::string digest(64, 'a'), other(64, 'b');
  const auto token = [](const std::string& name, const std::string& sha) {
    return "{name: " + name + ", sha256: " + sha + ", role: user}";
  };
  EXPECT_EQ(Checked<Tokens>("tokens: [" + token("a", digest) + "," + token("b", other) + "]"), "");
  EXPECT_EQ(Checked<Tokens>("tokens: [" + token("a", digest) + "," + token("a", other) + "]"),
            "tokens[1]: the name \"a\" is here twice");
  EXPECT_EQ(Checked<Tokens>("tokens: [" + token("a", digest) + "," + token("b", digest) + "]"),
            "tokens[1]: the digest of \"b\" is here twice");
  EXPECT_EQ(Checked<Tokens>("tokens: [" + token("a", "secret") + "]"),
            "tokens[0].sha256 is not a digest; it has 64 digits 0-9, a-f, as `allot keys token` "
            "prints");
}

TEST(CheckAllowList, BindsOneKeyToOneName) {
  const auto peer = [](const std::string& name, const std::string& key) {
    return "{name: " + name + ", public_key: '" + key + "', role: agent}";
  };
  const std::string other(40, 'o');
  EXPECT_EQ(Checked<AllowList>("peers: [" + peer("a", kKey) + "," + peer("b", other) + "]"), "");
  EXPECT_EQ(Checked<AllowList>("peers: [" + peer("a", kKey) + "," + peer("a", other) + "]"),
            "peers[1]: the name \"a\" is here twice");
  EXPECT_EQ(Checked<AllowList>("peers: [" + peer("a", kKey) + "," + peer("b", kKey) + "]"),
            "peers[1]: the key of \"b\" is another peer's too; one key, one name");
  EXPECT_EQ(Checked<AllowList>("peers: [" + peer("a", "short") + "]"),
            "peers[0].public_key is not a public key; it has 40 characters, as `allot keys new` "
            "prints");
}

}  // namespace
}  // namespace allot::config
