// The words by which a text's language is told.
#ifndef TOME_ENGINE_TEXT_WORDS_STOP_WORDS_H_
#define TOME_ENGINE_TEXT_WORDS_STOP_WORDS_H_

#include <vector>

#include "engine/text/words/language.h"
#include "engine/text/words/text_words.h"

namespace tome {

struct StopWordList {
  WritingScript script;
  Language language;  // kPlain for languages without a stemmer, of which there are several
  const char* words;  // frequent ones of two letters or more, with spaces between them; UTF-8
};
const std::vector<StopWordList>& StopWordLists();

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_WORDS_STOP_WORDS_H_
