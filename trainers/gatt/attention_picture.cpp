#include "trainers/gatt/attention_picture.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "cria/core/error.h"

#include "trainers/gatt/consistency.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

constexpr size_t kLabelsOfTurns = 12;  // on the y axis, about

// [begin, end) in bins.
void add_bins(std::vector<TokenBin>& bins, size_t begin, size_t end, size_t size, size_t turn = 0) {
  for (; begin < end; begin += size) {
    bins.push_back({.begin = begin, .end = std::min(begin + size, end), .turn = turn});
  }
}

ordered_json to_json(const TokenBin& bin) { return {{"begin", bin.begin}, {"end", bin.end}}; }

}  // namespace

std::vector<int32_t> generating_rows(std::span<const AnswerSpan> answers) {
  std::vector<int32_t> rows;
  for (const AnswerSpan& answer : answers) {
    for (size_t token = answer.begin; token < answer.end; ++token) {
      rows.push_back(static_cast<int32_t>(token) - 1);
    }
  }
  return rows;
}

// The first turn is compared with itself, first with another instruction and then with something
// else behind it.
TokenBin instruction_tokens(const InstructedDialogue& dialogue, Placement placement,
                            const Tokenizer& tokenizer) {
  const auto first_turn = [&](const InstructedDialogue& of) {
    return ghost_prompt(of, 0, {.placement = placement}, tokenizer)->example.ids;
  };
  InstructedDialogue otherwise_instructed = dialogue, otherwise_asked = dialogue;
  otherwise_instructed.long_form = ".";
  std::string& behind =
      placement == Placement::user ? otherwise_asked.turns[0].user : otherwise_asked.system;
  behind = ".";
  const std::vector<int32_t> ids = first_turn(dialogue);
  const auto common = [&](const std::vector<int32_t>& others) {
    return static_cast<size_t>(
        std::mismatch(ids.begin(), ids.end(), others.begin(), others.end()).first - ids.begin());
  };
  return {.begin = common(first_turn(otherwise_instructed)),
          .end = common(first_turn(otherwise_asked))};
}

AttentionPicture attention_picture(const GhostSequence& sequence, const TokenBin& instruction,
                                   std::span<const float> maxima, size_t bin) {
  const size_t tokens = sequence.example.ids.size();
  AttentionPicture picture{.instruction = instruction, .answers = sequence.answers};
  add_bins(picture.columns, 0, tokens, bin);
  size_t first_row = 0;  // of an answer
  for (const AnswerSpan& answer : sequence.answers) {
    const size_t before = picture.rows.size();
    add_bins(picture.rows, answer.begin, answer.end, bin, answer.turn);
    for (size_t r = before; r < picture.rows.size(); ++r) {
      for (const TokenBin& column : picture.columns) {
        float most = 0;
        for (size_t token = picture.rows[r].begin; token < picture.rows[r].end; ++token) {
          const auto row = maxima.begin() + (first_row + token - answer.begin) * tokens;
          most = std::max(most, *std::max_element(row + column.begin, row + column.end));
        }
        picture.attention.push_back(most);
      }
    }
    double sum = 0;
    for (size_t token = answer.begin; token < answer.end; ++token, ++first_row) {
      const auto row = maxima.begin() + first_row * tokens;
      sum += *std::max_element(row + instruction.begin, row + instruction.end);
    }
    picture.to_instruction.push_back(sum / static_cast<double>(answer.end - answer.begin));
  }
  CRIA_ASSERT(maxima.size() == first_row * tokens);
  return picture;
}

ordered_json to_json(const AttentionPicture& picture) {
  ordered_json json = {
      {"tokens", picture.pieces},         {"instruction", to_json(picture.instruction)},
      {"answers", ordered_json::array()}, {"rows", ordered_json::array()},
      {"columns", ordered_json::array()}, {"attention", ordered_json::array()}};
  for (size_t a = 0; a < picture.answers.size(); ++a) {
    const AnswerSpan& answer = picture.answers[a];
    json["answers"].push_back({{"turn", answer.turn + 1},
                               {"begin", answer.begin},
                               {"end", answer.end},
                               {"to_instruction", picture.to_instruction[a]}});
  }
  for (const TokenBin& row : picture.rows) {
    json["rows"].push_back({{"turn", row.turn + 1}, {"begin", row.begin}, {"end", row.end}});
  }
  for (const TokenBin& column : picture.columns) json["columns"].push_back(to_json(column));
  for (size_t r = 0; r < picture.rows.size(); ++r) {
    const auto row = picture.attention.begin() + r * picture.columns.size();
    json["attention"].push_back(std::vector<float>(row, row + picture.columns.size()));
  }
  return json;
}

std::string attention_table(const std::vector<AttentionPicture>& pictures) {
  std::string text = fmt::format("{:<36}", "attention to the instruction, turns");
  for (const TurnRange& range : kTurnRanges) text += fmt::format(" {:>8}", range.name);
  text += "\n";
  for (const AttentionPicture& picture : pictures) {
    text += fmt::format("{:<36}", picture.model);
    for (const TurnRange& range : kTurnRanges) {
      double sum = 0;
      int64_t count = 0;
      for (size_t a = 0; a < picture.answers.size(); ++a) {
        const auto turn = static_cast<int64_t>(picture.answers[a].turn) + 1;
        if (turn < range.first || turn > range.last) continue;
        sum += picture.to_instruction[a];
        ++count;
      }
      text += count == 0 ? fmt::format(" {:>8}", "-")
                         : fmt::format(" {:>8.3f}", sum / static_cast<double>(count));
    }
    text += "\n";
  }
  return text;
}

HeatMap attention_heat_map(const std::vector<AttentionPicture>& pictures, size_t bin) {
  HeatMap map{.title = fmt::format("What a generated token attends to: the largest weight over "
                                   "heads and layers, bins of {} tokens",
                                   bin),
              .x_title = "token of the dialogue",
              .y_title = "generated token, by turn",
              .value_title = "attention weight",
              .panels = {}};
  for (const AttentionPicture& picture : pictures) {
    HeatPanel panel{.title = picture.model,
                    .column_edges = {0},
                    .row_edges = {0},
                    .values = {},
                    .row_labels = {},
                    .mark_begin = static_cast<double>(picture.instruction.begin),
                    .mark_end = static_cast<double>(picture.instruction.end),
                    .mark = "instruction"};
    for (const TokenBin& column : picture.columns) {
      panel.column_edges.push_back(static_cast<double>(column.end));
    }
    const size_t every = (picture.answers.size() + kLabelsOfTurns - 1) / kLabelsOfTurns;
    size_t answer = 0;
    for (size_t r = 0; r < picture.rows.size(); ++r) {
      const TokenBin& row = picture.rows[r];
      if (r == 0 || row.turn != picture.rows[r - 1].turn) {
        if (answer++ % every == 0) {
          panel.row_labels.emplace_back(static_cast<double>(r), fmt::format("{}", row.turn + 1));
        }
      }
      panel.row_edges.push_back(static_cast<double>(r) + 1);
      for (size_t c = 0; c < picture.columns.size(); ++c) {
        // The row that predicts the bin's last token sees what stands before that token.
        const bool is_seen = picture.columns[c].begin + 1 < row.end;
        panel.values.push_back(is_seen ? picture.attention[r * picture.columns.size() + c]
                                       : std::numeric_limits<float>::quiet_NaN());
      }
    }
    map.panels.push_back(std::move(panel));
  }
  return map;
}

}  // namespace cria
