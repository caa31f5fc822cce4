// The small training runs that the tests of whole runs share: a golden model of 40,000 parameters
// on data that the project writes itself.
#pragma once

#include <string>
#include <vector>

#include "runs/run_cria.h"
#include "support/temporary_directory.h"

namespace cria::testing {

enum class Trainer { pretrain, sft };

class SmallRun {
 public:
  explicit SmallRun(Trainer trainer);

  // The command for a run into `output` (a name within the directory), with further --set
  // assignments.
  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {}) const;
  std::string path(const std::string& name) const { return directory_ / name; }

 private:
  TemporaryDirectory directory_;
  Trainer trainer_;
};

// What two runs must share to the bit: a checkpoint and the metrics; finished ones the final model
// too.
void expect_same_checkpoint(const std::string& run, const std::string& other, int step);
void expect_same_run(const std::string& run, const std::string& other, int last_step);

}  // namespace cria::testing
