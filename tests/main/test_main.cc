// The main function of every test program: properties draw the same cases on every run, so a commit
// is judged by what it changes and not by chance. RC_PARAMS in the environment says otherwise
// (scripts/properties.sh draws new seeds and files those that fail).
#include <cstdlib>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

int main(int argc, char** argv) {
  // Read by RapidCheck when the first property begins.
  setenv("RC_PARAMS", "seed=1", /*overwrite=*/0);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
