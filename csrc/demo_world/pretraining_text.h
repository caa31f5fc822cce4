// Documents to pretrain on.
#pragma once

#include <string>

#include "cria/demo_world/choices.h"
#include "cria/demo_world/vocabulary.h"

namespace cria::demo {

std::string pretraining_document(const World& world, Choices& choices);

}  // namespace cria::demo
