// Gives memory back to the system after a peak. The C library keeps what is freed below something
// that is still in use, in each of its arenas, and so a server that once had a hundred large bodies
// in hand keeps their size for good.
//
// Large blocks are mapped each for itself, so that they go when they are freed; and now and then,
// where much has been freed since the last time, the rest is given back (malloc_trim, some
// milliseconds for each hundred MiB). The C library counts as free also what it has given back, so
// it is growth that tells.
#pragma once

#include <cstddef>

#include <boost/asio/io_context.hpp>

#include "common/asio/timer.h"
#include "common/base/units.h"

namespace allot {

class MemoryKeeper {
 public:
  // For as long as it lives, on the loop. One a process.
  explicit MemoryKeeper(boost::asio::io_context& loop);

  // Gives back what is free.
  static void GiveBack();

 private:
  void Arm();

  Timer timer_;
  size_t least_ = 0;  // bytes free since something was given back last
};

}  // namespace allot
