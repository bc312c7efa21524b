// Pictures of attention patterns.
#ifndef TOME_ENGINE_EVALUATION_PATTERN_PICTURE_H_
#define TOME_ENGINE_EVALUATION_PATTERN_PICTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "engine/attention/pattern.h"

namespace tome {

// For each query after how many layers, from 1 on, each key before it can reach it, when the outputs of all heads are
// mixed after each layer: [query][key], 0 where it never does within `layers`.
std::vector<std::vector<int>> ReceptiveField(const std::vector<HeadPattern>& heads, std::int64_t tokens, int layers);

// A whole SVG document: what each group of equal heads sees of `tokens` tokens, queries downwards and keys to the
// right, and the receptive field over `layers` layers, darker where fewer are needed.
std::string DrawPattern(const AttentionPattern& pattern, const std::vector<HeadPattern>& heads, std::int64_t tokens,
                        int layers);

}  // namespace tome

#endif  // TOME_ENGINE_EVALUATION_PATTERN_PICTURE_H_
