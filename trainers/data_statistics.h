// What data files hold, by source: the figures of Llama 2's table of human preference data (table
// 6), for fine-tuning data too.
//
// An example is a prompt and a response as the model reads it, markers included; a comparison has
// two. Earlier turns count in the example alone: its prompt is the last turn up to the response,
// its response the answer that ends it, with its eos.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cria/data/preference_builder.h"

namespace cria {

struct SourceStatistics {
  int64_t lines = 0;     // comparisons, or examples of fine-tuning data
  int64_t examples = 0;  // what the sums are over
  int64_t turns = 0;
  int64_t tokens = 0;
  int64_t prompt_tokens = 0;
  int64_t response_tokens = 0;
  std::array<int64_t, std::size(kRatingNames)> ratings = {};
  int64_t unrated = 0;
  std::array<int64_t, std::size(kCategoryNames)> categories = {};

  void add(const Example& example, int32_t bos_id);
  void add(const SourceStatistics& other);
};

struct FileStatistics {
  std::string path;
  ExampleCounts counts;
};

struct DataStatistics {
  bool preferences = false;
  std::map<std::string, SourceStatistics> sources;
  SourceStatistics total;
  std::vector<FileStatistics> files;
};

// Files all of preferences or none of them, else an input Error. Preferences come by their
// `source`, or where they have none by file; examples by file.
DataStatistics read_data_statistics(const std::vector<std::string>& paths,
                                    const ExampleOptions& options, bool skip_bad_lines,
                                    const Tokenizer& tokenizer);

std::string table(const DataStatistics& statistics);  // plain text
nlohmann::json to_json(const DataStatistics& statistics);

}  // namespace cria
