// What the tests of single commands share: each is called as a user calls it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runs/run_cria.h"
#include "support/temporary_directory.h"

namespace cria::testing {

std::vector<std::string> lines_of(const std::string& path);
std::vector<nlohmann::json> json_lines(const std::string& path);
void write_lines(const std::string& path, const std::vector<std::string>& lines);

// One line that names what is wrong, exit code 2, and no file `output`.
void expect_refused(const std::vector<std::string>& words, const std::string& part,
                    const std::string& output = "");

class Commands : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_ / name; }

  // The lines that score writes for the lines of a data file, which is left as data.jsonl.
  std::vector<std::string> score(const std::string& model, const std::vector<std::string>& data,
                                 const std::vector<std::string>& options = {}) const;

  // What tokenize writes for data.jsonl.
  std::vector<nlohmann::json> tokenize_data(const std::vector<std::string>& options = {}) const;

  // A random model of the shape of path("shape.yaml"), with further options of `init`.
  void make_model(const std::string& name, const std::string& seed,
                  const std::vector<std::string>& options = {}) const;

  // Starts a run that samples into `output`/pool.jsonl and then trains, again and again, and kills
  // it: while the pool grows, and once it is whole at checkpoint 2, up to `longest_wait` later.
  // What stands of the pool is a beginning of `whole` each time. Returns how many were alive when
  // they were killed.
  int kill_often(const std::vector<std::string>& command, const std::string& output,
                 const std::string& whole, int rounds,
                 std::chrono::microseconds longest_wait) const;

  const std::string model_ = golden("models/gqa_untied");
  const std::string tokenizer_ = golden("models/gqa_untied/tokenizer.model");

 private:
  TemporaryDirectory directory_;
};

}  // namespace cria::testing
