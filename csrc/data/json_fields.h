// Fields of a line of JSON, with errors that name file, line and field.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/core/error.h"
#include "cria/data/records.h"

namespace cria {

// There and not null.
bool has(const nlohmann::json& line, const char* field);

Error wrong_type(const std::string& where, const std::string& field, const char* expected,
                 const nlohmann::json& value);

// A member of `object`, which errors call `path`.
std::string string_of(const nlohmann::json& object, const char* field, const std::string& where,
                      const std::string& path);
std::string string_of(const nlohmann::json& line, const char* field, const std::string& where);

// The two fields of a tokenized sequence; the ids themselves as labels where there are none.
Tokens tokens_of(const nlohmann::json& line, const char* ids_field, const char* labels_field,
                 const std::string& where);

}  // namespace cria
