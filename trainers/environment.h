// What a run is made with, for whoever looks at it later: environment.json.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cria/dist/communicator.h"
#include "cria/ops/backend.h"

namespace cria {

// cria's version, the compiler, the machine's processor, the device, the number of ranks.
nlohmann::ordered_json environment(const Backend& backend, const Communicator& communicator);

}  // namespace cria
