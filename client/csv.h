// CSV files of numbers, read with libcsv row block by row block, and written with full precision.
// Tested by tests/client/csv_test.cc.

#ifndef GLOWWORM_CLIENT_CSV_H_
#define GLOWWORM_CLIENT_CSV_H_

#include <csv.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/array.h"
#include "client/byte_reader.h"

namespace glowworm {
namespace client {

constexpr size_t kMaxCsvField = 4096;       // bytes of one field
constexpr size_t kMaxCsvColumns = 1 << 24;  // fields of one row

enum class CsvHeader {
  kDetect,  // the first row is a header if none of its fields is a number
  kYes,
  kNo,
};

// Reads rows of numbers, all of the same width, as float64. Blank lines are skipped; "nan" and "inf" are
// numbers. Not thread-safe. Failures are INVALID_ARGUMENT and name row and column, both counted from 1, the
// header included.
class CsvReader {
 public:
  // Fields of an `ignored` column, counted from 0, may be any text: NaN stands for them. REQUIRES: where one
  // is ignored, header is not kDetect
  CsvReader(std::unique_ptr<ByteReader> bytes, CsvHeader header, std::vector<bool> ignored = {});
  ~CsvReader();
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  // The next rows, (n, columns) with n <= max_rows. With may_wait, blocks until there is one and returns none
  // only at the end; without, returns what is there, and *later says whether more may come. REQUIRES:
  // max_rows > 0
  absl::StatusOr<Array> Next(int64_t max_rows, bool may_wait, bool* later);

  // 0 before the first row; known even where that row is refused for a field of it.
  int64_t columns() const { return static_cast<int64_t>(columns_); }
  // The header's fields, without spaces around them; empty before the first row and without a header.
  const std::vector<std::string>& names() const { return names_; }

 private:
  static void OnField(void* text, size_t size, void* self);
  static void OnRow(int end, void* self);
  void TakeField(absl::string_view text);
  void TakeRow();
  void Fail(size_t column, absl::string_view why);
  absl::Status Feed();  // one piece of input; blocks

  const std::unique_ptr<ByteReader> bytes_;
  const CsvHeader header_;
  const std::vector<bool> ignored_;
  csv_parser parser_;
  bool begun_ = false;  // libcsv has seen the first bytes
  std::string begin_;   // until then: they may be a byte order mark, which is no part of the first field
  bool ended_ = false;
  absl::Status status_;

  size_t columns_ = 0;      // of every row; 0: not known yet
  int64_t line_ = 1;        // the row being read
  size_t column_ = 0;       // fields read of it
  size_t words_ = 0;        // of these, not numbers
  std::string first_word_;  // the first of them, for messages
  size_t first_word_column_ = 0;
  std::vector<std::string> names_;  // of the first row while it may be a header
  std::vector<double> row_;         // its numbers so far
  std::vector<double> values_;      // whole rows not yet given, from taken_ on
  size_t taken_ = 0;
};

// Appends the shortest text that reads back as the same number: "0.1", "nan", "-inf".
void AppendNumber(double value, std::string* text);
void AppendNumber(float value, std::string* text);

// The rows as lines of comma-separated numbers.
std::string CsvLines(const Array& rows);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_CSV_H_
