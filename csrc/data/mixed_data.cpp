#include "mixed_data.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cria/core/error.h"
#include "cria/core/random.h"

namespace cria {

namespace {

bool left_out(const Source& source) { return source.path.weight == 0; }

// What weights are shares of where data.mixing is sizes: a weight of 1 goes through a file once
// while the others with theirs do.
std::vector<Source> weighted(std::vector<Source> sources, const DataOptions& options,
                             bool by_tokens) {
  if (options.mixing == "weights") return sources;
  if (options.mixing != "sizes") {
    throw input_error("data.mixing", fmt::format("'{}' is no way to mix", options.mixing),
                      "set weights or sizes");
  }
  for (Source& source : sources) {
    const ExampleCounts& counts = source.counts;
    source.path.weight *= static_cast<double>(by_tokens ? counts.tokens : counts.examples);
  }
  return sources;
}

EpochRule parse_epoch(const std::string& name) {
  if (name == "total") return EpochRule::total;
  if (name == "first_exhausted") return EpochRule::first_exhausted;
  if (name == "all_exhausted") return EpochRule::all_exhausted;
  throw input_error("data.epoch", fmt::format("'{}' is no epoch", name),
                    "set total, first_exhausted or all_exhausted");
}

// Shares by which items are drawn: items of n tokens on average are drawn n times less often where
// weights are shares of tokens.
std::vector<double> shares_of(const std::vector<Source>& sources, bool by_tokens) {
  std::vector<double> shares;
  for (const Source& source : sources) {
    const auto items = static_cast<double>(source.counts.examples);
    const auto tokens = static_cast<double>(source.counts.tokens);
    const double mean = items > 0 ? tokens / items : 1.0;
    shares.push_back(by_tokens ? source.path.weight / mean : source.path.weight);
  }
  return shares;
}

std::vector<int64_t> item_counts(const std::vector<Source>& sources) {
  std::vector<int64_t> counts;
  for (const Source& source : sources) counts.push_back(source.counts.examples);
  return counts;
}

// "; 3 dropped as too long; 1 bad line skipped (first: …)"
std::string losses(const ExampleCounts& counts) {
  std::string text;
  if (counts.dropped > 0) text += fmt::format("; {} dropped as too long", counts.dropped);
  if (counts.truncated > 0) text += fmt::format("; {} cut to max_length", counts.truncated);
  if (counts.unlabelled > 0) {
    text += fmt::format("; {} with nothing to learn left out", counts.unlabelled);
  }
  if (counts.identical > 0) {
    text += fmt::format("; {} with two equal answers left out", counts.identical);
  }
  if (counts.skipped > 0) {
    text += fmt::format("; {} bad lines skipped (first: {})", counts.skipped, counts.first_skipped);
  }
  return text;
}

}  // namespace

std::vector<int64_t> items_of_share(int64_t count, double share, uint64_t seed) {
  if (share == 0) return {};
  std::vector<int64_t> items(static_cast<size_t>(count));
  std::iota(items.begin(), items.end(), int64_t{0});
  if (share >= 1 || count == 0) return items;
  const auto kept =
      static_cast<size_t>(std::max<int64_t>(1, std::llround(share * static_cast<double>(count))));
  const Random random(seed, Purpose::data_share);
  for (size_t i = 0; i < kept; ++i) {  // the front of Fisher and Yates
    std::swap(items[i], items[i + random.below(items.size() - i, i)]);
  }
  items.resize(kept);
  std::sort(items.begin(), items.end());
  return items;
}

std::vector<Source> read_sources(const DataOptions& options,
                                 const std::function<void(size_t, Source&)>& read) {
  if (options.train.empty()) throw input_error("data.train", "no files");
  std::vector<Source> sources;
  for (const DataPath& path : options.train) {
    if (!std::isfinite(path.weight) || path.weight < 0) {
      throw input_error(fmt::format("data.train[{}].weight", sources.size()),
                        fmt::format("{} is no weight", path.weight),
                        "set a number from 0 (leave the file out) upwards");
    }
    if (!(path.share >= 0 && path.share <= 1)) {
      throw input_error(fmt::format("data.train[{}].share", sources.size()),
                        fmt::format("{} is no share", path.share), "set 0 to 1");
    }
    sources.push_back({.path = path, .counts = {}});
    if (path.share == 0) sources.back().path.weight = 0;
  }
  if (std::all_of(sources.begin(), sources.end(), left_out)) {
    throw input_error("data.train", "every weight is 0", "give at least one file a weight");
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    if (left_out(sources[i])) continue;
    read(i, sources[i]);
    check_not_empty({sources[i]}, fmt::format("data.train[{}]", i));
  }
  return sources;
}

ExampleOptions example_options(const DataOptions& options) {
  if (options.max_length < 2) {
    throw input_error("data.max_length", fmt::format("{} is too short", options.max_length),
                      "a row needs two tokens at least");
  }
  return {.max_length = options.max_length,
          .over_long = parse_over_long(options.over_long, "data.over_long"),
          .targets = options.targets,
          .separator = options.separator};
}

void check_not_empty(const std::vector<Source>& sources, const std::string& key) {
  std::string what;
  for (const Source& source : sources) {
    if (source.counts.examples > 0) return;
    what += source.path.path + " holds nothing to learn" + losses(source.counts) + " ";
  }
  while (what.ends_with(' ')) what.pop_back();
  throw input_error(key, what.empty() ? "no files" : what);
}

MixedData::MixedData(std::vector<Source> sources, const DataOptions& options, Unit unit)
    : sources_(weighted(std::move(sources), options, unit == Unit::tokens)),
      mixture_(item_counts(sources_), shares_of(sources_, unit == Unit::tokens), options.shuffle,
               options.seed),
      unit_(unit),
      epoch_(parse_epoch(options.epoch)) {}

double MixedData::epoch_size() const {
  double total = 0, weights = 0;
  for (const Source& source : sources_) weights += source.path.weight;
  double shortest = std::numeric_limits<double>::infinity(), longest = 0;
  for (const Source& source : sources_) {
    if (left_out(source)) continue;
    const auto size =
        static_cast<double>(unit_ == Unit::tokens ? source.counts.tokens : source.counts.examples);
    // Of the whole stream, when this source has been gone through once.
    const double length = size * weights / source.path.weight;
    total += size;
    shortest = std::min(shortest, length);
    longest = std::max(longest, length);
  }
  if (epoch_ == EpochRule::total) return total;
  return epoch_ == EpochRule::first_exhausted ? shortest : longest;
}

int64_t MixedData::fingerprint() const {
  int64_t tokens = 0;
  for (const Source& source : sources_) tokens += source.counts.tokens;
  return tokens;
}

void MixedData::check_cursor(std::span<const int64_t> cursor, size_t own) const {
  bool sound = cursor.size() == 1 + own + sources_.size() && cursor[0] == fingerprint() &&
               std::all_of(cursor.begin(), cursor.end(), [](int64_t n) { return n >= 0; });
  for (size_t i = 0; sound && i < sources_.size(); ++i) {
    sound = !left_out(sources_[i]) || cursor[1 + own + i] == 0;
  }
  if (sound) return;
  throw input_error("data.train", "the checkpoint was made with other data",
                    "resume with the same files and lengths, or start a new run");
}

std::vector<int64_t> MixedData::cursor() const {
  std::vector<int64_t> cursor = {fingerprint()};
  cursor.insert(cursor.end(), mixture_.taken().begin(), mixture_.taken().end());
  return cursor;
}

void MixedData::seek(std::span<const int64_t> cursor) {
  check_cursor(cursor, 0);
  mixture_.seek(cursor.subspan(1));
}

std::string MixedData::report() const {
  std::string lines;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const auto& [path, counts] = sources_[i];
    if (!lines.empty()) lines += '\n';
    if (left_out(sources_[i])) {
      lines += fmt::format("{}: left out ({} 0)", path.path, path.share == 0 ? "share" : "weight");
      continue;
    }
    const std::string share = path.share < 1 ? fmt::format(" (share {})", path.share) : "";
    const int64_t taken = mixture_.taken()[i];
    const int64_t epoch = taken / counts.examples;
    int64_t seen = epoch * counts.tokens;
    const std::vector<int64_t>& order = mixture_.order(i, epoch);
    for (int64_t at = 0; at < taken % counts.examples; ++at) seen += item_tokens(i, order[at]);
    lines += fmt::format(
        "{}: {} {}{}, {} tokens; so far {} tokens, {:.2f} epochs{}", path.path, counts.examples,
        unit_ == Unit::pairs ? "pairs" : "examples", share, counts.tokens, seen,
        static_cast<double>(taken) / static_cast<double>(counts.examples), losses(counts));
  }
  return lines;
}

}  // namespace cria
