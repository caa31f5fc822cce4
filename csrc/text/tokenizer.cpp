#include "cria/text/tokenizer.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include <sentencepiece_processor.h>

#include "cria/core/error.h"
#include "cria/core/parallel.h"
#include "cria/text/utf8.h"

namespace cria {

namespace {

constexpr size_t kChunkBytes = size_t{128} << 10;

}  // namespace

struct Tokenizer::Implementation {
  sentencepiece::SentencePieceProcessor processor;
  std::string bytes;
  bool splits_at_newlines = false;
  int dummy_prefix_tokens = 0;  // that "\n" starts with

  std::vector<int> encode(std::string_view text) const {
    std::vector<int> ids;
    const auto status = processor.Encode(text, &ids);
    if (!status.ok()) throw failure("tokenizer", status.error_message());
    return ids;
  }

  // True where encoding a text in parts that start at newlines gives the ids of the whole: no piece
  // holds a newline, and normalisation leaves spaces around it alone.
  void find_out_about_newlines() {
    for (int id = 0; id < processor.GetPieceSize(); ++id) {
      if (processor.IdToPiece(id).find('\n') != std::string::npos) return;
    }
    const int newline = processor.PieceToId("<0x0A>");
    if (!processor.IsByte(newline)) return;
    const std::vector<int> alone = encode("\n");
    if (alone.empty() || alone.back() != newline) return;
    dummy_prefix_tokens = static_cast<int>(alone.size()) - 1;
    std::vector<int> joined = encode("x  ");
    const std::vector<int> rest = encode("\n  y ");
    joined.insert(joined.end(), rest.begin() + dummy_prefix_tokens, rest.end());
    splits_at_newlines = joined == encode("x  \n  y ");
  }

  // Parts of at least kChunkBytes, each but the first starting at a newline.
  static std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    while (text.size() > kChunkBytes) {
      const size_t newline = text.find('\n', kChunkBytes);
      if (newline == std::string_view::npos) break;
      parts.push_back(text.substr(0, newline));
      text.remove_prefix(newline);
    }
    parts.push_back(text);
    return parts;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer::Tokenizer(const std::string& model_path) {
  std::ifstream file(model_path, std::ios::binary);
  if (!file || std::filesystem::is_directory(model_path)) {
    throw input_error(model_path, "the tokenizer cannot be read",
                      "name a SentencePiece model (tokenizer.model)");
  }
  std::ostringstream bytes;
  bytes << file.rdbuf();
  *this = from_bytes(std::move(bytes).str(), model_path);
}

Tokenizer Tokenizer::from_bytes(std::string bytes, const std::string& where) {
  auto implementation = std::make_unique<Implementation>();
  const auto& processor = implementation->processor;
  if (!implementation->processor.LoadFromSerializedProto(bytes).ok()) {
    throw input_error(where, "not a SentencePiece model", "name a tokenizer.model");
  }
  if (processor.bos_id() < 0 || processor.eos_id() < 0) {
    throw input_error(where, "the tokenizer has no bos or no eos piece",
                      "a Llama tokenizer has both: train one with `cria tokenizer train`");
  }
  implementation->bytes = std::move(bytes);
  implementation->find_out_about_newlines();
  return Tokenizer(std::move(implementation));
}

int32_t Tokenizer::vocab_size() const { return implementation_->processor.GetPieceSize(); }
int32_t Tokenizer::bos_id() const { return implementation_->processor.bos_id(); }
int32_t Tokenizer::eos_id() const { return implementation_->processor.eos_id(); }
int32_t Tokenizer::unk_id() const { return implementation_->processor.unk_id(); }
int32_t Tokenizer::pad_id() const { return implementation_->processor.pad_id(); }

static void check_utf8(std::string_view text) {
  const size_t bad = invalid_utf8(text);
  if (bad != std::string_view::npos) {
    throw input_error("text", fmt::format("byte {} is not UTF-8", bad), "convert it to UTF-8");
  }
}

// Long texts go in parts, on all cores: SentencePiece keeps some hundred bytes for each token that
// it is working on.
std::vector<int32_t> Tokenizer::encode(std::string_view text) const {
  check_utf8(text);
  if (!implementation_->splits_at_newlines || text.size() <= kChunkBytes) {
    return implementation_->encode(text);
  }
  const std::vector<std::string_view> parts = Implementation::parts_of(text);
  std::vector<std::vector<int>> ids(parts.size());
  std::vector<std::exception_ptr> errors(parts.size());
  parallel_for_each(static_cast<int64_t>(parts.size()), [&](int64_t i) {
    try {
      ids[i] = implementation_->encode(parts[i]);
    } catch (...) {
      errors[i] = std::current_exception();
    }
  });
  std::vector<int32_t> all;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (errors[i]) std::rethrow_exception(errors[i]);
    all.insert(all.end(), ids[i].begin() + (i == 0 ? 0 : implementation_->dummy_prefix_tokens),
               ids[i].end());
  }
  return all;
}

std::vector<TokenSpan> Tokenizer::encode_spans(std::string_view text) const {
  check_utf8(text);
  const auto encoded = implementation_->processor.EncodeAsImmutableProto(text);
  std::vector<TokenSpan> spans;
  spans.reserve(encoded.pieces_size());
  for (const auto& piece : encoded.pieces()) {
    spans.push_back({static_cast<int32_t>(piece.id()), piece.begin(), piece.end()});
  }
  return spans;
}

static void check_id(const Tokenizer& tokenizer, int32_t id) {
  if (id < 0 || id >= tokenizer.vocab_size()) {
    throw input_error("tokenizer",
                      fmt::format("id {} is outside the {} pieces", id, tokenizer.vocab_size()),
                      "use the tokenizer that the ids were made with");
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids) const {
  for (const int32_t id : ids) check_id(*this, id);
  std::string text;
  const auto status =
      implementation_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  if (!status.ok()) throw failure("tokenizer", status.error_message());
  return text;
}

const std::string& Tokenizer::piece(int32_t id) const {
  check_id(*this, id);
  return implementation_->processor.IdToPiece(id);
}

const std::string& Tokenizer::model_bytes() const { return implementation_->bytes; }

}  // namespace cria
