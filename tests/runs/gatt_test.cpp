// cria gatt and cria gatt eval.
#include <algorithm>
#include <csignal>
#include <filesystem>

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class CommandGatt : public Commands {
 protected:
  CommandGatt() {
    write_lines(path("shape.yaml"),
                {"hidden_size: 32", "intermediate_size: 64", "num_hidden_layers: 2",
                 "num_attention_heads: 4", "num_key_value_heads: 2", "max_position_embeddings: 256",
                 "initializer_range: 0.3"});
    run_cria_well({"init", "--config", path("shape.yaml"), "--tokenizer", tokenizer_, "--output",
                   path("reward"), "--seed", "3", "--head", "score"});
    write_lines(path("dialogues.jsonl"), {dialogue(3), dialogue(1), dialogue(2), dialogue(3)});
    write_lines(path("instructions.jsonl"),
                {R"({"instruction": "Be a pirate.", "short": "Pirate.",)"
                 R"( "instruction_kind": "persona", "instruction_value": "pirate"})",
                 R"({"instruction": "Be sad.", "short": "Sad.", "instruction_kind": "mood",)"
                 R"( "instruction_value": "sad", "held_out": true})",
                 R"({"instruction": "Love chess.", "short": "Chess.",)"
                 R"( "instruction_kind": "hobby", "instruction_value": "chess"})"});
  }

  static std::string dialogue(size_t turns) {
    const char* asked[] = {"Who?", "Why?", "When?"};
    json messages = json::array();
    for (size_t i = 0; i < turns; ++i) {
      messages.push_back({{"role", "user"}, {"content", asked[i]}});
      messages.push_back({{"role", "assistant"}, {"content", "So."}});
    }
    return json{{"messages", messages}}.dump();
  }

  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {},
                                   const std::string& step = "all") const {
    std::vector<std::string> settings = {
        "model.path=" + model_, "data.max_length=256", "training.train_batch_size=2",
        "training.max_steps=4", "training.output_dir=" + path(output),
        "optimizer.learning_rate=1e-3", "checkpoint.save_steps=2", "logging.logging_steps=1",
        "gatt.source=file", "gatt.instructions=[" + path("instructions.jsonl") + "]",
        "gatt.num_instructions=5", "gatt.dialogues=[" + path("dialogues.jsonl") + "]",
        "gatt.repeats=2", "gatt.helpfulness=" + path("reward"), "gatt.num_samples=2",
        "gatt.max_new_tokens=12", "gatt.slots=4", "gatt.chunk_dialogues=3",
        // Random models seldom end an answer: eos is likely so.
        "gatt.truncated=keep"};
    settings.insert(settings.end(), assignments.begin(), assignments.end());
    std::vector<std::string> words = {"gatt", "--step", step};
    for (const std::string& setting : settings) {
      words.push_back("--set");
      words.push_back(setting);
    }
    return words;
  }

  std::vector<json> pool(const std::string& run, const std::string& file = "pool.jsonl") const {
    return json_lines(path(run + "/" + file));
  }

  // The tokens of a turn that waits for its answer.
  std::vector<int> asked(const std::string& user) const {
    write_lines(path("one.jsonl"), {json{{"prompt", user}, {"completion", "y"}}.dump()});
    run_cria_well({"tokenize", "--tokenizer", tokenizer_, "--data", path("one.jsonl"), "--output",
                   path("one.ids")});
    const json line = json_lines(path("one.ids"))[0];
    std::vector<int> ids;
    for (size_t i = 0; line["labels"][i] == -100; ++i) ids.push_back(line["input_ids"][i]);
    return ids;
  }

  void expect_same(const std::string& run) const {
    for (const char* file : {"instructions.jsonl", "pool.jsonl", "examples.jsonl"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file;
    }
    expect_same_run(path("whole"), path(run), 4);
  }
};

TEST_F(CommandGatt, SamplesWithTheInstructionOnEveryTurnAndTrainsWithItOnTheFirst) {
  run_cria_well(command("run", {"gatt.short_share=0"}));
  const std::vector<json> turns = pool("run");
  // Dialogues of 3, 1, 2 and 3 turns, twice each; two answers a turn.
  ASSERT_EQ(turns.size(), 2u * 2 * (3 + 1 + 2 + 3));
  const std::vector<json> examples = json_lines(path("run/examples.jsonl"));
  ASSERT_FALSE(examples.empty());
  const std::vector<json> instructions = json_lines(path("run/instructions.jsonl"));
  ASSERT_EQ(instructions.size(), 5u);
  for (const json& line : instructions) EXPECT_NE(line["instruction_kind"], json({"mood"}));

  for (const json& example : examples) {
    // The best answer of each turn: complete ones first, then the higher score.
    std::vector<json> kept;
    for (const json& turn : turns) {
      if (turn["dialogue"] != example["dialogue"]) continue;
      if (turn["sample"] == 0) {
        kept.push_back(turn);
        continue;
      }
      json& best = kept.back();
      const bool complete = turn["finished_by_eos"], was_complete = best["finished_by_eos"];
      if (complete != was_complete ? complete : turn["score"] > best["score"]) best = turn;
    }
    const std::vector<int> ids = example["input_ids"], labels = example["labels"];
    const std::vector<int> last = kept.back()["completion_ids"];
    EXPECT_EQ(example["turn"], kept.size() - 1);
    for (size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(labels[i], i + last.size() < ids.size() ? -100 : ids[i]);
    }
    EXPECT_TRUE(std::equal(last.rbegin(), last.rend(), ids.rbegin()));
    // Every earlier answer stands in it as it was sampled, and no instruction but the first turn's.
    bool is_that_of_an_instruction = false;
    for (const json& line : instructions) {
      std::vector<int> expected = asked(line["instruction"].get<std::string>() + " Who?");
      for (size_t t = 0; t < kept.size(); ++t) {
        const std::vector<int> answer = kept[t]["completion_ids"];
        expected.insert(expected.end(), answer.begin(), answer.end());
        const char* users[] = {"Why?", "When?"};
        if (t + 1 < kept.size()) {
          if (answer.back() != 2) expected.push_back(2);
          const std::vector<int> next = asked(users[t]);
          expected.insert(expected.end(), next.begin(), next.end());
        }
      }
      is_that_of_an_instruction |= expected == ids;
    }
    EXPECT_TRUE(is_that_of_an_instruction) << example;
  }
}

// Greedily, each turn is what the model says to the dialogue with the instruction before all turns.
TEST_F(CommandGatt, AnswersAreThoseOfTheInstructedDialogue) {
  run_cria_well(
      command("run", {"gatt.temperature=0", "gatt.num_samples=1", "gatt.repeats=1"}, "all"));
  const std::vector<json> turns = pool("run");
  std::vector<std::string> prompts;
  std::vector<json> expected;
  for (const json& line : json_lines(path("run/instructions.jsonl"))) {
    const std::string instruction = line["instruction"];
    std::vector<int> ids;
    for (const json& turn : turns) {
      if (turn["dialogue"] != 0) continue;
      const char* users[] = {"Who?", "Why?", "When?"};
      const std::vector<int> next = asked(instruction + " " + users[turn["turn"].get<size_t>()]);
      ids.insert(ids.end(), next.begin(), next.end());
      prompts.push_back(json{{"input_ids", ids}}.dump());
      expected.push_back(turn["completion_ids"]);
      for (const int id : turn["completion_ids"]) ids.push_back(id);
      if (ids.back() != 2) ids.push_back(2);
    }
  }
  write_lines(path("prompts.jsonl"), prompts);
  run_cria_well({"generate", "--model", model_, "--prompts", path("prompts.jsonl"), "--output",
                 path("answers.jsonl"), "--temperature", "0", "--max-new-tokens", "12", "--slots",
                 "4"});
  const std::vector<json> answers = json_lines(path("answers.jsonl"));
  ASSERT_EQ(answers.size(), 15u);
  int instructions_that_fit = 0;
  for (size_t i = 0; i < 5; ++i) {
    bool all = true;
    for (size_t t = 0; t < 3; ++t)
      all &= answers[3 * i + t]["completion_ids"] == expected[3 * i + t];
    instructions_that_fit += all;
  }
  EXPECT_GE(instructions_that_fit, 1);
}

TEST_F(CommandGatt, KilledAtAnyMomentItGoesOnToTheSameBits) {
  run_cria_well(command("whole"));
  const std::string whole = read_bytes(path("whole/pool.jsonl"));
  EXPECT_GE(kill_often(command("parts"), path("parts"), whole, 6, std::chrono::microseconds(0)), 3);
  run_cria_well(command("parts"));
  expect_same("parts");

  // A torn end, of a line and of a piece, is cut off.
  for (const size_t size : {whole.size() / 2, whole.find('\n') + 1, whole.size() - 1}) {
    for (const char* part : {"checkpoint-2", "checkpoint-4", "final"}) {
      fs::remove_all(path(std::string("parts/") + part));
    }
    write_bytes(path("parts/pool.jsonl"), whole.substr(0, size));
    run_cria_well(command("parts"));
    expect_same("parts");
  }
}

TEST_F(CommandGatt, StepByStepItIsTheSame) {
  run_cria_well(command("whole"));
  expect_refused(command("parts", {}, "examples"), "--step instructions");
  run_cria_well(command("parts", {}, "instructions"));
  expect_refused(command("parts", {}, "examples"), "--step sample");
  run_cria_well(command("parts", {}, "sample"));
  EXPECT_FALSE(fs::exists(path("parts/examples.jsonl")));
  expect_refused(command("parts", {}, "train"), "--step examples");
  run_cria_well(command("parts", {}, "examples"));
  EXPECT_FALSE(fs::exists(path("parts/final")));
  run_cria_well(command("parts", {}, "train"));
  expect_same("parts");
  expect_refused(command("parts", {}, "rest"), "--step");
}

TEST_F(CommandGatt, AnyRankCountAndChunkOfRanksGivesTheSamePool) {
  run_cria_well(command("whole"));
  const ProcessResult result =
      Process(mpirun(2), command("ranks", {"training.max_steps=1"})).wait();
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  for (const char* file : {"pool.jsonl", "examples.jsonl"}) {
    EXPECT_TRUE(read_bytes(path(std::string("ranks/") + file)) ==
                read_bytes(path(std::string("whole/") + file)))
        << file;
  }
}

TEST_F(CommandGatt, APoolIsContinuedWithItsOwnSettingsOnly) {
  run_cria_well(command("run", {}, "instructions"));
  expect_refused(command("run", {"gatt.temperature=2"}), "gatt.temperature");
  expect_refused(command("run", {"training.seed=9"}), "training.seed");
  expect_refused(command("other", {"gatt.helpfulness=''", "gatt.num_samples=3"}),
                 "gatt.num_samples");
  expect_refused(command("other", {"gatt.hobby_long=You like it."}), "gatt.hobby_long");
  expect_refused(command("other", {"gatt.instructions=[]"}), "gatt.instructions");
  EXPECT_FALSE(fs::exists(path("other")));
}

TEST_F(CommandGatt, InstructionsFromListsGivenOrMadeByTheModel) {
  run_cria_well(
      command("given",
              {"gatt.source=lists", "gatt.hobbies=[chess, golf, Chess]", "gatt.languages=[Latin]",
               "gatt.figures=[Napoleon]", "gatt.combine_share=0"},
              "lists"));
  const json lists = json::parse(read_bytes(path("given/lists.json")));
  EXPECT_EQ(lists["hobby"], json({"chess", "golf"}));
  EXPECT_EQ(lists["figure"], json({"Napoleon"}));
  run_cria_well(
      command("given",
              {"gatt.source=lists", "gatt.hobbies=[chess, golf, Chess]", "gatt.languages=[Latin]",
               "gatt.figures=[Napoleon]", "gatt.combine_share=0"},
              "instructions"));
  for (const json& line : json_lines(path("given/instructions.jsonl"))) {
    const std::string value = line["instruction_value"][0];
    EXPECT_NE(line["instruction"].get<std::string>().find(value), std::string::npos);
    EXPECT_NE(line["short"].get<std::string>().find(value), std::string::npos);
  }
  // The model's own: whatever a random one says, the same each time.
  for (const char* run : {"made", "again"}) {
    run_cria_well(command(run, {"gatt.source=lists", "gatt.list_max_words=100"}, "lists"));
  }
  EXPECT_EQ(read_bytes(path("made/lists.json")), read_bytes(path("again/lists.json")));
}

TEST_F(CommandGatt, WritesPairsThatDpoTrainsOn) {
  const std::vector<std::string> one = {"gatt.preference_from_turn=1"};
  run_cria_well(command("run", one, "instructions"));
  run_cria_well(command("run", one, "sample"));
  run_cria_well(command("run", one, "preferences"));
  const std::vector<json> pairs = json_lines(path("run/preferences.jsonl"));
  ASSERT_FALSE(pairs.empty());
  for (const json& pair : pairs) EXPECT_NE(pair["chosen_input_ids"], pair["rejected_input_ids"]);
  EXPECT_EQ(pool("run", "plain.jsonl").size(), 2u * (3 + 1 + 2 + 3));
  std::vector<std::string> words = {"dpo"};
  for (const std::string& setting :
       {"model.path=" + model_, "data.train=[{path: " + path("run/preferences.jsonl") + "}]",
        std::string("data.max_length=256"), std::string("training.max_steps=1"),
        std::string("training.train_batch_size=1"), "training.output_dir=" + path("dpo"),
        std::string("optimizer.learning_rate=1e-5")}) {
    words.push_back("--set");
    words.push_back(setting);
  }
  run_cria_well(words);
  EXPECT_TRUE(fs::exists(path("dpo/final/model.safetensors")));
}

TEST_F(CommandGatt, EvalComparesModelsByTurnKindAndForm) {
  std::vector<std::string> lines;
  for (const char* kind :
       {R"("persona", "instruction_value": "pirate")", R"("mood", "instruction_value": "sad")",
        R"("tone", "instruction_value": "kind")"}) {
    std::string line = dialogue(3);
    line.insert(line.size() - 1, std::string(R"(, "instruction": "Be a pirate.", "short": "Arr.",)"
                                             R"( "instruction_kind": )") +
                                     kind);
    lines.push_back(line);
  }
  write_lines(path("test.jsonl"), lines);
  std::vector<std::string> words = {"gatt",
                                    "eval",
                                    "--model",
                                    "a=" + model_,
                                    "--model",
                                    "b=" + model_,
                                    "--data",
                                    path("test.jsonl"),
                                    "--held-out",
                                    "mood",
                                    "--max-new-tokens",
                                    "8",
                                    "--output",
                                    path("eval.json"),
                                    "--plot",
                                    path("eval.svg")};
  expect_refused(words, "--reward-model", path("eval.json"));
  words.insert(words.end(), {"--reward-model", path("reward")});
  const ProcessResult result = run_cria(words);
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("every_turn"), std::string::npos) << result.output;
  const json eval = json::parse(read_bytes(path("eval.json")));
  ASSERT_EQ(eval["models"].size(), 2u);
  for (const char* telling : {"long_once", "short_once", "every_turn"}) {
    const json& of = eval["models"][0]["consistency"][telling];
    EXPECT_EQ(of["trained"]["by_turn"].size(), 3u);
    EXPECT_EQ(of["trained"]["by_turn"][0]["checked"], 2);
    EXPECT_EQ(of["held_out"]["by_turn"][2]["checked"], 1);
    EXPECT_EQ(of["kinds"]["tone"]["2-4"]["checked"], 2);
  }
  EXPECT_EQ(eval["models"][0]["consistency"], eval["models"][1]["consistency"]);
  EXPECT_NE(read_bytes(path("eval.svg")).find("</svg>"), std::string::npos);
}

// The weights are those of tokens on what stands before them, and the same model gives the same.
TEST_F(CommandGatt, AttentionShowsWhatModelsLookAt) {
  std::string line = dialogue(3);
  line.insert(line.size() - 1, R"(, "instruction": "Be a pirate.")");
  write_lines(path("test.jsonl"), {dialogue(1), line});
  std::vector<std::string> words = {"gatt",
                                    "attention",
                                    "--model",
                                    "before=" + model_,
                                    "--model",
                                    "after=" + path("other"),
                                    "--model",
                                    "again=" + model_,
                                    "--data",
                                    path("test.jsonl"),
                                    "--max-new-tokens",
                                    "8",
                                    "--bin",
                                    "1",
                                    "--output",
                                    path("attention.json"),
                                    "--plot",
                                    path("attention.svg")};
  run_cria_well({"init", "--config", path("shape.yaml"), "--tokenizer", tokenizer_, "--output",
                 path("other"), "--seed", "5"});
  expect_refused(words, "instruction", path("attention.json"));
  write_lines(path("test.jsonl"), {line, line});
  words.insert(words.end(), {"--dialogue", "3"});
  expect_refused(words, "has 2 dialogues", path("attention.json"));
  words.back() = "2";
  const ProcessResult result = run_cria(words);
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("before"), std::string::npos) << result.output;

  const json attention = json::parse(read_bytes(path("attention.json")));
  ASSERT_EQ(attention["models"].size(), 3u);
  for (const json& model : attention["models"]) {
    const size_t tokens = model["tokens"].size();
    EXPECT_EQ(model["columns"].size(), tokens);
    ASSERT_EQ(model["answers"].size(), 3u);
    EXPECT_EQ(model["answers"][2]["end"], tokens);
    ASSERT_EQ(model["attention"].size(), model["rows"].size());
    for (size_t r = 0; r < model["rows"].size(); ++r) {
      const size_t token = model["rows"][r]["begin"];
      const std::vector<float> row = model["attention"][r];
      double sum = 0;
      for (size_t c = 0; c < tokens; ++c) {
        sum += row[c];
        // Each head's weights sum to 1, and none is on the token itself or behind it.
        EXPECT_EQ(row[c] > 0, c < token);
        EXPECT_LE(row[c], 1.0f);
      }
      EXPECT_GE(sum, 1 - 1e-5);
    }
  }
  json before = attention["models"][0], again = attention["models"][2];
  EXPECT_NE(before["attention"], attention["models"][1]["attention"]);
  EXPECT_EQ(before["attention"], again["attention"]);

  const std::string svg = read_bytes(path("attention.svg"));
  for (const char* text : {"before", "after", "again", "instruction", "token of the dialogue"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
}

}  // namespace

}  // namespace cria::testing
