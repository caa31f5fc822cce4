#include "trainers/gatt_attention.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "cria/io/atomic_directory.h"
#include "cria/model/attention_probe.h"

#include "trainers/gatt/attention_picture.h"
#include "trainers/signals.h"

namespace cria {

namespace {

struct Answered {
  GhostSequence sequence;
  TokenBin instruction;
  std::vector<std::string> pieces;
};

Answered answer(const NamedModel& model, const GattDialogue& dialogue,
                const GattAttentionOptions& options) {
  const std::unique_ptr<Backend> backend = make_backend(options.inference.device);
  const std::unique_ptr<Communicator> communicator = make_communicator();
  DialogueAnswerer answerer(model.directory, options, *backend, *communicator);
  Arena arena(backend->memory());
  answerer.reserve(arena);
  arena.allocate();
  answerer.load();
  const GattDialogue answered =
      answerer.answer({dialogue}, InstructedTurns::first, /*short_form=*/false)[0];
  if (stop_signal() != 0) return {};
  if (answered.kept.empty()) {
    throw input_error(dialogue.where,
                      "its first turn does not fit in the context of " + model.directory);
  }
  Answered result{.sequence = answerer.told_once(answered),
                  .instruction = instruction_tokens(dialogue.said, options.sampling.placement(),
                                                    answerer.tokenizer()),
                  .pieces = {}};
  for (const int32_t id : result.sequence.example.ids) {
    result.pieces.push_back(answerer.tokenizer().piece(id));
  }
  return result;
}

AttentionPicture picture_of(const NamedModel& model, const Answered& answered,
                            const GattAttentionOptions& options) {
  const std::vector<int32_t>& ids = answered.sequence.example.ids;
  const std::vector<int32_t> rows = generating_rows(answered.sequence.answers);
  PretrainedModel pretrained(model.directory, options.inference);
  AttentionProbe probe(pretrained.model(), static_cast<int64_t>(ids.size()),
                       static_cast<int64_t>(rows.size()));
  probe.reserve(pretrained.arena());
  pretrained.load();
  AttentionPicture picture =
      attention_picture(answered.sequence, answered.instruction, probe.maxima(ids, rows),
                        static_cast<size_t>(options.bin));
  picture.model = model.name;
  picture.pieces = answered.pieces;
  return picture;
}

}  // namespace

int show_gatt_attention(const GattAttentionOptions& options) {
  install_stop_signals();
  const std::vector<GattDialogue> dialogues = read_dialogues(options);
  if (options.dialogue > static_cast<int64_t>(dialogues.size())) {
    throw input_error("--dialogue", fmt::format("{} has {} dialogues, not {}", options.data,
                                                dialogues.size(), options.dialogue));
  }
  const GattDialogue& dialogue = dialogues[static_cast<size_t>(options.dialogue - 1)];
  std::vector<AttentionPicture> pictures;
  nlohmann::ordered_json all = {{"data", options.data},
                                {"dialogue", options.dialogue},
                                {"bin", options.bin},
                                {"models", nlohmann::ordered_json::array()}};
  for (const std::string& text : options.models) {
    const NamedModel model = parse_model(text);
    const Answered answered = answer(model, dialogue, options);
    if (stop_signal() != 0) return 128 + stop_signal();
    pictures.push_back(picture_of(model, answered, options));
    nlohmann::ordered_json entry = {{"name", model.name}, {"path", model.directory}};
    entry.update(to_json(pictures.back()));
    all["models"].push_back(std::move(entry));
  }
  fmt::print("{}", attention_table(pictures));
  if (!options.output.empty()) write_file_atomically(options.output, all.dump() + "\n");
  if (!options.plot.empty()) {
    write_file_atomically(
        options.plot, render_svg(attention_heat_map(pictures, static_cast<size_t>(options.bin))));
  }
  return 0;
}

}  // namespace cria
