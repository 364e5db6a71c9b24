// CSV: libcsv finds the fields, this file turns them into rows of numbers and refuses what is not one.

#include "client/csv.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace glowworm {
namespace client {
namespace {

constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

CsvReader::CsvReader(std::unique_ptr<ByteReader> bytes, CsvHeader header, std::vector<bool> ignored)
    : bytes_(std::move(bytes)), header_(header), ignored_(std::move(ignored)) {
  csv_init(&parser_, CSV_STRICT | CSV_STRICT_FINI);  // its result is an error only for a null parser
}

CsvReader::~CsvReader() { csv_free(&parser_); }

void CsvReader::OnField(void* text, size_t size, void* self) {
  static_cast<CsvReader*>(self)->TakeField(absl::string_view(static_cast<const char*>(text), size));
}

void CsvReader::OnRow(int, void* self) { static_cast<CsvReader*>(self)->TakeRow(); }

void CsvReader::Fail(size_t column, absl::string_view why) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(
      absl::StrCat(bytes_->name(), ": row ", line_, ", column ", column, ": ", why));
}

void CsvReader::TakeField(absl::string_view text) {
  if (!status_.ok()) return;
  ++column_;
  if (column_ > (columns_ == 0 ? kMaxCsvColumns : columns_)) {
    return Fail(column_,
                absl::StrCat("expected ", columns_ == 0 ? kMaxCsvColumns : columns_, " columns, got more"));
  }
  if (columns_ == 0 && header_ != CsvHeader::kNo && (header_ == CsvHeader::kYes || row_.empty())) {
    names_.emplace_back(absl::StripAsciiWhitespace(text.substr(0, kMaxCsvField)));
  }
  double value = 0;
  if (column_ <= ignored_.size() && ignored_[column_ - 1]) {
    row_.push_back(std::numeric_limits<double>::quiet_NaN());
  } else if (text.size() <= kMaxCsvField && absl::SimpleAtod(text, &value)) {
    row_.push_back(value);
  } else if (words_++ == 0) {
    first_word_ = std::string(text.substr(0, 40));
    first_word_column_ = column_;
  }
}

void CsvReader::TakeRow() {
  if (!status_.ok()) return;
  const bool first = columns_ == 0 && line_ == 1;
  const bool is_header = first && header_ != CsvHeader::kNo && (header_ == CsvHeader::kYes || row_.empty());
  if (first && !is_header) names_ = {};
  if (columns_ == 0) columns_ = column_;
  if (!is_header && words_ > 0) {
    return Fail(first_word_column_,
                absl::StrCat("expected a number, got \"", absl::CHexEscape(first_word_), "\""));
  }
  if (column_ != columns_) {
    return Fail(column_, absl::StrCat("the row ends here; expected ", columns_, " columns"));
  }
  if (!is_header) values_.insert(values_.end(), row_.begin(), row_.end());
  ++line_;
  column_ = 0;
  words_ = 0;
  row_.clear();
}

absl::Status CsvReader::Feed() {
  const absl::StatusOr<std::string> piece = bytes_->ReadSome();
  if (!piece.ok()) return piece.status();
  const bool end = piece->empty();
  absl::string_view text = *piece;
  if (!begun_) {
    begin_ += *piece;
    if (!end && begin_.size() < kByteOrderMark.size() && absl::StartsWith(kByteOrderMark, begin_)) {
      return absl::OkStatus();
    }
    begun_ = true;
    text = begin_;
    absl::ConsumePrefix(&text, kByteOrderMark);
  }
  bool bad = csv_parse(&parser_, text.data(), text.size(), OnField, OnRow, this) != text.size();
  if (end && !bad) bad = csv_fini(&parser_, OnField, OnRow, this) != 0;
  if (bad) Fail(column_ + 1, "a quote is out of place or not closed");
  if (csv_get_buffer_size(&parser_) > 2 * kMaxCsvField + text.size()) {
    Fail(column_ + 1, absl::StrCat("a field of more than ", kMaxCsvField, " bytes"));
  }
  ended_ = end;
  return status_;
}

absl::StatusOr<Array> CsvReader::Next(int64_t max_rows, bool may_wait, bool* later) {
  *later = false;
  const auto ready = [this] { return columns_ == 0 ? 0 : (values_.size() - taken_) / columns_; };
  while (status_.ok() && !ended_ && static_cast<int64_t>(ready()) < max_rows) {
    // A pipe that has run dry: give what came so far, so that an answer need not wait for the next row.
    if (!bytes_->Ready() && (ready() > 0 || !may_wait)) break;
    Feed().IgnoreError();  // rows before the bad one are given first
  }
  const int64_t count = std::min<int64_t>(max_rows, static_cast<int64_t>(ready()));
  if (count == 0 && !status_.ok()) return status_;
  *later = count == 0 && !ended_;
  const auto begin = values_.begin() + static_cast<std::ptrdiff_t>(taken_);
  const size_t size = static_cast<size_t>(count) * columns_;
  Array rows =
      Array::Of<double>({count, columns()}, std::vector<double>(begin, begin + static_cast<int64_t>(size)));
  taken_ += size;
  if (2 * taken_ >= values_.size()) {
    values_.erase(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(std::exchange(taken_, 0)));
  }
  return rows;
}

namespace {

template <typename T>
void AppendShortest(T value, std::string* text) {
  char buffer[32];
  const std::to_chars_result end = std::to_chars(buffer, buffer + sizeof(buffer), value);
  text->append(buffer, end.ptr);
}

}  // namespace

void AppendNumber(double value, std::string* text) { AppendShortest(value, text); }
void AppendNumber(float value, std::string* text) { AppendShortest(value, text); }

std::string CsvLines(const Array& rows) {
  std::string text;
  const int64_t columns = rows.RowSize();
  const std::vector<double> values = rows.ToDoubles();
  for (size_t i = 0; i < values.size(); ++i) {
    if (rows.dtype == v1::DATA_TYPE_FLOAT32) {
      AppendNumber(static_cast<float>(values[i]), &text);
    } else {
      AppendNumber(values[i], &text);
    }
    text += (static_cast<int64_t>(i) + 1) % columns == 0 ? '\n' : ',';
  }
  return text;
}

}  // namespace client
}  // namespace glowworm
