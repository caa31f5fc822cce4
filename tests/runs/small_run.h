// The small training runs that the tests of whole runs share: a golden model of 40,000 parameters
// on data that the project writes itself.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runs/run_cria.h"
#include "support/temporary_directory.h"

namespace cria::testing {

enum class Trainer { pretrain, sft, reward, dpo, rejection, ppo };
std::string name_of(Trainer trainer);  // of its command
// For INSTANTIATE_TEST_SUITE_P.
std::string trainer_name(const ::testing::TestParamInfo<Trainer>& which);

// Of the shortest pass that takes every row, or every pair, of a SmallRun.
int least_pass_tokens(Trainer trainer);

class SmallRun {
 public:
  explicit SmallRun(Trainer trainer);

  // The command for a run into `output` (a name within the directory), with further --set
  // assignments.
  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {}) const;
  std::string path(const std::string& name) const { return directory_ / name; }
  Trainer trainer() const { return trainer_; }

 private:
  TemporaryDirectory directory_;
  Trainer trainer_;
};

// What two runs must share to the bit: a checkpoint and the metrics; finished ones the final model
// too.
void expect_same_checkpoint(const std::string& run, const std::string& other, int step);
void expect_same_run(const std::string& run, const std::string& other, int last_step);

// `steps` lines of the same figures, but for the order of sums: within 1e-4 in fp32 and 2^-8 in
// bf16 of each.
//
// fp32 sums over other orders: the relative error of a sum of n terms grows like sqrt(n) 2^-24; the
// loss of a step is a sum of some hundred log-probabilities, the gradient norm one of gradients
// that are each a sum over as many tokens. The runs drift apart over the steps as those differences
// pass through AdamW, whose first steps move every weight by about the learning rate whatever the
// gradient's size; six steps at most are compared. In bf16 those differences flip single roundings
// of activations, each by 2^-8 of one value among hundreds that a loss is made of.
void expect_close_metrics(const std::string& run, const std::string& other,
                          const std::string& precision, size_t steps);

// The launcher of several ranks on few cores.
std::vector<std::string> mpirun(int ranks);

}  // namespace cria::testing
