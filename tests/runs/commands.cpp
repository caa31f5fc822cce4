#include "runs/commands.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

namespace cria::testing {

using nlohmann::json;

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<json> json_lines(const std::string& path) {
  std::vector<json> values;
  for (const std::string& line : lines_of(path)) values.push_back(json::parse(line));
  return values;
}

void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_bytes(path, text);
}

void expect_refused(const std::vector<std::string>& words, const std::string& part,
                    const std::string& output) {
  const ProcessResult result = run_cria(words);
  EXPECT_EQ(result.exit_code, 2) << result.errors;
  EXPECT_EQ(result.errors.rfind("error: ", 0), 0u) << result.errors;
  EXPECT_EQ(std::count(result.errors.begin(), result.errors.end(), '\n'), 1) << result.errors;
  EXPECT_NE(result.errors.find(part), std::string::npos)
      << "'" << part << "' is not in: " << result.errors;
  if (!output.empty()) {
    EXPECT_FALSE(std::filesystem::exists(output)) << output;
  }
}

std::vector<std::string> Commands::score(const std::string& model,
                                         const std::vector<std::string>& data,
                                         const std::vector<std::string>& options) const {
  write_lines(path("data.jsonl"), data);
  std::vector<std::string> words = {
      "score",    "--model",           golden("models/" + model), "--data", path("data.jsonl"),
      "--output", path("scores.jsonl")};
  words.insert(words.end(), options.begin(), options.end());
  run_cria_well(words);
  return lines_of(path("scores.jsonl"));
}

std::vector<json> Commands::tokenize_data(const std::vector<std::string>& options) const {
  std::vector<std::string> words = {"tokenize",         "--tokenizer", tokenizer_,       "--data",
                                    path("data.jsonl"), "--output",    path("ids.jsonl")};
  words.insert(words.end(), options.begin(), options.end());
  run_cria_well(words);
  return json_lines(path("ids.jsonl"));
}

void Commands::make_model(const std::string& name, const std::string& seed,
                          const std::vector<std::string>& options) const {
  std::vector<std::string> words = {"init",        "--config", path("shape.yaml"),
                                    "--tokenizer", tokenizer_, "--output",
                                    path(name),    "--seed",   seed};
  words.insert(words.end(), options.begin(), options.end());
  run_cria_well(words);
}

int Commands::kill_often(const std::vector<std::string>& command, const std::string& output,
                         const std::string& whole, int rounds,
                         std::chrono::microseconds longest_wait) const {
  int kills = 0;
  for (int round = 0; round < rounds; ++round) {
    Process process(command);
    const std::string pool = output + "/pool.jsonl";
    const size_t before = std::filesystem::exists(pool) ? std::filesystem::file_size(pool) : 0;
    if (before < whole.size()) {
      process.wait_for(pool, before + 1);
    } else {
      process.wait_for(output + "/checkpoint-2/trainer_state.json");
    }
    if (longest_wait.count() > 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(7919 * round % longest_wait.count()));
    }
    process.signal(SIGKILL);
    if (process.wait().exit_code == -SIGKILL) ++kills;
    EXPECT_TRUE(whole.starts_with(read_bytes(pool))) << "after " << round + 1 << " kills";
  }
  return kills;
}

}  // namespace cria::testing
