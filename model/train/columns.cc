// ChooseColumns(): lists of names, numbers and ranges.

#include "model/train/columns.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {
namespace {

constexpr size_t kMaxItemText = 40;  // of a name, in a message

std::string Quote(absl::string_view text) {
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMaxItemText)), "\"");
}

absl::Status Refuse(absl::string_view why) { return absl::InvalidArgumentError(why); }

// A number from 1 to `width`.
absl::StatusOr<int64_t> ParseNumber(absl::string_view text, int64_t width) {
  int64_t number = 0;
  if (text.empty() || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit)) {
    return Refuse(absl::StrCat("no column is named ", Quote(text)));
  }
  if (!absl::SimpleAtoi(text, &number) || number < 1 || number > width) {
    return Refuse(
        absl::StrCat("there is no column ", text.substr(0, kMaxItemText), "; the columns are 1 to ", width));
  }
  return number;
}

// "7-9".
bool IsRange(absl::string_view item) {
  const size_t dash = item.find('-');
  return dash != absl::string_view::npos && dash > 0 && dash + 1 < item.size() &&
         item.find_first_not_of("0123456789", dash + 1) == absl::string_view::npos &&
         item.find_first_not_of("0123456789") == dash;
}

absl::Status ParseItem(absl::string_view item, const std::vector<std::string>& names, int64_t width,
                       std::vector<int64_t>* columns) {
  if (item.empty())
    return Refuse("a list of columns has an empty item; expected names or numbers, \"age,3,7-9\"");
  const auto name = std::find(names.begin(), names.end(), item);
  if (name != names.end()) {
    if (std::find(name + 1, names.end(), item) != names.end()) {
      return Refuse(absl::StrCat("two columns are named ", Quote(item), "; choose one by its number"));
    }
    columns->push_back(name - names.begin());
    return absl::OkStatus();
  }
  if (!IsRange(item)) {
    absl::StatusOr<int64_t> number = ParseNumber(item, width);
    if (number.ok()) columns->push_back(*number - 1);
    return number.status();
  }
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(item, '-');
  absl::StatusOr<int64_t> first = ParseNumber(ends.first, width), last = ParseNumber(ends.second, width);
  if (!first.ok()) return first.status();
  if (!last.ok()) return last.status();
  if (*first > *last) return Refuse(absl::StrCat("the range ", item, " runs backwards"));
  for (int64_t number = *first; number <= *last; ++number) columns->push_back(number - 1);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> ParseList(absl::string_view list, const std::vector<std::string>& names,
                                               int64_t width) {
  std::vector<int64_t> columns;
  if (absl::StripAsciiWhitespace(list).empty()) return columns;
  for (absl::string_view item : absl::StrSplit(list, ',')) {
    absl::Status status = ParseItem(absl::StripAsciiWhitespace(item), names, width, &columns);
    if (!status.ok()) return status;
    // More than there are: one is there twice. Checked here, so that ranges cannot pile up.
    if (static_cast<int64_t>(columns.size()) > width) break;
  }
  return columns;
}

}  // namespace

std::string ColumnText(int64_t column, const std::vector<std::string>& names) {
  const size_t at = static_cast<size_t>(column);
  return absl::StrCat("column ", column + 1, at < names.size() ? " " + Quote(names[at]) : "");
}

std::vector<bool> TableColumns::Ignored(int64_t width) const {
  std::vector<bool> ignored(static_cast<size_t>(width), true);
  for (int64_t column : features) ignored[static_cast<size_t>(column)] = false;
  for (int64_t column : context) ignored[static_cast<size_t>(column)] = false;
  if (label >= 0) ignored[static_cast<size_t>(label)] = false;
  return ignored;
}

absl::StatusOr<TableColumns> ChooseColumns(const DataSource& source, const std::vector<std::string>& names,
                                           int64_t width) {
  absl::StatusOr<std::vector<int64_t>> features = ParseList(source.columns, names, width),
                                       context = ParseList(source.context_columns, names, width),
                                       label = ParseList(source.label_column, names, width);
  for (const auto* list : {&features, &context, &label}) {
    if (!list->ok()) return list->status();
  }
  if (label->size() > 1) return Refuse(absl::StrCat(label->size(), " label columns; expected one"));

  std::vector<bool> used(static_cast<size_t>(width), false);
  for (const auto* list : {&features, &context, &label}) {
    for (int64_t column : **list) {
      if (used[static_cast<size_t>(column)]) {
        return Refuse(absl::StrCat(ColumnText(column, names), " is used twice"));
      }
      used[static_cast<size_t>(column)] = true;
    }
  }
  TableColumns columns{*std::move(features), *std::move(context), label->empty() ? -1 : label->front()};
  for (int64_t column = 0; source.columns.empty() && column < width; ++column) {
    if (!used[static_cast<size_t>(column)]) columns.features.push_back(column);
  }
  if (columns.features.empty()) return Refuse("no column is left for the features");
  return columns;
}

}  // namespace train
}  // namespace glowworm
