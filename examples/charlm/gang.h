// The gang's ranks over TCP: rank 0 listens on the main address, sums what the others send, and
// sends the result back. Enough for the few hundred kilobytes of gradient of this example.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace charlm {

class Gang {
 public:
  // Blocks until all ranks have met; exits the process with a message if they have not within a
  // minute.
  Gang(int rank, int world_size, const std::string& main_address, int main_port);
  ~Gang();
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  // Every rank's values become the sum over ranks / those of rank 0. A lost peer ends the process
  // (code 75): the scheduler restarts the whole gang from its checkpoint.
  void Sum(std::span<float> values);
  void Broadcast(std::span<float> values);

 private:
  int rank_, size_;
  std::vector<int>
      peers_;  // rank 0: a socket for each other rank, in order; others: one, to rank 0
  std::vector<float> received_;
};

}  // namespace charlm
