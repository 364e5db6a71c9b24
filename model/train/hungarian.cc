// Implements model/train/hungarian.h.
//
// Rows and columns have prices such that no reduced cost, -value(i, j) - row_price(i) - column_price(j), is
// negative, and those of assigned pairs are 0. Rows are assigned one after another. Each looks for the
// cheapest path to a free column that goes to a column by any reduced cost and back to that column's row for
// nothing (Dijkstra's search: costs are not negative), moves every assignment along it by one, and changes
// the prices so that the costs of the path become 0.

#include "model/train/hungarian.h"

#include <limits>
#include <utility>

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kNone = -1;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Assignment {
 public:
  Assignment(const std::vector<double>& value, int64_t n)
      : value_(value),
        n_(n),
        row_price_(n, 0.0),
        column_price_(n, 0.0),
        column_of_(n, kNone),
        row_of_(n, kNone) {}

  void AssignRow(int64_t row) {
    distance_.assign(n_, kInfinity);
    previous_row_.assign(n_, kNone);
    reached_.clear();
    is_reached_.assign(n_, false);
    int64_t at = row, column = kNone;
    double travelled = 0;
    do {
      Relax(at, travelled);
      column = NearestColumn();
      travelled = distance_[column];
      reached_.push_back(column);
      is_reached_[column] = true;
      at = row_of_[column];
    } while (at != kNone);
    Reprice(row, travelled);
    ShiftAlongPath(row, column);
  }

  const std::vector<int64_t>& column_of() const { return column_of_; }

 private:
  // Paths through `row`, which is `travelled` away, to the columns not yet reached.
  void Relax(int64_t row, double travelled) {
    for (int64_t j = 0; j < n_; ++j) {
      if (is_reached_[j]) continue;
      const double through = travelled - value_[row * n_ + j] - row_price_[row] - column_price_[j];
      if (previous_row_[j] != kNone && through >= distance_[j]) continue;
      distance_[j] = through;
      previous_row_[j] = row;
    }
  }

  int64_t NearestColumn() const {
    int64_t nearest = kNone;
    for (int64_t j = 0; j < n_; ++j) {
      if (!is_reached_[j] && (nearest == kNone || distance_[j] < distance_[nearest])) nearest = j;
    }
    return nearest;  // there is one: a free column is reached last
  }

  void Reprice(int64_t row, double length) {
    row_price_[row] += length;
    for (const int64_t j : reached_) {
      const double saved = length - distance_[j];
      column_price_[j] -= saved;
      if (row_of_[j] != kNone) row_price_[row_of_[j]] += saved;
    }
  }

  void ShiftAlongPath(int64_t row, int64_t free_column) {
    for (int64_t j = free_column; j != kNone;) {
      const int64_t i = previous_row_[j];
      row_of_[j] = i;
      std::swap(column_of_[i], j);  // the column that row i leaves, none for the row that had none
      if (i == row) break;
    }
  }

  const std::vector<double>& value_;
  const int64_t n_;
  std::vector<double> row_price_, column_price_;
  std::vector<int64_t> column_of_, row_of_;  // of what is assigned so far, else kNone
  // Of the search for one row's path.
  std::vector<double> distance_;       // of each column
  std::vector<int64_t> previous_row_;  // on the cheapest path to each column
  std::vector<int64_t> reached_;       // columns whose distance is final
  std::vector<bool> is_reached_;
};

}  // namespace

std::vector<int64_t> BestAssignment(const std::vector<double>& value, int64_t n) {
  Assignment assignment(value, n);
  for (int64_t row = 0; row < n; ++row) assignment.AssignRow(row);
  return assignment.column_of();
}

}  // namespace train
}  // namespace glowworm
