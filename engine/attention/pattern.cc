#include "engine/attention/pattern.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/base/status.h"
#include "fmt/format.h"

namespace tome {
namespace {

constexpr std::int64_t kDefaultChunks = 4;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 40;

HeadPattern Window(std::int64_t window, std::int64_t step) {
  return {.kind = HeadPattern::Kind::kWindow, .window = window, .step = step};
}

HeadPattern Residue(std::int64_t head, std::int64_t step) {
  return {.kind = HeadPattern::Kind::kResidue, .step = step, .residue = head % step};
}

HeadPattern InChunks(std::int64_t width, std::int64_t grid, std::int64_t roll) {
  return {.kind = HeadPattern::Kind::kChunk, .width = width, .grid = grid, .roll = roll};
}

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > kMostTokens) {
    return std::nullopt;
  }
  return number;
}

// The text up to the next `mark` outside parentheses, which is taken away from `text` together with the mark.
std::string_view TakeItem(std::string_view* text, char mark) {
  std::size_t depth = 0, i = 0;
  for (; i < text->size() && ((*text)[i] != mark || depth > 0); ++i) {
    if ((*text)[i] == '(') ++depth;
    if ((*text)[i] == ')' && depth > 0) --depth;
  }
  const std::string_view item = text->substr(0, i);
  text->remove_prefix(std::min(text->size(), i + 1));
  return item;
}

// The larger half first.
std::int64_t FirstHalf(std::int64_t heads) { return heads - heads / 2; }

}  // namespace

Chunk ChunkAt(const HeadPattern& pattern, std::int64_t position) {
  if (position < pattern.grid) return {0, pattern.grid};
  const std::int64_t first = position - (position - pattern.grid) % pattern.width;
  return {first, first + pattern.width};
}

KeyRange HeadPattern::Visible(std::int64_t query, std::int64_t first_key) const {
  KeyRange range{.first = 0, .last = query, .step = step};
  switch (kind) {
    case Kind::kAll:
      break;
    case Kind::kWindow:
      range.first = std::max(query % step, query - (window - 1) * step);
      break;
    case Kind::kResidue:
      range.first = residue;
      range.last = query < residue ? -1 : query - (query - residue) % step;
      break;
    case Kind::kChunk: {
      const Chunk chunk = ChunkAt(*this, query);
      const bool own = chunk.end <= roll;
      range.first = std::max<std::int64_t>(0, own ? chunk.first : chunk.first - roll);
      range.last = own ? query : std::min(query, chunk.end - 1 - roll);
      break;
    }
  }
  if (range.first < first_key) range.first += (first_key - range.first + range.step - 1) / range.step * range.step;
  if (range.first > range.last) return {.first = query, .last = query, .step = 1};
  return range;
}

std::int64_t HeadPattern::OldestKey(std::int64_t query) const {
  switch (kind) {
    case Kind::kAll:
    case Kind::kResidue:
      return 0;
    case Kind::kWindow:
      return std::max<std::int64_t>(0, query - (window - 1) * step);
    case Kind::kChunk:
      return std::max<std::int64_t>(0, ChunkAt(*this, query).first - roll);
  }
  return 0;
}

absl::Status AttentionPattern::ParseArguments(std::string_view text, std::string_view arguments, Item* item) {
  using Kind = Item::Kind;
  const bool chunked = item->chunked();
  std::vector<std::int64_t*> numbers;
  if (item->kind == Kind::kSliding || item->kind == Kind::kDilated) numbers.push_back(&item->first);
  if (item->kind == Kind::kDilated) numbers.push_back(&item->second);
  if (item->kind == Kind::kSda && item->first == 0) numbers.push_back(&item->first);
  std::size_t next = 0;
  while (!arguments.empty()) {
    std::string_view argument = TakeItem(&arguments, ',');
    std::int64_t* target = nullptr;
    if (argument.starts_with("m=") && chunked && item->chunks == 0) {
      target = &item->chunks;
      argument.remove_prefix(2);
    } else if (argument.starts_with("w=") && chunked && item->width == 0) {
      target = &item->width;
      argument.remove_prefix(2);
    } else if (next < numbers.size()) {
      target = numbers[next++];
    }
    const std::optional<std::int64_t> number = ParseNumber(argument);
    if (target == nullptr || !number.has_value()) {
      return InvalidArgument("attention pattern: '{}': expected {}, found '{}'", text,
                             chunked ? "m=chunks or w=width, numbers from 1" : "as many numbers from 1 as it takes",
                             argument);
    }
    *target = *number;
  }
  if (next < numbers.size()) {
    return InvalidArgument("attention pattern: '{}': expected sliding(window), dilated(window,step) or sda(step)",
                           text);
  }
  if (item->chunks > 0 && item->width > 0 && item->kind != Kind::kSccaFlow) {
    return InvalidArgument("attention pattern: '{}': expected m=chunks or w=width, not both", text);
  }
  return absl::OkStatus();
}

absl::StatusOr<AttentionPattern::Item> AttentionPattern::ParseItem(std::string_view text) {
  using Kind = Item::Kind;
  static constexpr std::pair<std::string_view, Kind> kNames[] = {
      {"dense", Kind::kDense}, {"sliding", Kind::kSliding},      {"dilated", Kind::kDilated},
      {"s2", Kind::kS2},       {"scca-fixed", Kind::kSccaFixed}, {"scca-flow", Kind::kSccaFlow},
      {"sda", Kind::kSda},     {"longmixed", Kind::kLongMixed}};
  Item item;
  std::string_view rest = text;
  std::string_view head = TakeItem(&rest, ':');
  if (head.size() < text.size()) {
    const std::optional<std::int64_t> heads = ParseNumber(rest);
    if (!heads.has_value()) {
      return InvalidArgument("attention pattern: '{}': expected a number of heads after ':', found '{}'", text, rest);
    }
    item.heads = *heads;
  }
  const std::size_t open = std::min(head.find('('), head.size());
  std::string_view arguments;
  if (open < head.size()) {
    if (head.back() != ')') return InvalidArgument("attention pattern: '{}': expected ')'", text);
    arguments = head.substr(open + 1, head.size() - open - 2);
    head = head.substr(0, open);
  }
  if (head.starts_with("sda")) {
    if (const auto step = ParseNumber(head.substr(3)); step.has_value()) {
      item.first = *step;
      head = "sda";
    }
  }
  for (const auto& [name, kind] : kNames) {
    if (name != head) continue;
    item.kind = kind;
    TOME_RETURN_IF_ERROR(ParseArguments(text, arguments, &item));
    return item;
  }
  return InvalidArgument(
      "attention pattern: '{}': expected dense, sliding(window), dilated(window,step), s2, scca-fixed, scca-flow, "
      "sda(step), sda2, sda4 or longmixed, or a list like 'scca-fixed:3,sda2:3,sda4:3'",
      text);
}

absl::StatusOr<AttentionPattern> AttentionPattern::Parse(std::string_view text) {
  AttentionPattern pattern;
  pattern.items_.clear();
  std::string_view rest = text;
  do {
    TOME_ASSIGN_OR_RETURN(Item item, ParseItem(TakeItem(&rest, ',')));
    pattern.items_.push_back(item);
  } while (!rest.empty());
  if (text.ends_with(',')) return InvalidArgument("attention pattern: '{}': expected an item after ','", text);
  for (const Item& item : pattern.items_) {
    if (item.heads == 0 && pattern.items_.size() > 1) {
      return InvalidArgument("attention pattern: '{}': each item of a list needs ':heads'; '{}' has none", text,
                             ToString(item));
    }
  }
  return pattern;
}

std::string AttentionPattern::ToString(const Item& item) {
  using Kind = Item::Kind;
  std::string text;
  switch (item.kind) {
    case Kind::kDense:
      text = "dense";
      break;
    case Kind::kSliding:
      text = fmt::format("sliding({})", item.first);
      break;
    case Kind::kDilated:
      text = fmt::format("dilated({},{})", item.first, item.second);
      break;
    case Kind::kS2:
      text = "s2";
      break;
    case Kind::kSccaFixed:
      text = "scca-fixed";
      break;
    case Kind::kSccaFlow:
      text = "scca-flow";
      break;
    case Kind::kSda:
      text = fmt::format("sda({})", item.first);
      break;
    case Kind::kLongMixed:
      text = "longmixed";
      break;
  }
  if (item.width > 0 && item.chunks > 0) {
    text += fmt::format("(w={},m={})", item.width, item.chunks);
  } else if (item.width > 0) {
    text += fmt::format("(w={})", item.width);
  } else if (item.chunks > 0) {
    text += fmt::format("(m={})", item.chunks);
  }
  if (item.heads > 0) text += fmt::format(":{}", item.heads);
  return text;
}

std::string AttentionPattern::ToString() const {
  std::string text;
  for (const Item& item : items_) text += fmt::format("{}{}", text.empty() ? "" : ",", ToString(item));
  return text;
}

absl::Status AttentionPattern::AddHeads(const Item& item, std::int64_t heads, std::int64_t length,
                                        std::vector<HeadPattern>* all) {
  using Kind = Item::Kind;
  const std::int64_t chunks = item.chunks > 0 ? item.chunks : kDefaultChunks;
  if (item.chunked() && length == 0 && (item.width == 0 || (item.kind == Kind::kSccaFlow && item.chunks == 0))) {
    return InvalidArgument("attention pattern: {}: the length of a stream is not known; expected {}", ToString(item),
                           item.kind == Kind::kSccaFlow ? "w=width and m=groups" : "w=width");
  }
  const std::int64_t width = item.width > 0 ? item.width : (length + chunks - 1) / chunks;
  switch (item.kind) {
    case Kind::kDense:
      all->insert(all->end(), heads, HeadPattern{});
      break;
    case Kind::kSliding:
      all->insert(all->end(), heads, Window(item.first, 1));
      break;
    case Kind::kDilated:
      all->insert(all->end(), heads, Window(item.first, item.second));
      break;
    case Kind::kS2:
      all->insert(all->end(), FirstHalf(heads), InChunks(width, 0, 0));
      all->insert(all->end(), heads / 2, InChunks(width, width / 2, 0));
      break;
    case Kind::kSccaFixed:
      all->insert(all->end(), FirstHalf(heads), InChunks(width, 0, 0));
      all->insert(all->end(), heads / 2, InChunks(width, 0, width / 2));
      break;
    case Kind::kSccaFlow: {
      const std::int64_t groups = item.width > 0 && item.chunks == 0 ? (length + width - 1) / width : chunks;
      if (groups > heads) {
        return InvalidArgument(
            "attention pattern: {}: {} groups are more than its {} heads; expected at most one group for each head",
            ToString(item), groups, heads);
      }
      for (std::int64_t group = 0; group < groups; ++group) {
        all->insert(all->end(), heads / groups + (group < heads % groups ? 1 : 0), InChunks(width, 0, group * width));
      }
      break;
    }
    case Kind::kSda:
      for (std::int64_t head = 0; head < heads; ++head) all->push_back(Residue(head, item.first));
      break;
    case Kind::kLongMixed: {
      const std::int64_t quarter = heads / 4, half = heads - 2 * quarter;
      for (std::int64_t head = 0; head < quarter; ++head) all->push_back(Residue(head, 2));
      for (std::int64_t head = 0; head < half; ++head) all->push_back(Residue(head, 4));
      all->insert(all->end(), FirstHalf(quarter), InChunks(width, 0, 0));
      all->insert(all->end(), quarter / 2, InChunks(width, 0, width / 2));
      break;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<HeadPattern>> AttentionPattern::Resolve(std::int64_t num_heads, std::int64_t length) const {
  std::int64_t heads = 0;
  for (const Item& item : items_) heads += item.heads == 0 ? num_heads : item.heads;
  if (heads != num_heads) {
    return InvalidArgument("attention pattern: {}: it has {} heads, the model {}", ToString(), heads, num_heads);
  }
  std::vector<HeadPattern> all;
  for (const Item& item : items_) {
    TOME_RETURN_IF_ERROR(AddHeads(item, item.heads == 0 ? num_heads : item.heads, length, &all));
  }
  return all;
}

absl::StatusOr<std::vector<HeadPattern>> AttentionPattern::ForHeads(std::int64_t num_heads, std::int64_t length) const {
  if (length < 1) return InvalidArgument("attention pattern: expected a sequence of 1 token or more, found {}", length);
  return Resolve(num_heads, length);
}

absl::StatusOr<std::vector<HeadPattern>> AttentionPattern::ForHeads(std::int64_t num_heads) const {
  return Resolve(num_heads, 0);
}

std::int64_t VisiblePairs(const HeadPattern& pattern, std::int64_t length) {
  std::int64_t pairs = 0;
  for (std::int64_t query = 0; query < length; ++query) pairs += pattern.Visible(query).size();
  return pairs;
}

}  // namespace tome
