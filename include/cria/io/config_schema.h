// Declarative config: every key is registered once with the variable it fills, its meaning and its
// bounds; reading a YAML file, --set and --print-config all follow from that.
//
//   ConfigSchema schema;
//   schema.key("optimizer.learning_rate", options.learning_rate, "peak learning rate").positive();
//   schema.choice("training.precision", options.precision, {"fp32", "bf16"}, "…");
//   schema.read_file("recipe.yaml");
//   schema.set("training.seed=7");
//   schema.check();
//
// Every mistake is an input Error naming file:line (or the --set) and the key: an unknown key (with
// the nearest known one), a key given twice, a value of another type, out of bounds or not among
// the choices, a required key that is missing.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cria/data/data_path.h"

namespace YAML {
class Node;
}

namespace cria {

struct ConfigPlace;

class ConfigSchema {
 public:
  // Where a value goes. The field must outlive the schema; what it holds when registered is the
  // default. An optional is empty when the file says null; DataPath entries are maps
  // {path, weight, share} or just the path; a map of texts has names of the user's own.
  using Field = std::variant<bool*, int*, int64_t*, uint64_t*, float*, double*, std::string*,
                             std::optional<int64_t>*, std::optional<double>*, std::vector<double>*,
                             std::vector<std::string>*, std::vector<DataPath>*,
                             std::map<std::string, std::string>*>;

  class Key {
   public:
    // Bounds of a number, of each entry of a list of numbers, or of a data weight.
    Key& at_least(double bound);
    Key& at_most(double bound);
    Key& above(double bound);
    Key& below(double bound);
    Key& positive() { return above(0); }
    Key& required();  // check() fails when neither file nor --set gave it

   private:
    friend class ConfigSchema;
    std::string path;
    Field field;
    std::string meaning;
    std::vector<std::string> allowed;  // of a choice; else empty
    std::optional<double> least, most, over, under;
    bool is_required = false;
    bool is_given = false;
  };

  ConfigSchema() = default;
  ConfigSchema(const ConfigSchema&) = delete;
  ConfigSchema& operator=(const ConfigSchema&) = delete;

  // `path` is group.name, or just a name; `meaning` is one line for --print-config. The reference
  // stays valid.
  template <typename T>
  Key& key(const std::string& path, T& field, const std::string& meaning) {
    return add(path, Field(&field), meaning);
  }
  Key& choice(const std::string& path, std::string& field, std::vector<std::string> allowed,
              const std::string& meaning);

  // Each may be called several times; what comes later wins.
  void read_file(const std::string& yaml_path);
  void set(const std::string& assignment);  // key.path=value, the value as YAML

  bool given(const std::string& path) const;  // by a file or by --set
  void check() const;                         // every required key was given

  // YAML of everything in force, one "# meaning" a key. Reading it gives the same values, to the
  // bit. Required keys that were not given stand there as comments.
  std::string print() const;

 private:
  Key& add(const std::string& path, Field field, const std::string& meaning);
  Key* find(const std::string& path);
  bool is_group(const std::string& path) const;
  void read_group(const YAML::Node& node, const std::string& group, const ConfigPlace& place);
  void read_key(Key& key, const YAML::Node& node, const ConfigPlace& place);
  void print_group(const std::string& group, std::string& text) const;
  std::string suggestion(const std::string& unknown) const;

  std::deque<Key> keys_;  // in the order of registration; a deque keeps references valid
  std::string sources_;   // the files read so far, for messages
};

}  // namespace cria
