#include "trainers/data_statistics.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cria {

namespace {

void read_preferences(const std::string& path, const ExampleOptions& options, bool skip_bad_lines,
                      const Tokenizer& tokenizer, DataStatistics& statistics) {
  ExampleCounts& counts = statistics.files.emplace_back(FileStatistics{path, {}}).counts;
  for (const PreferencePair& pair :
       read_preference_pairs(path, options, skip_bad_lines, tokenizer, counts)) {
    SourceStatistics& source = statistics.sources[pair.source];
    ++source.lines;
    source.add(pair.chosen, tokenizer.bos_id());
    source.add(pair.rejected, tokenizer.bos_id());
    ++(pair.rating ? source.ratings[static_cast<size_t>(*pair.rating)] : source.unrated);
    ++source.categories[static_cast<size_t>(pair.category)];
  }
}

void read_examples(const std::string& path, const ExampleOptions& options, bool skip_bad_lines,
                   const Tokenizer& tokenizer, DataStatistics& statistics) {
  ExampleCounts& counts = statistics.files.emplace_back(FileStatistics{path, {}}).counts;
  SourceStatistics& source = statistics.sources[path];
  for (const Example& example :
       read_fine_tuning_examples(path, options, skip_bad_lines, tokenizer, counts)) {
    ++source.lines;
    source.add(example, tokenizer.bos_id());
  }
}

double mean(int64_t sum, int64_t count) {
  return count > 0 ? static_cast<double>(sum) / static_cast<double>(count) : 0.0;
}

const char* name_of_lines(const DataStatistics& statistics) {
  return statistics.preferences ? "comparisons" : "examples";
}

// Columns as wide as their widest cell; the first to the left, figures to the right.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    text += fmt::format("{:<{}}", row[0], widths[0]);
    for (size_t i = 1; i < row.size(); ++i) text += fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

// row(source) for each source and for the total.
template <typename MakeRow>
std::string table_by_source(const DataStatistics& statistics, std::vector<std::string> header,
                            const MakeRow& row) {
  std::vector<std::vector<std::string>> rows = {std::move(header)};
  const auto add = [&](const std::string& name, const SourceStatistics& source) {
    rows.push_back(row(source));
    rows.back().insert(rows.back().begin(), name);
  };
  for (const auto& [name, source] : statistics.sources) add(name, source);
  if (statistics.sources.size() > 1) add("total", statistics.total);
  return aligned(rows);
}

std::vector<std::string> lengths_of(const SourceStatistics& s) {
  return {fmt::to_string(s.lines), fmt::format("{:.1f}", mean(s.turns, s.examples)),
          fmt::format("{:.1f}", mean(s.tokens, s.examples)),
          fmt::format("{:.1f}", mean(s.prompt_tokens, s.examples)),
          fmt::format("{:.1f}", mean(s.response_tokens, s.examples))};
}

std::vector<std::string> labels_of(const SourceStatistics& s) {
  std::vector<std::string> cells;
  for (const int64_t count : s.ratings) cells.push_back(fmt::to_string(count));
  cells.push_back(fmt::to_string(s.unrated));
  for (const int64_t count : s.categories) cells.push_back(fmt::to_string(count));
  return cells;
}

// "FILE: 3 comparisons kept, 0 dropped, …"
std::string line_of(const FileStatistics& file, const char* lines) {
  const ExampleCounts& c = file.counts;
  std::string text = fmt::format(
      "{}: {} {}, {} of them cut; left out {} too long, {} with nothing to learn, {} with two "
      "equal "
      "answers, {} bad",
      file.path, c.examples, lines, c.truncated, c.dropped, c.unlabelled, c.identical, c.skipped);
  if (c.skipped > 0) text += fmt::format(" (first: {})", c.first_skipped);
  return text + '\n';
}

nlohmann::json to_json(const SourceStatistics& s, bool preferences) {
  nlohmann::json json = {{preferences ? "comparisons" : "examples", s.lines},
                         {"turns_per_dialogue", mean(s.turns, s.examples)},
                         {"tokens_per_example", mean(s.tokens, s.examples)},
                         {"tokens_in_prompt", mean(s.prompt_tokens, s.examples)},
                         {"tokens_in_response", mean(s.response_tokens, s.examples)}};
  if (!preferences) return json;
  for (size_t i = 0; i < s.ratings.size(); ++i) json["ratings"][kRatingNames[i]] = s.ratings[i];
  json["ratings"]["unrated"] = s.unrated;
  for (size_t i = 0; i < s.categories.size(); ++i) {
    json["categories"][kCategoryNames[i]] = s.categories[i];
  }
  return json;
}

}  // namespace

void SourceStatistics::add(const Example& example, int32_t bos_id) {
  const auto learnt = [&](size_t i) { return example.labels[i] != kNoLabel; };
  size_t end = example.ids.size();
  while (end > 0 && !learnt(end - 1)) --end;
  size_t response = end;
  while (response > 0 && learnt(response - 1)) --response;
  size_t prompt = response;  // up to the bos that starts the last turn
  while (prompt > 0 && (prompt == response || example.ids[prompt] != bos_id)) --prompt;

  ++examples;
  turns += std::max<int64_t>(1, std::count(example.ids.begin(), example.ids.end(), bos_id));
  tokens += static_cast<int64_t>(example.ids.size());
  prompt_tokens += static_cast<int64_t>(response - prompt);
  response_tokens += static_cast<int64_t>(end - response);
}

void SourceStatistics::add(const SourceStatistics& other) {
  lines += other.lines;
  examples += other.examples;
  turns += other.turns;
  tokens += other.tokens;
  prompt_tokens += other.prompt_tokens;
  response_tokens += other.response_tokens;
  for (size_t i = 0; i < ratings.size(); ++i) ratings[i] += other.ratings[i];
  unrated += other.unrated;
  for (size_t i = 0; i < categories.size(); ++i) categories[i] += other.categories[i];
}

DataStatistics read_data_statistics(const std::vector<std::string>& paths,
                                    const ExampleOptions& options, bool skip_bad_lines,
                                    const Tokenizer& tokenizer) {
  DataStatistics statistics;
  for (const std::string& path : paths) {
    const bool preferences = holds_preferences(path);
    if (&path == &paths.front()) statistics.preferences = preferences;
    if (preferences != statistics.preferences) {
      throw input_error(
          path,
          fmt::format("holds {}preferences, unlike {}", preferences ? "" : "no ", paths.front()),
          "inspect them apart");
    }
    const auto& read = preferences ? read_preferences : read_examples;
    read(path, options, skip_bad_lines, tokenizer, statistics);
  }
  for (const auto& [name, source] : statistics.sources) statistics.total.add(source);
  return statistics;
}

std::string table(const DataStatistics& statistics) {
  const char* lines = name_of_lines(statistics);
  std::string text = table_by_source(statistics,
                                     {"source", lines, "turns per dialogue", "tokens per example",
                                      "tokens in prompt", "tokens in response"},
                                     lengths_of);
  if (statistics.preferences) {
    std::vector<std::string> header = {"source"};
    for (const std::string_view name : kRatingNames) header.emplace_back(name);
    header.emplace_back("unrated");
    for (const std::string_view name : kCategoryNames) header.emplace_back(name);
    text += '\n' + table_by_source(statistics, std::move(header), labels_of);
  }
  text += '\n';
  for (const FileStatistics& file : statistics.files) text += line_of(file, lines);
  return text;
}

nlohmann::json to_json(const DataStatistics& statistics) {
  nlohmann::json json = {{"sources", nlohmann::json::object()},
                         {"total", to_json(statistics.total, statistics.preferences)},
                         {"files", nlohmann::json::array()}};
  for (const auto& [name, source] : statistics.sources) {
    json["sources"][name] = to_json(source, statistics.preferences);
  }
  for (const auto& [path, counts] : statistics.files) {
    json["files"].push_back({{"path", path},
                             {"kept", counts.examples},
                             {"truncated", counts.truncated},
                             {"dropped", counts.dropped},
                             {"unlabelled", counts.unlabelled},
                             {"identical", counts.identical},
                             {"skipped", counts.skipped}});
  }
  return json;
}

}  // namespace cria
