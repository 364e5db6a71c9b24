// Flag parsing and the suggestion for a mistyped name.

#include "client/command/flags.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// What a value of this kind must be, or null if `text` is one.
const char* WrongValue(FlagKind kind, const std::string& text) {
  int64_t integer;
  uint64_t index;
  int32_t label;
  double number;
  absl::Duration duration;
  switch (kind) {
    case FlagKind::kSwitch:
      return text == "true" || text == "false" ? nullptr : "true or false";
    case FlagKind::kText:
      return text.empty() ? "a value" : nullptr;
    case FlagKind::kCount:
      return absl::SimpleAtoi(text, &integer) && integer > 0 ? nullptr : "an integer above 0";
    case FlagKind::kIndex:
      return absl::SimpleAtoi(text, &index) ? nullptr : "an integer from 0 to 2^64-1";
    case FlagKind::kLabel:
      return absl::SimpleAtoi(text, &label) && label >= 0 ? nullptr : "an integer from 0 to 2^31-1";
    case FlagKind::kNumber:
      return absl::SimpleAtod(text, &number) && std::isfinite(number) ? nullptr : "a finite number";
    case FlagKind::kDuration:
      return absl::ParseDuration(text, &duration) && duration >= absl::ZeroDuration()
                 ? nullptr
                 : "a time with its unit, such as 250ms or 10s";
  }
  return nullptr;
}

const FlagSpec* Find(const std::vector<FlagSpec>& specs, const std::string& name) {
  const auto it =
      std::find_if(specs.begin(), specs.end(), [&](const FlagSpec& spec) { return name == spec.name; });
  return it == specs.end() ? nullptr : &*it;
}

absl::Status Unknown(const std::string& name, const std::vector<FlagSpec>& specs) {
  std::vector<std::string> names;
  for (const FlagSpec& spec : specs) names.push_back(spec.name);
  const std::string nearest = Nearest(name, names);
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown flag --", name, nearest.empty() ? "" : absl::StrCat("; did you mean --", nearest, "?")));
}

}  // namespace

std::string Nearest(const std::string& word, const std::vector<std::string>& names) {
  std::string nearest;
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& name : names) {
    // A word cut short ("conc") is nearer than the letters that it lacks say.
    const size_t distance = word.size() >= 2 && absl::StartsWith(name, word) ? 1 : EditDistance(word, name);
    if (distance < best && distance < name.size()) {
      best = distance;
      nearest = name;
    }
  }
  return nearest;
}

absl::StatusOr<Flags> Flags::Parse(const std::vector<std::string>& arguments,
                                   const std::vector<FlagSpec>& specs) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!absl::StartsWith(argument, "--") || argument.size() == 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a flag such as --", specs[0].name, ", got \"", argument, "\""));
    }
    const size_t equals = argument.find('=');
    std::string name = argument.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::replace(name.begin(), name.end(), '-', '_');
    const FlagSpec* spec = Find(specs, name);
    if (spec == nullptr) return Unknown(name, specs);
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (spec->kind == FlagKind::kSwitch) {
      value = "true";
    } else if (i + 1 < arguments.size() && !absl::StartsWith(arguments[i + 1], "--")) {
      value = arguments[++i];
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, " needs a value: --", name, "=", spec->value));
    }
    const char* wrong = WrongValue(spec->kind, value);
    if (wrong != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, ": expected ", wrong, ", got \"", value, "\""));
    }
    if (!flags.values_.emplace(name, value).second) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " is given twice"));
    }
  }
  return flags;
}

bool Flags::Switch(const std::string& name) const { return Text(name) == "true"; }

std::string Flags::Text(const std::string& name, const std::string& otherwise) const {
  const auto it = values_.find(name);
  return it == values_.end() ? otherwise : it->second;
}

int64_t Flags::Count(const std::string& name, int64_t otherwise) const {
  int64_t value;
  return absl::SimpleAtoi(Text(name), &value) ? value : otherwise;
}

absl::optional<uint64_t> Flags::Index(const std::string& name) const {
  uint64_t value;
  if (!absl::SimpleAtoi(Text(name), &value)) return absl::nullopt;
  return value;
}

absl::optional<int32_t> Flags::Label(const std::string& name) const {
  int32_t value;
  if (!absl::SimpleAtoi(Text(name), &value)) return absl::nullopt;
  return value;
}

absl::optional<double> Flags::Number(const std::string& name) const {
  double value;
  if (!absl::SimpleAtod(Text(name), &value)) return absl::nullopt;
  return value;
}

absl::Duration Flags::Duration(const std::string& name, absl::Duration otherwise) const {
  absl::Duration value;
  return absl::ParseDuration(Text(name), &value) ? value : otherwise;
}

}  // namespace client
}  // namespace glowworm
