#include "cria/text/sentencepiece_training.h"

#include <algorithm>
#include <unordered_map>

#include <sentencepiece_trainer.h>

#include "cria/core/error.h"

namespace cria {

namespace {

// What train_bpe reads from, in the shape that SentencePiece asks for.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(const SentenceSource& next_sentence) : next_sentence_(next_sentence) {
    Next();
  }
  bool done() const override { return done_; }
  void Next() override { done_ = !next_sentence_(sentence_); }
  const std::string& value() const override { return sentence_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const SentenceSource& next_sentence_;
  std::string sentence_;
  bool done_ = false;
};

// The digits that follow `marker` in the message; empty where it is not there.
std::string number_after(const std::string& message, const std::string& marker) {
  const size_t found = message.find(marker);
  if (found == std::string::npos) return {};
  const size_t begin = found + marker.size();
  const size_t end = std::min(message.find_first_not_of("0123456789", begin), message.size());
  return message.substr(begin, end - begin);
}

// SentencePiece names its own source lines and flags; these three are what users meet.
Error explained(const std::string& message, int32_t vocab_size, const std::string& where) {
  const std::string highest = number_after(message, "value <= ");
  if (!highest.empty()) {
    return input_error(where,
                       fmt::format("the text is too small for a vocabulary of {}", vocab_size),
                       fmt::format("set it to {} at most, or give more text", highest));
  }
  const std::string lowest =
      number_after(message, fmt::format("required_chars. {} vs ", vocab_size));
  if (!lowest.empty()) {
    return input_error(
        where,
        fmt::format("a vocabulary of {} has no room for the text's characters beside unk, bos, eos "
                    "and the 256 bytes",
                    vocab_size),
        fmt::format("set it to more than {}, or lower character_coverage", lowest));
  }
  if (message.find("sentences_.empty()") != std::string::npos) {
    return input_error(where, "the training files hold no text", "give text to learn from");
  }
  return failure(where, message);
}

}  // namespace

std::string train_bpe(const BpeTraining& options, const SentenceSource& next_sentence,
                      const std::string& where) {
  if (options.vocab_size < 1) {
    throw input_error(where, fmt::format("{} is no vocabulary size", options.vocab_size));
  }
  const std::unordered_map<std::string, std::string> flags = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(options.vocab_size)},
      {"character_coverage", fmt::format("{}", options.character_coverage)},
      {"normalization_rule_name", "identity"},
      {"remove_extra_whitespaces", "false"},
      {"add_dummy_prefix", "true"},
      {"split_digits", "true"},
      {"allow_whitespace_only_pieces", "true"},
      {"byte_fallback", "true"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", "-1"},
      {"num_threads", "1"},
      // Longer sentences would be left out silently; lines of JSON are often longer than the
      // default of 4,192 bytes.
      {"max_sentence_length", "1073741824"},
      {"minloglevel", "2"},
  };
  Sentences sentences(next_sentence);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(flags, &sentences, &model);
  if (!status.ok()) throw explained(status.ToString(), options.vocab_size, where);
  return model;
}

}  // namespace cria
