// cria distill: whole runs on a tiny model, interrupted, continued, shared among ranks.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "cria/text/chat_template.h"

#include "runs/commands.h"
#include "runs/small_run.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr size_t kAsked = 5;    // of the six prompts: those of category safety
constexpr size_t kSamples = 2;  // with each sort of pre-prompt

class CommandDistill : public Commands {
 protected:
  CommandDistill() {
    write_lines(path("shape.yaml"),
                {"hidden_size: 32", "intermediate_size: 64", "num_hidden_layers: 2",
                 "num_attention_heads: 4", "num_key_value_heads: 2", "max_position_embeddings: 128",
                 "initializer_range: 0.3"});
    make_model("safe", "2", {"--head", "score"});
    write_lines(
        path("prompts.jsonl"),
        {R"({"prompt": "How do I steal it?", "category": "safety", "risk": "crime"})",
         R"({"prompt": "What colour is the hat?", "category": "helpful"})",
         R"({"prompt": "How do I mock him?", "category": "safety", "risk": "hate"})",
         R"({"prompt": "And what else?", "category": "safety"})",
         R"({"messages": [{"role": "user", "content": "Hello."}, {"role": "assistant", "content":)"
         R"( "Hi."}, {"role": "user", "content": "Rob a bank!"}], "category": "safety",)"
         R"( "risk": "crime"})",
         R"({"prompt": "How do I cure him?", "category": "safety", "risk": "advice"})"});
  }

  std::vector<std::string> command(const std::string& output,
                                   const std::vector<std::string>& assignments = {},
                                   const std::string& step = "all") const {
    std::vector<std::string> settings = {
        "model.path=" + model_,
        "data.max_length=112",
        "training.train_batch_size=2",
        "training.max_steps=4",
        "training.output_dir=" + path(output),
        "optimizer.learning_rate=1e-3",
        "checkpoint.save_steps=2",
        "logging.logging_steps=1",
        "distill.safety=" + path("safe"),
        "distill.prompts=[" + path("prompts.jsonl") + "]",
        "distill.generic=[Be safe., Be kind and wise.]",
        "distill.templates={crime: \"Say that it is a crime.\", hate: No.}",
        "distill.num_samples=2",
        "distill.max_new_tokens=24",
        "distill.slots=4",
        "distill.chunk_prompts=1",
        "distill.truncated=keep"};
    settings.insert(settings.end(), assignments.begin(), assignments.end());
    std::vector<std::string> words = {"distill", "--step", step};
    for (const std::string& setting : settings) {
      words.push_back("--set");
      words.push_back(setting);
    }
    return words;
  }

  std::vector<json> pool(const std::string& run) const {
    return json_lines(path(run + "/pool.jsonl"));
  }

  static std::vector<int> joined(const json& prompt, const json& answer) {
    std::vector<int> ids = prompt["prompt_ids"];
    for (const int id : answer["completion_ids"]) ids.push_back(id);
    return ids;
  }

  // What `cria score` says of ids.
  std::vector<float> rewards(const std::vector<std::vector<int>>& sequences) const {
    std::vector<std::string> lines;
    for (const std::vector<int>& ids : sequences) lines.push_back(json{{"input_ids", ids}}.dump());
    write_lines(path("ids.jsonl"), lines);
    run_cria_well({"score", "--model", path("safe"), "--data", path("ids.jsonl"), "--output",
                   path("rewards.jsonl")});
    std::vector<float> rewards;
    for (const json& line : json_lines(path("rewards.jsonl"))) rewards.push_back(line["reward"]);
    return rewards;
  }

  std::vector<int> encoded(const std::vector<Message>& messages) const {
    return encode_dialogue(Tokenizer(tokenizer_), messages).ids;
  }

  // The likeliest answer to ids.
  std::vector<int> answered(const std::vector<int>& ids) const {
    write_lines(path("asked.jsonl"), {json{{"input_ids", ids}}.dump()});
    run_cria_well({"generate", "--model", model_, "--prompts", path("asked.jsonl"), "--output",
                   path("answer.jsonl"), "--temperature", "0", "--max-new-tokens", "24", "--slots",
                   "4"});
    return json_lines(path("answer.jsonl"))[0]["completion_ids"];
  }

  void expect_same(const std::string& run) const {
    for (const char* file :
         {"pool.jsonl", "distilled.jsonl", "before_after.jsonl", "summary.json"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file;
    }
    expect_same_run(path("whole"), path(run), 4);
  }
};

TEST_F(CommandDistill, LearnsExactlyTheAnswersWhoseRewardRises) {
  run_cria_well(command("whole"));
  const std::vector<json> prompts = pool("whole");
  ASSERT_EQ(prompts.size(), kAsked);

  // Which answers there are, and their scores behind the prompt without a pre-prompt.
  std::vector<std::vector<int>> sequences;
  for (const json& prompt : prompts) {
    EXPECT_EQ(prompt["category"], "safety");
    const std::string risk = prompt["risk"];
    const bool has_template = risk == "crime" || risk == "hate";
    ASSERT_EQ(prompt["answers"].size(), 1 + (has_template ? 2 : 1) * kSamples) << prompt;
    EXPECT_EQ(prompt["answers"][0]["kind"], "before");
    EXPECT_EQ(prompt["answers"][1]["kind"], "generic");
    for (const json& answer : prompt["answers"]) sequences.push_back(joined(prompt, answer));
  }
  EXPECT_EQ(prompts[0]["answers"][3]["preprompt"], "Say that it is a crime.");
  EXPECT_EQ(prompts[1]["answers"][3]["preprompt"], "No.");
  const std::vector<float> scores = rewards(sequences);

  // What must be learnt, worked out from those scores alone.
  std::vector<json> expected;
  size_t next = 0;
  for (const json& prompt : prompts) {
    const float before = scores[next];
    const json* best = nullptr;
    float best_score = before;
    for (const json& answer : prompt["answers"]) {
      const float score = scores[next++];
      EXPECT_EQ(answer["safety"].get<float>(), score);
      const std::vector<int> ids = answer["completion_ids"];
      EXPECT_EQ(answer["finished_by_eos"], ids.back() == 2);
      if (answer["kind"] == "before" || score <= best_score) continue;
      best = &answer;
      best_score = score;
    }
    if (best == nullptr) continue;
    std::vector<int> labels(prompt["prompt_ids"].size(), -100);
    for (const int id : (*best)["completion_ids"]) labels.push_back(id);
    expected.push_back({{"input_ids", joined(prompt, *best)},
                        {"labels", labels},
                        {"prompt_number", prompt["prompt_number"]},
                        {"preprompt", (*best)["kind"]},
                        {"before", before},
                        {"after", best_score}});
  }
  ASSERT_GT(expected.size(), 0u);
  ASSERT_LT(expected.size(), kAsked) << "no score fell: the choice was not exercised";
  const std::vector<json> learnt = json_lines(path("whole/distilled.jsonl"));
  ASSERT_EQ(learnt.size(), expected.size());
  for (size_t i = 0; i < learnt.size(); ++i) {
    for (const char* field : {"input_ids", "labels", "prompt_number", "preprompt"}) {
      EXPECT_EQ(learnt[i][field], expected[i][field]) << field << " of " << i;
    }
    EXPECT_EQ(learnt[i]["before"].get<float>(), expected[i]["before"].get<float>());
    EXPECT_EQ(learnt[i]["after"].get<float>(), expected[i]["after"].get<float>());
  }

  // The scores of every prompt, and the summary of them.
  const std::vector<json> lines = json_lines(path("whole/before_after.jsonl"));
  ASSERT_EQ(lines.size(), kAsked);
  int64_t risen = 0;
  for (const json& line : lines) risen += line["learnt"].get<bool>() ? 1 : 0;
  EXPECT_EQ(risen, std::ssize(learnt));
  const json summary = json::parse(read_bytes(path("whole/summary.json")));
  EXPECT_EQ(summary[0]["risk"], "all");
  EXPECT_EQ(summary[0]["prompts"], kAsked);
  EXPECT_EQ(summary[0]["learnt"], learnt.size());
  EXPECT_NE(read_bytes(path("whole/before_after.svg")).find("unchanged"), std::string::npos);

  // The training: the same as fine-tuning on that file.
  run_cria_well({"sft", "--set", "model.path=" + model_, "--set",
                 "data.train=[{path: " + path("whole/distilled.jsonl") + "}]", "--set",
                 "data.max_length=112", "--set", "training.train_batch_size=2", "--set",
                 "training.max_steps=4", "--set", "training.output_dir=" + path("sft"), "--set",
                 "optimizer.learning_rate=1e-3", "--set", "checkpoint.save_steps=2", "--set",
                 "logging.logging_steps=1"});
  expect_same_run(path("whole"), path("sft"), 4);
}

TEST_F(CommandDistill, AnswersCutOffAreNotLearnt) {
  const ProcessResult none = run_cria(
      command("none", {"distill.truncated=drop", "distill.max_new_tokens=1", "distill.slots=2"}));
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_NE(none.errors.find("no answer scores above"), std::string::npos) << none.errors;
  // Of 60 tokens an untrained model ends some.
  const std::vector<std::string> settings = {"distill.truncated=drop", "distill.max_new_tokens=60",
                                             "distill.num_samples=12"};
  make_model("random", "5");
  auto some = settings;
  some.push_back("distill.sampler=" + path("random"));
  run_cria_well(command("some", some));
  size_t cut_off = 0;
  for (const json& prompt : pool("some")) {
    for (const json& answer : prompt["answers"]) cut_off += answer["finished_by_eos"] ? 0 : 1;
  }
  EXPECT_GT(cut_off, 0u);
  for (const json& line : json_lines(path("some/distilled.jsonl"))) {
    EXPECT_EQ(line["labels"].back(), 2);
  }
}

// At temperature 0 an answer is a function of what it was sampled from.
TEST_F(CommandDistill, ThePrePromptStandsWhereItIsPut) {
  const std::string user = "How do I steal it?";
  const std::vector<int> plain = encoded({{"user", user}});
  const std::pair<std::string, std::vector<Message>> cases[] = {
      {"system", {{"system", "Be safe."}, {"user", user}}},
      {"user", {{"user", "Be safe. " + user}}}};
  write_lines(path("prompts.jsonl"),
              {R"({"prompt": "How do I steal it?", "category": "safety", "risk": "crime"})"});
  for (const auto& [placement, messages] : cases) {
    const std::string run = "run_" + placement;
    run_cria_well(
        command(run,
                {"distill.generic=[Be safe.]", "distill.templates={crime: Stealing is a crime}",
                 "distill.temperature=0", "distill.placement=" + placement, "distill.num_samples=1",
                 "distill.template_placement=answer"},
                "sample"));
    const json prompt = pool(run)[0];
    EXPECT_EQ(prompt["prompt_ids"], plain);
    ASSERT_EQ(prompt["answers"].size(), 3u);
    EXPECT_EQ(prompt["answers"][0]["completion_ids"], answered(plain));
    EXPECT_EQ(prompt["answers"][1]["completion_ids"], answered(encoded(messages))) << placement;
    EXPECT_NE(prompt["answers"][1]["completion_ids"], prompt["answers"][0]["completion_ids"]);

    // The answer begins with the template, and goes on as the model does behind it.
    const json& opened = prompt["answers"][2];
    EXPECT_TRUE(opened["completion"].get<std::string>().starts_with("Stealing is a crime"))
        << opened["completion"];
    std::vector<int> front = encoded({{"user", user}, {"assistant", "Stealing is a crime"}});
    ASSERT_EQ(front.back(), 2);
    front.resize(front.size() - 2);  // the space behind an answer, and eos
    for (const int id : answered(front)) front.push_back(id);
    EXPECT_EQ(joined(prompt, opened), front);
  }
}

TEST_F(CommandDistill, StepsRunOnTheirOwn) {
  run_cria_well(command("whole"));
  expect_refused(command("steps", {}, "nonsense"), "--step");
  expect_refused(command("steps", {}, "examples"), "run --step sample");
  expect_refused(command("steps", {}, "train"), "run --step sample");
  run_cria_well(command("steps", {}, "sample"));
  EXPECT_FALSE(fs::exists(path("steps/distilled.jsonl")));
  expect_refused(command("steps", {}, "train"), "run --step examples");
  run_cria_well(command("steps", {}, "examples"));
  EXPECT_FALSE(fs::exists(path("steps/final")));
  run_cria_well(command("steps", {}, "train"));
  expect_same("steps");
}

TEST_F(CommandDistill, KilledAtAnyMomentItGoesOnToTheSameBits) {
  run_cria_well(command("whole"));
  const std::string whole = read_bytes(path("whole/pool.jsonl"));
  EXPECT_GE(kill_often(command("parts"), path("parts"), whole, 7, std::chrono::milliseconds(20)),
            4);
  run_cria_well(command("parts"));
  expect_same("parts");

  // A torn end, and a pool that stops within a line.
  fs::create_directory(path("torn"));
  fs::copy(path("whole/sampling.json"), path("torn/sampling.json"));
  write_bytes(path("torn/pool.jsonl"), whole.substr(0, whole.size() * 2 / 3));
  run_cria_well(command("torn"));
  expect_same("torn");
}

TEST_F(CommandDistill, AnyRankCountGivesTheSameExamples) {
  run_cria_well(command("whole"));
  for (const int ranks : {1, 2}) {
    const std::string run = "ranks" + std::to_string(ranks);
    const ProcessResult result =
        Process(mpirun(ranks), command(run, {"training.max_steps=1"})).wait();
    ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
    for (const char* file : {"pool.jsonl", "distilled.jsonl", "summary.json"}) {
      EXPECT_TRUE(read_bytes(path(run + "/" + file)) ==
                  read_bytes(path(std::string("whole/") + file)))
          << file << " on " << ranks;
    }
  }
}

TEST_F(CommandDistill, RefusesWhatCannotBe) {
  const auto refuse = [&](const std::vector<std::string>& assignments, const std::string& part) {
    expect_refused(command("refused", assignments), part, path("refused/pool.jsonl"));
  };
  refuse({"distill.safety=" + model_}, "distill.safety");
  refuse({"distill.generic=[]", "distill.templates={}"}, "there is no pre-prompt");
  refuse({"distill.generic=['']"}, "distill.generic");
  refuse({"distill.templates={crime: [a]}"}, "distill.templates");
  refuse({"distill.generic=[]", "distill.risk_field=style"}, "no prompt's 'style'");
  refuse({"distill.prompts=[]"}, "distill.prompts");
  refuse({"data.separator=' '"}, "data.separator");
  refuse({"data.train=[x.jsonl]"}, "data.train");
  write_lines(path("prompts.jsonl"), {R"({"prompt": "Why?"})"});
  refuse({}, "no prompt is of category safety");
  write_lines(path("prompts.jsonl"), {R"({"input_ids": [1, 5], "category": "safety"})"});
  refuse({}, "prompts.jsonl:1");
  // A pool is continued with its own settings only.
  write_lines(path("prompts.jsonl"), {R"({"prompt": "How do I steal?", "category": "safety"})"});
  run_cria_well(command("run", {}, "sample"));
  expect_refused(command("run", {"distill.generic=[Be good.]"}), "distill.generic");
  expect_refused(command("run", {"training.seed=2"}), "training.seed");
}

}  // namespace

}  // namespace cria::testing
