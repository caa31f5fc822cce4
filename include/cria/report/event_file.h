// Event files for TensorBoard: the figures of metrics.jsonl as curves, one for each name.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace cria {

class EventFile {
 public:
  // A run that continues after `last_step` (0: from the start) writes a new file into `directory`,
  // beside those of its earlier parts. It begins with TensorBoard's mark of a restart at step
  // last_step + 1, which takes the points of later steps out of the curves: those steps were run
  // but never saved, and are run again.
  EventFile(std::string directory, int64_t last_step);

  // One event with all figures, in fp32; the file is there from the first one on. Flushed at once.
  void write(int64_t step, const std::vector<std::pair<std::string, double>>& figures);

 private:
  void start();
  void flush_records(const std::string& records);

  const std::string directory_;
  const int64_t last_step_;
  std::string path_;
  std::ofstream file_;
};

}  // namespace cria
