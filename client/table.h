// Aligned tables for people: columns as wide as their widest cell, two spaces between them, no
// trailing blanks. Numbers stand to the right. Widths count code points, so "µ" is one column.
#pragma once

#include <string>
#include <vector>

namespace allot::client {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as columns; an empty cell prints as "-".
  void Add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  std::string ToString() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace allot::client
