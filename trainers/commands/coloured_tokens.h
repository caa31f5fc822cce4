// Tokens as text for people: what carries loss stands out.
#pragma once

#include <string>

#include "cria/data/example.h"
#include "cria/text/tokenizer.h"

namespace cria {

// With colours: learnt tokens bold and green, the others dim. Without: learnt ones in «».
// Control tokens are shown by their names, <s> and </s>.
std::string shown(const Example& example, const Tokenizer& tokenizer, bool colours);

// Whether standard output is a terminal that has colours, and NO_COLOR is not set.
bool output_has_colours();

}  // namespace cria
