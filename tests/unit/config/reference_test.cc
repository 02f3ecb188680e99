#include "tests/unit/config/reference.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "common/proto/config.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace allot::config {
namespace {

const char* const kPage = ALLOT_SOURCE_DIR "/docs/config.md";

TEST(Reference, IsThePageInDocs) {
  const std::string wanted = Reference();
  if (std::getenv("ALLOT_UPDATE") != nullptr) std::ofstream(kPage) << wanted;
  std::ifstream file(kPage);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_TRUE(page == wanted) << "docs/config.md is not what common/proto/config.proto says; run "
                                 "this test with ALLOT_UPDATE=1 and look at the difference";
}

// Of another type the binder would end the program at a file that is right.
TEST(Schema, EveryFieldIsOfATypeThatBinds) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::FileDescriptor* file = Agent::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    const google::protobuf::Descriptor* type = file->message_type(i);
    for (int j = 0; j < type->field_count(); ++j) {
      const FieldDescriptor* field = type->field(j);
      const FieldDescriptor* value = field->is_map() ? field->message_type()->map_value() : field;
      const auto kind = value->cpp_type();
      EXPECT_TRUE(
          kind == FieldDescriptor::CPPTYPE_STRING || kind == FieldDescriptor::CPPTYPE_BOOL ||
          kind == FieldDescriptor::CPPTYPE_DOUBLE || kind == FieldDescriptor::CPPTYPE_INT32 ||
          kind == FieldDescriptor::CPPTYPE_UINT32 || kind == FieldDescriptor::CPPTYPE_MESSAGE)
          << field->full_name();
    }
  }
}

TEST(Reference, HasEveryMessage) {
  const auto* file = Job::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    EXPECT_THAT(Reference(), testing::HasSubstr("\n### " + file->message_type(i)->name() + "\n"));
  }
}

}  // namespace
}  // namespace allot::config
