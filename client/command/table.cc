#include "client/command/table.h"

#include <algorithm>

#include "client/command/format.h"

namespace tome::command {
namespace {

constexpr std::size_t kGap = 2;

std::string Pad(const std::string& cell, std::size_t width, bool right) {
  const std::string spaces(width - std::min(width, DisplayWidth(cell)), ' ');
  return right ? spaces + cell : cell + spaces;
}

void TrimRight(std::string* line) { line->erase(line->find_last_not_of(' ') + 1); }

}  // namespace

void Table::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = Printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::Render() const {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns_) lines[0].push_back(column.header);
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths(columns_.size());
  for (const auto& cells : lines) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(cells[i]));
  }
  std::string text;
  for (const auto& cells : lines) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) line.append(kGap, ' ');
      line += Pad(cells[i], widths[i], columns_[i].right);
    }
    TrimRight(&line);
    text += line + '\n';
  }
  return text;
}

std::string RenderFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  std::size_t width = 0;
  for (const auto& [name, value] : fields) width = std::max(width, DisplayWidth(name));
  std::string text;
  for (const auto& [name, value] : fields) {
    std::string line = Pad(name, width + kGap, /*right=*/false) + Printable(value);
    TrimRight(&line);
    text += line + '\n';
  }
  return text;
}

}  // namespace tome::command
