// cria tokenizer train: a SentencePiece model from data files.
#include <memory>

#include <fmt/format.h>

#include "cria/data/tokenizer_training.h"

#include "trainers/commands/commands.h"

namespace cria {

void add_tokenizer_command(CLI::App& app) {
  CLI::App* group = app.add_subcommand("tokenizer", "tokenizers");
  group->require_subcommand(1);
  CLI::App* command = group->add_subcommand("train", "a BPE tokenizer of Llama's kind");
  auto options = std::make_shared<TokenizerTraining>();
  command->add_option("--data", options->files, ".txt, .jsonl, or either gzipped; may be repeated")
      ->required()
      ->allow_extra_args(false);
  command->add_option("--output", options->output, "tokenizer.model to write")->required();
  command->add_option("--vocab-size", options->vocab_size, "pieces, the 256 bytes included")
      ->capture_default_str();
  command
      ->add_option("--character-coverage", options->character_coverage,
                   "share of the text's characters with a piece of their own; the rest is bytes")
      ->capture_default_str();
  command
      ->add_option("--input-sentence-size", options->input_sentence_size,
                   "learn from that many lines drawn at random; 0: from all")
      ->capture_default_str();
  command->add_option("--seed", options->seed, "of that draw")->capture_default_str();
  command->add_flag("--skip-bad-lines", options->skip_bad_lines, "count bad lines and go on");
  command->callback([options] { fmt::print("{}\n", train_tokenizer(*options)); });
}

}  // namespace cria
