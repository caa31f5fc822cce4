// Preferences: two answers to one prompt and what is said of them, as one line of a file has them.
//
//   {"prompt"?, "chosen", "rejected"} of strings or lists of messages
//       lists of messages               Dialogue; with a prompt they may repeat it or only answer
//       it strings "\n\nHuman: …"          the same: whole dialogues, as Anthropic writes them
//       strings with a prompt           Completion; Dialogue where the prompt is one
//       strings without                 Text
//   {"chosen_input_ids", "rejected_input_ids", "chosen_labels"?, "rejected_labels"?}     Tokens
//
// and beside them {"rating"?, "margin"?, "category"?, "source"?, "chosen_safe"?, "rejected_safe"?}.
//
// Answers of dialogues begin where the two part, which must be at an answer of both. A line that is
// none of these is an input Error naming file, line and field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cria/data/records.h"

namespace cria {

// How much better the chosen answer is, best first (Llama 2, section 3.2.1).
enum class Rating { significantly_better, better, slightly_better, negligibly_better };
inline constexpr std::string_view kRatingNames[] = {"significantly_better", "better",
                                                    "slightly_better", "negligibly_better"};

enum class Category { helpful, safety };
inline constexpr std::string_view kCategoryNames[] = {"helpful", "safety"};

struct PreferenceRecord {
  using Content = decltype(Record::content);

  // Prompt and answer, both of one form. The answer starts at Dialogue::first_target, with
  // Completion::completion, at the first of Tokens::labels; that of a Text where the tokens part.
  Content chosen;
  Content rejected;
  std::optional<Rating> rating;
  std::optional<float> margin;
  Category category = Category::helpful;
  std::optional<std::string> source;
  std::optional<bool> chosen_safe;
  std::optional<bool> rejected_safe;
  std::string where;  // FILE:LINE
};

// Whether the line has a field that only preferences have.
bool is_preference(const nlohmann::json& line);

// Whether the first sound line of a file is one; false for texts.
bool holds_preferences(const std::string& path);

PreferenceRecord parse_preference(const nlohmann::json& line, const std::string& where);

// All preferences of a .jsonl(.gz) file in order; errors and skipped lines as RecordReader's.
class PreferenceReader {
 public:
  using Item = PreferenceRecord;

  explicit PreferenceReader(const std::string& path, bool skip_bad_lines = false);

  bool next(PreferenceRecord& record);  // false at the end
  void reject(const Error& error) { lines_.reject(error); }
  int64_t skipped() const { return lines_.skipped(); }
  const std::string& first_skipped() const { return lines_.first_skipped(); }

 private:
  JsonLines lines_;
};

}  // namespace cria
