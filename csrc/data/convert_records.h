// Records of a file, converted on all cores, in the order of the file.
#pragma once

#include <exception>
#include <optional>
#include <vector>

#include "cria/core/error.h"
#include "cria/core/parallel.h"

namespace cria {

// Calls consume(convert(record)) for every record of a RecordReader or PreferenceReader. What
// convert throws is for the reader to skip or to throw on; convert runs on several threads at once.
template <typename Reader, typename Convert, typename Consume>
void convert_records(Reader& reader, const Convert& convert, const Consume& consume) {
  using Item = typename Reader::Item;
  using Output = decltype(convert(std::declval<const Item&>()));
  constexpr size_t kBatch = 1024;  // bounds memory
  std::vector<Item> records;
  for (bool more = true; more;) {
    records.clear();
    while (records.size() < kBatch) {
      Item record;
      more = reader.next(record);
      if (!more) break;
      records.push_back(std::move(record));
    }
    std::vector<std::optional<Output>> outputs(records.size());
    std::vector<std::exception_ptr> errors(records.size());
    parallel_for_each(static_cast<int64_t>(records.size()), [&](int64_t i) {
      try {
        outputs[i] = convert(records[i]);
      } catch (...) {
        errors[i] = std::current_exception();
      }
    });
    for (size_t i = 0; i < records.size(); ++i) {
      if (outputs[i]) {
        consume(std::move(*outputs[i]));
        continue;
      }
      try {
        std::rethrow_exception(errors[i]);
      } catch (const Error& error) {
        reader.reject(error);
      }
    }
  }
}

}  // namespace cria
