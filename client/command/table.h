// Aligned columns of text.
#ifndef TOME_CLIENT_COMMAND_TABLE_H_
#define TOME_CLIENT_COMMAND_TABLE_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace tome::command {

// A header line and rows; columns are two spaces apart. Cells are made printable.
class Table {
 public:
  struct Column {
    std::string header;
    bool right = false;  // numbers stand to the right
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // As many cells as there are columns; missing ones are empty, more are dropped.
  void AddRow(std::vector<std::string> cells);
  std::string Render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "name   value" lines with the values in one column.
std::string RenderFields(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace tome::command

#endif  // TOME_CLIENT_COMMAND_TABLE_H_
