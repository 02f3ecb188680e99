#include "common/transport/keys.h"

#include <zmq.h>

#include <sys/stat.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/unit/transport/harness.h"

namespace allot::transport {
namespace {

using ::testing::HasSubstr;

void Write(const std::string& path, std::string_view text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
}
std::string Read(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(Keys, AreForHumansToCopy) {
  const KeyPair keys = NewKeyPair();
  EXPECT_EQ(keys.public_key.size(), 40u);
  EXPECT_EQ(keys.secret_key.size(), 40u);
  EXPECT_EQ(*PublicKeyOf(keys.secret_key), keys.public_key);
  EXPECT_NE(NewKeyPair().secret_key, keys.secret_key);
  EXPECT_FALSE(PublicKeyOf("short").ok());
  EXPECT_FALSE(PublicKeyOf(std::string(40, '"')).ok());
}

// The pairs that zmq_curve(7) prints: ours are libzmq's, which made them.
TEST(Keys, AreTheOnesLibzmqMakes) {
  const std::pair<const char*, const char*> pairs[] = {
      {"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7", "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"},
      {"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID", "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs"}};
  for (const auto& [public_key, secret_key] : pairs) {
    const auto made = PublicKeyOf(secret_key);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(*made, public_key);
  }
  char public_key[41], secret_key[41];
  ASSERT_EQ(zmq_curve_keypair(public_key, secret_key), 0);
  EXPECT_EQ(*PublicKeyOf(secret_key), public_key);
  // Five digits that are more than four bytes, and a character that is no digit.
  EXPECT_FALSE(CheckKeyText("#####" + std::string(35, '0'), "k").ok());
  EXPECT_FALSE(CheckKeyText("~0000" + std::string(35, '0'), "k").ok());
}

TEST(Keys, ComeBackFromAFileOnlyItsOwnerMayRead) {
  TemporaryFolder folder;
  const std::string path = folder / "node.key";
  for (int i = 0; i < 50; ++i) {  // Z85 has characters that mean something in YAML.
    const KeyPair keys = NewKeyPair();
    const std::string file = folder / ("key" + std::to_string(i));
    ASSERT_TRUE(SaveKeyFile(file, keys).ok());
    const auto loaded = LoadKeyFile(file);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->public_key, keys.public_key);
    EXPECT_EQ(loaded->secret_key, keys.secret_key);
  }
  const KeyPair keys = NewKeyPair();
  ASSERT_TRUE(SaveKeyFile(path, keys).ok());
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);

  EXPECT_EQ(SaveKeyFile(path, NewKeyPair()).code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(LoadKeyFile(path)->secret_key, keys.secret_key);
  ::chmod(path.c_str(), 0640);
  const Status open = LoadKeyFile(path).status();
  EXPECT_EQ(open.code(), StatusCode::kPermissionDenied);
  EXPECT_THAT(MessageOf(open), HasSubstr("chmod 600"));
}

TEST(Keys, BrokenFilesAreRefusedWithTheReason) {
  TemporaryFolder folder;
  EXPECT_EQ(LoadKeyFile(folder / "none").status().code(), StatusCode::kNotFound);
  EXPECT_EQ(SaveKeyFile(folder / "no/such/folder", NewKeyPair()).code(), StatusCode::kUnavailable);
  const std::string path = folder / "bad.key";
  const KeyPair a = NewKeyPair(), b = NewKeyPair();
  Write(path, fmt::format("public_key: '{}'\nsecret_key: '{}'\n", a.public_key, b.secret_key));
  EXPECT_THAT(MessageOf(LoadKeyFile(path).status()), HasSubstr("does not belong"));
  for (std::string_view text : {"", "public_key: x\n", "nonsense", "public_key: x\nsecret_key: y\n",
                                "public_key: x\nsecret_key: y\nmore: z\n"}) {
    Write(path, text);
    EXPECT_FALSE(LoadKeyFile(path).ok()) << text;
  }
}

TEST(AllowList, GrowsAndShrinks) {
  TemporaryFolder folder;
  const std::string path = folder / "allow.yaml";
  EXPECT_EQ(LoadAllowFile(path).status().code(), StatusCode::kNotFound);
  const AllowedPeer n1{"n1", NewKeyPair().public_key, Role::kAgent};
  const AllowedPeer g1{"g1", NewKeyPair().public_key, Role::kGateway};
  ASSERT_TRUE(EnrollPeer(path, n1, false).ok());
  ASSERT_TRUE(EnrollPeer(path, g1, false).ok());
  ASSERT_TRUE(EnrollPeer(path, n1, false).ok());  // The same again changes nothing.
  auto peers = LoadAllowFile(path);
  ASSERT_TRUE(peers.ok()) << peers.status();
  ASSERT_EQ(peers->size(), 2u);
  EXPECT_EQ((*peers)[0].name, "n1");
  EXPECT_EQ((*peers)[1].public_key, g1.public_key);
  EXPECT_EQ((*peers)[1].role, Role::kGateway);

  const AllowedPeer renewed{"n1", NewKeyPair().public_key, Role::kAgent};
  EXPECT_EQ(EnrollPeer(path, renewed, false).code(), StatusCode::kAlreadyExists);
  ASSERT_TRUE(EnrollPeer(path, renewed, true).ok());
  EXPECT_EQ((*LoadAllowFile(path))[0].public_key, renewed.public_key);
  // A key speaks for one name only.
  EXPECT_EQ(EnrollPeer(path, {"n2", g1.public_key, Role::kAgent}, true).code(),
            StatusCode::kAlreadyExists);

  ASSERT_TRUE(RevokePeer(path, "n1").ok());
  EXPECT_EQ(RevokePeer(path, "n1").code(), StatusCode::kNotFound);
  ASSERT_TRUE(RevokePeer(path, "g1").ok());
  EXPECT_TRUE(LoadAllowFile(path)->empty());
}

TEST(AllowList, BadPeersAreNotWritten) {
  TemporaryFolder folder;
  const std::string path = folder / "allow.yaml";
  const std::string key = NewKeyPair().public_key;
  for (const AllowedPeer& peer : {AllowedPeer{"", key}, AllowedPeer{"Not A Name", key},
                                  AllowedPeer{"n1", "short"}, AllowedPeer{"n1'\n", key}}) {
    EXPECT_EQ(EnrollPeer(path, peer, false).code(), StatusCode::kInvalidArgument) << peer.name;
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(SaveAllowFile(path, {{"n1", key, Role::kAgent}, {"n2", key, Role::kAgent}}).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(RevokePeer(path, "n1").code(), StatusCode::kNotFound);
}

TEST(AllowList, BadFilesAreRefusedAndLeftAlone) {
  TemporaryFolder folder;
  const std::string path = folder / "allow.yaml";
  const std::string a = NewKeyPair().public_key, b = NewKeyPair().public_key;
  const auto row = [](std::string_view name, std::string_view key,
                      std::string_view role = "agent") {
    return fmt::format("  - {{name: '{}', public_key: '{}', role: {}}}\n", name, key, role);
  };
  for (const std::string& text :
       {std::string("peers: ["), std::string("pears: []\n"), "peers:\n" + row("n1", a, "king"),
        "peers:\n" + row("n1", a) + row("n2", a), "peers:\n" + row("n1", a) + row("n1", b),
        "peers:\n" + row("n1", "tooshort")}) {
    Write(path, text);
    EXPECT_FALSE(LoadAllowFile(path).ok()) << text;
    EXPECT_FALSE(EnrollPeer(path, {"n9", b, Role::kAgent}, true).ok()) << text;
    EXPECT_EQ(Read(path), text);
  }
  Write(path, "peers:\n" + row("n1", a), 0666);
  EXPECT_EQ(LoadAllowFile(path).status().code(), StatusCode::kPermissionDenied);
}

TEST(AllowList, TwoEditorsAtOnceLoseNothing) {
  TemporaryFolder folder;
  const std::string path = folder / "allow.yaml";
  std::vector<std::thread> editors;
  for (int t = 0; t < 4; ++t) {
    editors.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string name = fmt::format("n{}-{}", t, i);
        EXPECT_TRUE(EnrollPeer(path, {name, NewKeyPair().public_key, Role::kAgent}, false).ok());
      }
    });
  }
  for (std::thread& editor : editors) editor.join();
  EXPECT_EQ(LoadAllowFile(path)->size(), 40u);
}

}  // namespace
}  // namespace allot::transport
