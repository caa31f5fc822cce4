// What the tests of single commands share: each is called as a user calls it.
#pragma once

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

  const std::string model_ = golden("models/gqa_untied");
  const std::string tokenizer_ = golden("models/gqa_untied/tokenizer.model");

 private:
  TemporaryDirectory directory_;
};

}  // namespace cria::testing
