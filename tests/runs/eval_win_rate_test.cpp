// cria eval win-rate.
#include <cmath>
#include <map>

#include "runs/evaluation_commands.h"

namespace cria::testing {

namespace {

using nlohmann::json;

class EvalWinRate : public EvaluationCommands {
 protected:
  EvalWinRate() {
    for (int i = 0; i < 12; ++i) {
      const json prompt = i % 3 == 2 ? json{{{"role", "user"}, {"content", "Say it."}},
                                            {{"role", "assistant"}, {"content", "No."}},
                                            {{"role", "user"}, {"content", std::to_string(i)}}}
                                     : json("What is " + std::to_string(i) + "?");
      prompts_.push_back(json{{"prompt", prompt},
                              {"category", i % 2 == 0 ? "safety" : "helpful"},
                              {"kind", i < 4 ? "sum" : "most"}}
                             .dump());
      const auto line = [&](const std::string& completion) {
        return json{{"prompt", prompt}, {"completion", completion}}.dump();
      };
      first_.push_back(line("It is " + std::to_string(3 * i) + "."));
      second_.push_back(line(i == 5 ? "It is 15." : "red " + std::to_string(i)));
    }
    write_lines(path("prompts.jsonl"), prompts_);
    write_lines(path("first.jsonl"), first_);
    write_lines(path("second.jsonl"), second_);
  }

  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"win-rate", "--first", path("first.jsonl"), "--second",
                                      path("second.jsonl")};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  // As fine-tuning data, which `score` reads: an answer to messages is one more message.
  static std::vector<std::string> to_score(const std::vector<std::string>& answers) {
    std::vector<std::string> lines;
    for (const std::string& answer : answers) {
      json line = json::parse(answer);
      if (line["prompt"].is_array()) {
        json messages = line["prompt"];
        messages.push_back({{"role", "assistant"}, {"content", line["completion"]}});
        line = {{"messages", messages}};
      }
      lines.push_back(line.dump());
    }
    return lines;
  }

  std::vector<std::string> prompts_, first_, second_;
};

// Against the scores of `cria score`, combined here.
TEST_F(EvalWinRate, ByRewardModels) {
  const json result = figures(command({"--helpfulness", path("helpful"), "--safety", path("safe"),
                                       "--prompts", path("prompts.jsonl")}));
  const auto combined = [&](const std::vector<std::string>& answers) {
    const std::vector<double> helpful = scores("helpful", to_score(answers));
    std::vector<double> rewards = scores("safe", to_score(answers));
    for (size_t i = 0; i < rewards.size(); ++i) {
      const bool safety = json::parse(prompts_[i])["category"] == "safety";
      if (!safety && rewards[i] >= std::log(0.15 / 0.85)) rewards[i] = helpful[i];
    }
    return rewards;
  };
  const std::vector<double> first = combined(first_), second = combined(second_);
  std::map<std::string, int> wins, losses, ties;
  for (size_t i = 0; i < first.size(); ++i) {
    const json prompt = json::parse(prompts_[i]);
    for (const std::string& part :
         {std::string("all"), "category " + prompt["category"].get<std::string>(),
          "kind " + prompt["kind"].get<std::string>()}) {
      wins[part] += first[i] > second[i];
      losses[part] += first[i] < second[i];
      ties[part] += first[i] == second[i];
    }
  }
  ASSERT_EQ(result["parts"].size(), 5u) << result;
  for (const auto& [part, counts] : result["parts"].items()) {
    EXPECT_EQ(counts["wins"], wins[part]) << part;
    EXPECT_EQ(counts["losses"], losses[part]) << part;
    EXPECT_EQ(counts["ties"], ties[part]) << part;
  }
  EXPECT_EQ(result["same_texts"], 1);
  EXPECT_GT(wins["all"], 0);
  EXPECT_GT(losses["all"], 0);
  EXPECT_EQ(result["judge"]["safety"], path("safe"));

  const json margin = figures(command({"--helpfulness", path("helpful"), "--tie-margin", "1e6"}));
  EXPECT_EQ(margin["parts"]["all"]["ties"], 12);
  EXPECT_EQ(margin["parts"]["all"]["win_rate"], nullptr);
}

// The second answers are the ones with "red" in them.
TEST_F(EvalWinRate, ByAProgram) {
  const json result = figures(
      command({"--judge-command", R"(sed 's/.*"a":"red.*/b/; /^b$/!s/.*/a/')", "--seed", "3"}));
  EXPECT_EQ(result["parts"]["all"]["wins"], 11);
  EXPECT_EQ(result["parts"]["all"]["losses"], 0);
  EXPECT_EQ(result["parts"]["all"]["ties"], 1);
  EXPECT_GT(result["swapped"], 0);
  EXPECT_LT(result["swapped"], 11);
  EXPECT_EQ(result["shown_first_won"], 11 - result["swapped"].get<int>());

  std::vector<std::string> failing = command({"--judge-command", "exit 4"});
  failing.insert(failing.begin(), "eval");
  const ProcessResult failed = run_cria(failing);
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_EQ(failed.errors, "error: judge `exit 4`: exit code 4\n");
}

// Two models are sampled with the same prompts; that is what `generate` would have written.
TEST_F(EvalWinRate, OfModels) {
  const std::vector<std::string> sampling = {"--prompts",        path("prompts.jsonl"),
                                             "--max-new-tokens", "8",
                                             "--num-samples",    "2",
                                             "--slots",          "3",
                                             "--seed",           "4"};
  std::vector<std::string> generate = {"generate", "--model",  model_,
                                       "--chat",   "--output", path("first.jsonl")};
  generate.insert(generate.end(), sampling.begin(), sampling.end());
  run_cria_well(generate);
  std::vector<std::string> colder = generate;
  colder[5] = path("second.jsonl");
  colder.insert(colder.end(), {"--temperature", "0.3"});
  run_cria_well(colder);
  std::vector<std::string> words = {
      "win-rate",           "--first",       model_,         "--second",
      path("second.jsonl"), "--helpfulness", path("helpful")};
  words.insert(words.end(), sampling.begin(), sampling.end());
  json of_model = figures(words);
  words[2] = path("first.jsonl");
  json of_files = figures(words);
  EXPECT_EQ(of_model["parts"]["all"]["wins"].get<int>() +
                of_model["parts"]["all"]["losses"].get<int>() +
                of_model["parts"]["all"]["ties"].get<int>(),
            24);
  of_model.erase("first");
  of_files.erase("first");
  EXPECT_EQ(of_model, of_files);
}

TEST_F(EvalWinRate, RefusesWhatItCannotJudge) {
  const auto refuse = [&](std::vector<std::string> words, const std::string& part) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--output", path("none.json")});
    expect_refused(words, part, path("none.json"));
  };
  refuse(command({}), "no reward model is given");
  refuse(command({"--helpfulness", path("helpful"), "--judge-command", "cat"}), "give either");
  refuse(command({"--helpfulness", model_}), "has no score head");
  refuse({"win-rate", "--first", model_, "--second", path("second.jsonl"), "--helpfulness",
          path("helpful")},
         "give --prompts");
  write_lines(path("first.jsonl"), {R"({"prompt": "x"})"});
  refuse(command({"--helpfulness", path("helpful")}), "first.jsonl:1: no answer in the line");
  write_lines(path("first.jsonl"), {R"({"completion": "x"})"});
  refuse(command({"--helpfulness", path("helpful")}), "first.jsonl:1: no prompt in the line");
  write_lines(path("first.jsonl"), {R"({"prompt": "x", "completion": "y", "finished_by_eos": 3})"});
  refuse(command({"--helpfulness", path("helpful")}), "first.jsonl:1: field 'finished_by_eos'");
  write_lines(path("first.jsonl"), {});
  refuse(command({"--helpfulness", path("helpful")}), "first.jsonl: has no answers");
  std::vector<std::string> other = second_;
  std::swap(other[2], other[3]);
  write_lines(path("first.jsonl"), other);
  refuse(command({"--helpfulness", path("helpful")}), "second.jsonl:3: answers another prompt");
  other = second_;
  other[1] = json{{"prompt", "What is 1?"}, {"completion", std::string(400, 'x')}}.dump();
  write_lines(path("first.jsonl"), other);
  refuse(command({"--helpfulness", path("helpful")}), "first.jsonl:2: ");
  write_lines(path("first.jsonl"), second_);
  prompts_.erase(prompts_.begin() + 4);
  write_lines(path("prompts.jsonl"), prompts_);
  refuse(command({"--helpfulness", path("helpful"), "--prompts", path("prompts.jsonl")}),
         "first.jsonl:5: its prompt is in none of the files");
}

}  // namespace

}  // namespace cria::testing
