// GPT-2's byte alphabet: each byte has a printable character, so that vocabularies of bytes can be written as text.
#ifndef TOME_ENGINE_TEXT_TOKENIZERS_BYTE_ALPHABET_H_
#define TOME_ENGINE_TEXT_TOKENIZERS_BYTE_ALPHABET_H_

#include <optional>
#include <string>
#include <string_view>

namespace tome {

// The character of a byte as UTF-8: itself for most printable Latin-1 characters, one from U+0100 on for the others
// (a space is U+0120).
const std::string& ByteAlphabetCharacter(unsigned char byte);

// The bytes that a piece stands for; nullopt when a character is not of the alphabet.
std::optional<std::string> DecodeByteAlphabet(std::string_view piece);

}  // namespace tome

#endif  // TOME_ENGINE_TEXT_TOKENIZERS_BYTE_ALPHABET_H_
