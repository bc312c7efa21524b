// A SentencePiece model as a BPE of characters, as transformers turns it into one: with it, added tokens are found as
// `tokenizers` finds them.
#ifndef TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_CONVERSION_H_
#define TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_CONVERSION_H_

#include "engine/text/tokenizer_data.h"

namespace tome {

// From kSentencePieceBpe to kCharacterBpe: every way to cut a piece into two others is a merge, the piece with the best
// score first. `legacy`: a space is put before every stretch between added tokens, else only before the text.
void ConvertToCharacterBpe(bool legacy, TokenizerData* data);

}  // namespace tome

#endif  // TOME_ENGINE_CHECKPOINT_CONTENTS_SENTENCEPIECE_CONVERSION_H_
