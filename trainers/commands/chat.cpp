// cria chat: a conversation with a model, its answers shown token by token. Standard output gets
// the answers and nothing else but the prompt at a terminal; what is said about them goes to
// standard error.
#include <memory>

#include <unistd.h>

#include "cria/generate/generator.h"
#include "cria/io/atomic_directory.h"
#include "cria/text/utf8.h"

#include "trainers/commands/commands.h"
#include "trainers/commands/inference_options.h"
#include "trainers/commands/sampling_options.h"
#include "trainers/conversation.h"
#include "trainers/terminal.h"

namespace cria {

namespace {

constexpr const char* kHelp =
    "/reset          forget the dialogue and begin a new one, with the same system message\n"
    "/system TEXT    begin a new dialogue with this system message; without TEXT, with none\n"
    "/save FILE      write the dialogue so far, as a line {\"messages\": ...} of JSON\n"
    "/help           this list\n"
    "/quit           end, as does the end of the input (Ctrl-D)\n"
    "Ctrl-C stops an answer, which is kept as far as it went; at the prompt it ends the program.\n"
    "A line that begins with a space is always a message.";

struct ChatOptions {
  std::string model;
  InferenceOptions inference;
  std::string system;
  std::string save;
  // As in Meta's example_chat_completion.py.
  SamplingSettings sampling{.temperature = 0.6f, .top_p = 0.9f};
  // A dialogue is one sequence, and each turn goes on from the cache of those before.
  GeneratorOptions generator{.slots = 1, .keep_prefix = true};
};

template <typename... Arguments>
void note(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", fmt::format(format, std::forward<Arguments>(arguments)...));
}

class Chat {
 public:
  Chat(PretrainedModel& pretrained, ChatOptions options)
      : options_(std::move(options)),
        generator_(pretrained.model(), options_.generator),
        conversation_(pretrained.tokenizer(), options_.system),
        plain_output_(isatty(STDOUT_FILENO) == 0) {
    options_.sampling.stop_ids = {pretrained.config().eos_token_id};
    generator_.reserve(pretrained.arena());
    pretrained.load();
  }

  void run() {
    LineInput input("> ");
    if (input.at_terminal()) {
      note("{}, context of {} tokens; /help lists the commands, Ctrl-D ends", options_.model,
           generator_.max_context());
    }
    while (const std::optional<std::string> line = input.next()) {
      if (strip(*line).empty()) continue;
      if (line->front() != '/') {
        answer(*line);
      } else if (!obey(*line)) {
        break;
      }
    }
  }

 private:
  // Carries out a command. False: the conversation is over.
  bool obey(const std::string& line) {
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    const std::string command = line.substr(0, end);
    const std::string argument(strip(std::string_view(line).substr(end)));
    if (command == "/quit") return false;
    if (command == "/help") {
      note("{}", kHelp);
    } else if (command == "/reset") {
      restart(conversation_.system());
      note("a new dialogue");
    } else if (command == "/system") {
      restart(argument);
      note("a new dialogue, {}",
           argument.empty() ? "without a system message" : "with this system message");
    } else if (command == "/save") {
      save(argument);
    } else {
      note("error: {}: there is no such command; /help lists them", printable(command));
    }
    return true;
  }

  void restart(std::string system) {
    if (!conversation_.empty()) dialogues_before_ += conversation_.json_line();
    conversation_.restart(std::move(system));
    ++dialogue_;
    turn_ = 0;
  }

  void save(const std::string& path) const {
    if (path.empty() || conversation_.empty()) {
      note("error: /save: {}", path.empty() ? "give the name of a file" : "nothing was said yet");
      return;
    }
    try {
      write_file_atomically(path, conversation_.json_line());
      note("saved to {}", path);
    } catch (const Error& error) {
      note("error: {}", error.what());
    }
  }

  void answer(const std::string& text) {
    std::vector<int32_t> prompt;
    try {
      prompt = conversation_.prompt_for(text);
    } catch (const Error& error) {
      note("error: {}", error.what());
      return;
    }
    if (static_cast<int64_t>(prompt.size()) >= generator_.max_context()) {
      note(
          "error: the dialogue and this message are {} tokens, and the model's context is {}; a "
          "shorter message may still fit, /reset begins a new dialogue",
          prompt.size(), generator_.max_context());
      return;
    }
    const GenerationRequest request{.prompt = prompt,
                                    .example = sample_example(dialogue_, turn_++),
                                    .settings = options_.sampling};
    std::vector<int32_t> ids;
    size_t shown = 0;
    const InterruptWatch watch;
    const GenerationResult result =
        generator_.generate(std::span(&request, 1), [&](const DrawnToken& token) {
          ids.push_back(token.id);
          show(conversation_.text_of(prompt, ids), shown);
          return watch.interrupted() ? AfterToken::end_answer : AfterToken::go_on;
        })[0];
    fmt::print("{}", plain_output_ ? "\n" : "\n\n");
    std::fflush(stdout);
    if (!result.complete) {
      note("(stopped)");
    } else if (!result.finished_by_eos) {
      const bool cut = static_cast<int64_t>(ids.size()) == options_.sampling.max_new_tokens;
      note("({})", cut ? "cut here: --max-new-tokens"
                       : "cut here: the model's context is full, /reset begins a new dialogue");
    }
    conversation_.add_turn(text, std::move(prompt), ids);
    if (!options_.save.empty()) {
      write_file_atomically(options_.save, dialogues_before_ + conversation_.json_line());
    }
  }

  // What has come to the text since the first `shown` bytes.
  void show(const std::string& text, size_t& shown) const {
    const std::string added = text.substr(shown);
    shown = text.size();
    fmt::print("{}", plain_output_ ? added : printable(added));
    std::fflush(stdout);
  }

  ChatOptions options_;
  Generator generator_;
  Conversation conversation_;
  bool plain_output_;
  std::string dialogues_before_;  // JSON Lines
  // The keys of the random numbers.
  uint32_t dialogue_ = 0;
  uint32_t turn_ = 0;
};

void run(const ChatOptions& options) {
  validate(options.sampling, "chat");
  PretrainedModel pretrained(options.model, options.inference);
  Chat(pretrained, options).run();
}

}  // namespace

void add_chat_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("chat", "a conversation with a model");
  auto options = std::make_shared<ChatOptions>();
  add_inference_options(*command, options->model, options->inference);
  command->add_option("--system", options->system, "system message");
  command->add_option("--save", options->save,
                      "JSON Lines with every dialogue, written again after each answer");
  add_sampling_options(*command, options->sampling, options->generator.seed);
  command->footer(std::string("Lines are messages, except for these:\n") + kHelp);
  command->callback([options] { run(*options); });
}

}  // namespace cria
