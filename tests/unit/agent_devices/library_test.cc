#include "agent/devices/host/library.h"

#include <gtest/gtest.h>

namespace allot::agent {
namespace {

TEST(Library, TheFirstThatCanBeOpenedIsTaken) {
  const auto library = SharedLibrary::Open({"/no/such/library.so", ALLOT_FAKE_NVML});
  ASSERT_TRUE(library.ok()) << library.status();
  int (*init)() = nullptr;
  EXPECT_TRUE(library->Find("nvmlInit_v2", &init));
  EXPECT_EQ(init(), 0);
}

TEST(Library, WhatItLacksIsNull) {
  const auto library = SharedLibrary::Open({ALLOT_FAKE_NVML});
  ASSERT_TRUE(library.ok()) << library.status();
  int (*function)() = [] { return 1; };
  EXPECT_FALSE(library->Find("nvmlInit_v3", &function));
  EXPECT_EQ(function, nullptr);
}

TEST(Library, OneThatIsNotThereIsNotFoundAndTheLoaderSaysWhy) {
  const Status status = SharedLibrary::Open({"/no/such/a.so", "/no/such/b.so"}).status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_NE(MessageOf(status).find("/no/such/a.so"), std::string::npos) << status;
  EXPECT_NE(MessageOf(status).find("/no/such/b.so"), std::string::npos) << status;
  EXPECT_TRUE(absl::IsNotFound(SharedLibrary::Open({}).status()));
}

}  // namespace
}  // namespace allot::agent
