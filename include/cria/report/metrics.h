// metrics.jsonl: one JSON object a line for each logged step, figures in full precision.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace cria {

class MetricsFile {
 public:
  // Continues a file after `last_step`: lines of later steps (and one cut short by a kill) are
  // taken out, since the steps will be run again. last_step 0 starts a new file.
  MetricsFile(const std::string& path, int64_t last_step);

  // {"step": …, …}; not finite figures become null. Flushed at once.
  void write(int64_t step, const std::vector<std::pair<std::string, double>>& figures);

 private:
  std::string path_;
  std::ofstream file_;
};

}  // namespace cria
