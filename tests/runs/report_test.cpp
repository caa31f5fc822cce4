// cria report.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "runs/evaluation_commands.h"
#include "runs/rlhf_command.h"
#include "runs/small_run.h"
#include "runs/well_formed.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// One section of a page, from its heading to its end; empty where it is left out.
std::string section(const std::string& page, const std::string& id) {
  const size_t begin = page.find("<section id=\"" + id + "\">");
  if (begin == std::string::npos) return {};
  return page.substr(begin, page.find("</section>", begin) - begin);
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

size_t plots(const std::string& html) { return count(html, "<figure"); }

// The page stands alone: nothing to fetch, nothing to run, every plot a drawing in the page's
// colours with its caption.
void expect_self_contained(const std::string& page) {
  expect_well_formed(page);
  for (const char* part : {"http:", "https:", "<script", "<link", "<iframe", "<object", "<img",
                           " src=", "@import", "url(", "xlink"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(count(page, "href="), count(page, "href=\"#")) << "a reference to elsewhere";
  EXPECT_NE(page.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_NE(page.find("name=\"viewport\""), std::string::npos);
  EXPECT_EQ(count(page, "<figure"), count(page, "role=\"img\""));
  EXPECT_EQ(count(page, "<figure"), count(page, "<figcaption>"));
  EXPECT_EQ(page.find("<figcaption></figcaption>"), std::string::npos) << "a plot says nothing";
  EXPECT_EQ(page.find("rgb("), std::string::npos) << "a colour that does not follow the theme";
  // Every place that is referred to is there, once.
  for (size_t at = page.find("href=\"#"); at != std::string::npos;
       at = page.find("href=\"#", at + 1)) {
    const size_t begin = at + 7;
    const std::string id = page.substr(begin, page.find('"', begin) - begin);
    EXPECT_EQ(count(page, "id=\"" + id + "\""), 1u) << id;
  }
}

// The cells of a row of the summary.
std::vector<std::string> summary_row(const std::string& page, const std::string& run) {
  const std::string summary = section(page, "summary");
  const size_t begin = summary.find(">" + run + "</th><td");
  EXPECT_NE(begin, std::string::npos) << run;
  if (begin == std::string::npos) return {};
  const std::string row = summary.substr(begin, summary.find("</tr>", begin) - begin);
  std::vector<std::string> cells;
  for (size_t at = row.find("<td"); at != std::string::npos; at = row.find("<td", at + 1)) {
    const size_t text = row.find('>', at) + 1;
    cells.push_back(row.substr(text, row.find('<', text) - text));
  }
  return cells;
}

std::string four_digits(const json& value) { return fmt::format("{:.4g}", value.get<double>()); }

// For `make report-test`, which looks at the pages of these tests in a browser.
void keep(const std::string& page) {
  const char* directory = std::getenv("CRIA_REPORT_DIR");
  if (directory == nullptr || read_bytes(page).find("<figure") == std::string::npos) return;
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  fs::copy_file(page, fmt::format("{}/{}.html", directory, test->name()),
                fs::copy_options::overwrite_existing);
}

class ReportCommand : public Commands {
 protected:
  std::string report(const std::vector<std::string>& runs) {
    std::vector<std::string> words = {"report", "--output", path("report.html")};
    words.insert(words.end(), runs.begin(), runs.end());
    const ProcessResult result = run_cria(words);
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    printed_ = result.output;
    keep(path("report.html"));
    return read_bytes(path("report.html"));
  }
  void expect_report_refused(const std::vector<std::string>& runs, const std::string& part) {
    std::vector<std::string> words = {"report", "--output", path("refused.html")};
    words.insert(words.end(), runs.begin(), runs.end());
    expect_refused(words, part, path("refused.html"));
  }

  std::string printed_;  // on the terminal
};

// Every trainer's run, in a place of its own; given in no order at all.
TEST_F(ReportCommand, OfEveryTrainersRun) {
  std::vector<std::string> runs;
  std::map<std::string, std::vector<json>> metrics;
  std::vector<std::unique_ptr<SmallRun>> small;
  for (const Trainer trainer : {Trainer::ppo, Trainer::reward, Trainer::sft, Trainer::dpo,
                                Trainer::rejection, Trainer::pretrain}) {
    small.push_back(std::make_unique<SmallRun>(trainer));
    std::vector<std::string> settings = {"training.max_steps=3"};
    if (trainer == Trainer::reward) {
      settings.push_back("training.eval_steps=3");
      settings.push_back(
          "data.eval=[{path: " + small.back()->path("data/preferences_helpful_test.jsonl") + "}]");
    }
    if (trainer == Trainer::rejection) {
      const std::vector<std::string> all = lines_of(small.back()->path("data/prompts_train.jsonl"));
      write_lines(path("prompts.jsonl"), {all.begin(), all.begin() + 12});
      settings.push_back("rejection.prompts=[" + path("prompts.jsonl") + "]");
    }
    const std::string name = "my_" + name_of(trainer);
    run_cria_well(small.back()->command(name, settings));
    runs.push_back(small.back()->path(name));
    metrics[name] = json_lines(runs.back() + "/metrics.jsonl");
  }
  const std::string page = report(runs);
  expect_self_contained(page);

  // The summary has every run, in the order of the recipe, with the figures of its metrics.
  size_t last = 0;
  for (const std::string trainer : {"pretrain", "sft", "reward", "rejection", "dpo", "ppo"}) {
    const std::string name = "my_" + trainer;
    const size_t at = page.find(">" + name + "</th>");
    EXPECT_GT(at, last) << name;
    last = at;
    const std::vector<std::string> cells = summary_row(page, name);
    ASSERT_GE(cells.size(), 5u) << name;
    json loss, tokens;
    for (const json& line : metrics[name]) {
      if (line.contains("loss")) loss = line["loss"];
      if (line.contains("num_tokens")) tokens = line["num_tokens"];
    }
    EXPECT_EQ(cells[0], trainer) << "told by what the run holds";
    EXPECT_EQ(cells[1], "3");
    std::string digits = cells[2];
    std::erase(digits, ',');
    EXPECT_EQ(digits, fmt::format("{:.0f}", tokens.get<double>())) << name;
    EXPECT_EQ(cells[3], four_digits(loss)) << name;
    // The terminal shows the same.
    EXPECT_NE(printed_.find(name + " "), std::string::npos) << printed_;
    EXPECT_NE(printed_.find(cells[3]), std::string::npos) << printed_;
  }
  const json evaluation = json::parse(read_bytes(runs[1] + "/evaluation.json"));
  const json& all = evaluation["parts"]["all"];
  EXPECT_NE(summary_row(page, "my_reward")
                .back()
                .find(fmt::format("{:.1f}% of {} held-out pairs right",
                                  100 * all["accuracy"].get<double>(), all["pairs"].get<int>())),
            std::string::npos);
  EXPECT_NE(
      summary_row(page, "my_ppo")
          .back()
          .find(fmt::format("score {} to {}", four_digits(metrics["my_ppo"][0]["objective/scores"]),
                            four_digits(metrics["my_ppo"].back()["objective/scores"]))),
      std::string::npos)
      << summary_row(page, "my_ppo").back();

  // Losses of five trainers (PPO's is no loss of tokens), perplexities of three.
  EXPECT_EQ(plots(section(page, "training")), 8u);
  EXPECT_EQ(plots(section(page, "reward-models")), 3u);
  EXPECT_EQ(plots(section(page, "best-of-n")), 1u);
  EXPECT_EQ(plots(section(page, "dpo")), 3u);
  EXPECT_GE(plots(section(page, "ppo")), 6u);
  const std::string configs = section(page, "configs");
  for (const std::string& run : runs) {
    EXPECT_NE(configs.find(fs::path(run).filename().string() + ": config.yaml"), std::string::npos);
  }
  EXPECT_NE(configs.find("max_length: 128"), std::string::npos);
  for (const char* part : {"compiler", "processor", "device", "cpu, "}) {
    EXPECT_NE(configs.find(part), std::string::npos) << part;
  }
  // What no run has is left out, of the table of contents too.
  for (const char* id : {"iterations", "win-rates", "red-team", "self-bleu", "ghost-attention",
                         "answers", "right-answers", "rewards", "studies", "likelihood"}) {
    EXPECT_EQ(page.find(std::string("\"") + id + "\""), std::string::npos) << id;
    EXPECT_EQ(page.find(std::string("#") + id + "\""), std::string::npos) << id;
  }
}

class ReportOfIterations : public CommandRlhf {};

TEST_F(ReportOfIterations, HasTheRunsOfEachStageAsCurvesOfOneFigure) {
  run_cria_well(command());
  run_cria_well({"report", path("run"), "--output", path("report.html")});
  keep(path("report.html"));
  const std::string page = read_bytes(path("report.html"));
  expect_self_contained(page);
  EXPECT_GE(plots(section(page, "iterations")), 3u);
  const json report = json::parse(read_bytes(path("run/report.json")));
  const json& held_out = report["iterations"].back()["figures"]["held_out"];
  for (const char* model : {"V0", "V1", "V3"}) {
    for (const char* reward : {"helpfulness", "safety"}) {
      EXPECT_NE(section(page, "iterations").find(">" + four_digits(held_out[model][reward]) + "<"),
                std::string::npos)
          << model << " " << reward;
    }
  }
  const std::vector<std::string> whole = summary_row(page, "run");
  ASSERT_FALSE(whole.empty());
  EXPECT_EQ(whole[0], "rlhf");
  EXPECT_NE(whole.back().find("V0 to V3: helpfulness"), std::string::npos) << whole.back();
  const std::string training = section(page, "training");
  EXPECT_EQ(count(training, "Rejection sampling, run/rejection: loss</h4>"), 1u) << training;
  EXPECT_EQ(plots(training), 4u) << "two of reward models, loss and perplexity of rejection";
  for (const char* name : {"V1/rejection", "V2/rejection", "V3/rejection", "V3/ppo"}) {
    EXPECT_EQ(summary_row(page, name).size(), 6u) << name;
  }
}

class ReportOfEvaluations : public EvaluationCommands {
 protected:
  // `cria eval` with these words, into a file of that name.
  void evaluate(const std::string& name, std::vector<std::string> words) const {
    words.insert(words.begin(), "eval");
    words.insert(words.end(), {"--output", path("all/" + name + ".json")});
    run_cria_well(words);
  }
};

TEST_F(ReportOfEvaluations, HasASectionForEachKind) {
  fs::create_directory(path("all"));
  const std::vector<std::string> rewards = {"--helpfulness", path("helpful"), "--safety",
                                            path("safe")};
  write_lines(path("prompts.jsonl"),
              {R"({"prompt": "Tell <b> & me.", "kind": "tale"})", R"({"prompt": "Sing."})"});
  for (const char* stage : {"sft", "ppo"}) {
    run_cria_well({"generate", "--model", model_, "--chat", "--prompts", path("prompts.jsonl"),
                   "--output", path(std::string("all/") + stage + ".t1.jsonl"), "--max-new-tokens",
                   "6", "--seed", stage == std::string("sft") ? "1" : "2"});
  }
  const auto with_rewards = [&](std::vector<std::string> words) {
    words.insert(words.end(), rewards.begin(), rewards.end());
    return words;
  };
  evaluate("rewards", with_rewards({"rewards", "--answers", path("all/sft.t1.jsonl"), "--answers",
                                    path("all/ppo.t1.jsonl"), "--bins", "5"}));
  evaluate("wins", with_rewards({"win-rate", "--first", path("all/ppo.t1.jsonl"), "--second",
                                 path("all/sft.t1.jsonl")}));
  evaluate("alike", {"self-bleu", "--model", model_, "--prompts", path("prompts.jsonl"),
                     "--num-samples", "3", "--temperatures", "0.5,1", "--max-new-tokens", "6"});
  write_lines(path("styles.yaml"), {"plain: ['{prompt}']", "turns: [[Hi., '{prompt}']]"});
  evaluate("attacks", {"red-team", "--model", model_, "--requests", path("prompts.jsonl"),
                       "--styles", path("styles.yaml"), "--max-new-tokens", "4", "--safety",
                       path("safe"), "--category-field", "kind"});
  write_lines(path("pairs.jsonl"),
              {R"({"prompt": "a", "chosen": "b", "rejected": "c", "rating": "better"})",
               R"({"prompt": "d", "chosen": "e", "rejected": "f", "rating": "slightly_better"})"});
  evaluate("judged", {"preferences", "--model", path("helpful"), "--data", path("pairs.jsonl")});
  write_lines(path("texts.jsonl"), {R"({"text": "one two three"})"});
  evaluate("texts", {"perplexity", "--model", model_, "--data", path("texts.jsonl")});
  run_cria_well({"report", path("all"), "--output", path("report.html")});
  keep(path("report.html"));
  const std::string page = read_bytes(path("report.html"));
  expect_self_contained(page);
  const std::pair<const char*, size_t> figures[] = {
      {"rewards", 3}, {"self-bleu", 1}, {"red-team", 1}, {"reward-models", 2}};
  for (const auto& [id, plotted] : figures) EXPECT_EQ(plots(section(page, id)), plotted) << id;
  const json wins = json::parse(read_bytes(path("all/wins.json")));
  EXPECT_EQ(plots(section(page, "win-rates")),
            wins["parts"]["all"]["win_rate"].is_null() ? 0u : 1u);
  const json texts = json::parse(read_bytes(path("all/texts.json")));
  EXPECT_NE(section(page, "likelihood").find(">" + four_digits(texts[0]["perplexity"]) + "<"),
            std::string::npos);
  // The same prompt, answered by both stages.
  const std::string answers = section(page, "answers");
  EXPECT_EQ(count(answers, "Tell &lt;b&gt; &amp; me."), 1u) << answers;
  EXPECT_EQ(count(answers, "<dt>sft</dt>"), 2u);
  EXPECT_EQ(count(answers, "<dt>ppo</dt>"), 2u);
}

// A share of right answers for each stage, beside each other on the page and the terminal.
TEST_F(ReportCommand, OfRightAnswersSetsStagesSideBySide) {
  fs::create_directory(path("all"));
  const json kinds = {{"sum", {{"answers", 100}, {"right", 0.25}}},
                      {"recall", {{"answers", 100}, {"right", 1.0}}}};
  for (const char* stage : {"sft", "ppo"}) {
    write_bytes(path(std::string("all/") + stage + ".t0.figures.json"),
                json{{"all", {{"answers", 200}, {"right", 0.625}}}, {"kinds", kinds}}.dump());
  }
  const std::string page = report({path("all")});
  expect_self_contained(page);
  EXPECT_EQ(plots(section(page, "right-answers")), 1u);
  EXPECT_EQ(count(page, "25.0 ± 4.3"), 2u);
  EXPECT_EQ(count(printed_, "25.0 ± 4.3"), 2u) << printed_;
  EXPECT_LT(printed_.find("recall"), printed_.find("sum")) << "as the demo world names them";
}

TEST_F(ReportCommand, OfGhostAttentionSetsToldOnceBesideToldEveryTurn) {
  fs::create_directory(path("all"));
  const auto share = [](int followed, int checked) {
    return json{
        {"followed", followed}, {"checked", checked}, {"share", double(followed) / checked}};
  };
  const auto told = [&](int late) {
    const json turns = {{"1", share(8, 8)}, {"10-20", share(late, 80)}};
    return json{{"trained", {{"turns", turns}, {"by_turn", {share(8, 8), share(late, 80)}}}},
                {"kinds", {{"persona", turns}}}};
  };
  const auto model = [&](const char* name, int once, int every) {
    return json{{"name", name},
                {"consistency", {{"long_once", told(once)}, {"every_turn", told(every)}}}};
  };
  write_bytes(path("all/gatt_eval.json"),
              json{{"models", {model("sft", 10, 70), model("gatt", 60, 72)}}}.dump());
  const std::string page = report({path("all")});
  expect_self_contained(page);
  const std::string shown = section(page, "ghost-attention");
  EXPECT_EQ(plots(shown), 2u);
  for (const char* figure : {"12.5%", "87.5%", "75.0%", "90.0%"}) {
    EXPECT_EQ(count(shown, figure), 1u) << figure;
    EXPECT_EQ(count(printed_, figure), 1u) << printed_;
  }
}

// Attention, distillation and studies: whoever draws a picture puts it beside its figures.
TEST_F(ReportCommand, OfAPictureBesideItsFigures) {
  fs::create_directory(path("all"));
  write_bytes(path("all/attention.json"),
              R"({"title": "Attention <before>", "caption": "Dark is much & more", "cells": []})");
  write_bytes(
      path("all/attention.svg"),
      R"(<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="90" height="60">)"
      R"(<script>alert(1)</script><style>* { fill: url(http://x.org/) }</style>)"
      R"x(<rect width="9" height="6" fill="#0072b2" onload="alert(2)"/>)x"
      R"(<image href="http://x.org/a.png"/><a href="http://x.org"><text>gone</text></a>)"
      R"(<text x="1">1 &lt; 2</text></svg>)");
  const std::string page = report({path("all")});
  expect_self_contained(page);
  const std::string pictures = section(page, "studies");
  for (const char* part : {"Attention &lt;before&gt;", "Dark is much &amp; more", "1 &lt; 2",
                           "viewBox=\"0 0 90 60\"", "fill=\"var(--series-0)\""}) {
    EXPECT_NE(pictures.find(part), std::string::npos) << part << " is not in " << pictures;
  }
  for (const char* part : {"alert", "gone", "x.org", "onload"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
  write_bytes(path("all/attention.svg"), "<svg>\n<g>\n</svg");
  expect_report_refused({path("all")}, "attention.svg:");
}

TEST_F(ReportCommand, EscapesAllTextOfData) {
  fs::create_directories(path("all/<i>run"));
  const std::string evil = R"(</dd><script>alert("x")</script>&<img src=x onerror='y'>)";
  write_lines(
      path("all/a&b.jsonl"),
      {json{
          {"prompt", evil}, {"sample", 0}, {"completion", evil + "\x01"}, {"finished_by_eos", true}}
           .dump()});
  write_lines(path("all/<i>run/metrics.jsonl"),
              {R"({"step": 1, "loss": 2})", R"({"step": 2, "loss": 1})"});
  write_bytes(path("all/<i>run/config.yaml"), "model: {path: \"</pre><b>\"}\n");
  const std::string page = report({path("all"), "--title", "<u>title</u>"});
  expect_well_formed(page);
  for (const char* part : {"<script", "<img", "<i>", "<u>", "<b>", "\x01"}) {
    EXPECT_EQ(page.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(count(section(page, "answers"), "&lt;/dd&gt;&lt;script&gt;alert(&quot;x&quot;)"), 2u);
  EXPECT_NE(page.find("<h1>&lt;u&gt;title&lt;/u&gt;</h1>"), std::string::npos);
}

TEST_F(ReportCommand, NamesTheFileAndTheLineThatIsBroken) {
  fs::create_directory(path("run"));
  expect_report_refused({path("nowhere")}, "there is no such file");
  expect_report_refused({path("run")}, "holds nothing to report on");
  write_lines(path("run/metrics.jsonl"), {R"({"step": 1, "loss": 2})", R"({"step": 2, "lo)"});
  expect_report_refused({path("run")}, "metrics.jsonl:2");
  write_lines(path("run/metrics.jsonl"), {R"({"step": 1, "loss": 2})", R"({"loss": 2})"});
  expect_report_refused({path("run")}, "metrics.jsonl:2");
  write_lines(path("run/metrics.jsonl"), {R"({"step": 1, "loss": 2})"});
  write_bytes(path("run/config.yaml"), "a: 1\nb: {c\n");
  expect_report_refused({path("run")}, "config.yaml:");
  write_bytes(path("run/config.yaml"), "a: 1\n");
  write_bytes(path("run/evaluation.json"), "{\n\"parts\": {},\n]\n");
  expect_report_refused({path("run")}, "evaluation.json:3");
  write_bytes(path("run/evaluation.json"),
              R"({"parts": {"all": {"pairs": 3}}, "calibration": []})");
  expect_report_refused({path("run")}, "evaluation.json: does not hold the figures");
  write_bytes(path("other.json"), "{}");
  expect_report_refused({path("other.json")}, "holds no figures that a report knows");
}

// What is not finite is null in metrics, and no point of a curve.
TEST_F(ReportCommand, LeavesOutWhatIsNotFinite) {
  fs::create_directory(path("run"));
  write_lines(path("run/metrics.jsonl"), {R"({"step": 1, "loss": null, "num_tokens": 5})",
                                          R"({"step": 2, "loss": null, "num_tokens": 9})"});
  const std::string page = report({path("run")});
  expect_self_contained(page);
  EXPECT_EQ(plots(page), 0u);
  EXPECT_NE(printed_.find("run"), std::string::npos);
}

}  // namespace

}  // namespace cria::testing
