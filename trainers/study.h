// Studies of fine-tuning data: several variants of one recipe, trained and compared on the same
// prompts (Llama 2, sections 3.1, quality is all you need, and 4.2.3, safety data scaling).
// docs/studies.md has the method; trainers/study/ the parts.
#pragma once

#include "trainers/study/study_recipe.h"

namespace cria {

// Leaves in output_dir a directory for each variant, its run with answers.jsonl and scores.jsonl,
// and study.json, study.txt and the plots. What is finished is not done again. Returns the exit
// code of the run that ended early, else 0.
int study(const StudyRecipe& recipe);

}  // namespace cria
