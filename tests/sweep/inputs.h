// Texts that clients send, most of which nobody expects.
#ifndef TOME_TESTS_SWEEP_INPUTS_H_
#define TOME_TESTS_SWEEP_INPUTS_H_

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace tome::testing {

// 256 texts of one byte, in order.
const std::vector<std::string>& SingleBytes();
// Characters of every general category of Unicode, each alone. Surrogates as their ill-formed three bytes.
const std::vector<std::string>& CharactersOfEveryCategory();
// What is likely to be treated specially: nothing, white space, marks that nobody sees, text that looks like special
// tokens or marks of prompt forms, ill-formed sequences, bytes that vocabularies lack.
const std::vector<std::string>& OddTexts();
// Long ones, up to some more than is allowed anywhere.
const std::vector<std::string>& HugeTexts();
// All of the above but the huge ones.
const std::vector<std::string>& AllTexts();

// A mix of some of them, of words and of random characters or bytes. The same for the same state of `random`.
std::string RandomText(std::mt19937_64* random);

std::string EncodeUtf8(char32_t code_point);

}  // namespace tome::testing

#endif  // TOME_TESTS_SWEEP_INPUTS_H_
