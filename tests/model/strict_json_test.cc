// Tests of model/strict_json.h.

#include "model/strict_json.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

// Why the text is refused; "" if it is not.
std::string Refusal(absl::string_view text, const JsonLimits& limits = {}) {
  const auto json = ParseStrictJson(text, limits);
  if (json.ok()) return "";
  EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(json.status().message());
}

TEST(StrictJson, ReadsEveryKindOfValue) {
  const auto json = ParseStrictJson(R"( {"n": null, "b": true, "s": "é\u0041", "a": [1, {}], "d": 0.5} )");
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_NE(json->Find("n")->As<std::nullptr_t>(), nullptr);
  EXPECT_TRUE(*json->Find("b")->As<bool>());
  EXPECT_EQ(*json->Find("s")->As<std::string>(), "éA");
  EXPECT_EQ(json->Find("a")->As<Json::Array>()->size(), 2u);
  EXPECT_EQ(*json->Find("d")->As<double>(), 0.5);
  EXPECT_EQ(json->Find("absent"), nullptr);
}

TEST(StrictJson, TellsPlainIntegersFromOtherNumbers) {
  const auto json = ParseStrictJson(R"([7, 18446744073709551615, -1, -0, 1.0, 1e3, 18446744073709551616])");
  ASSERT_TRUE(json.ok()) << json.status();
  const auto& items = *json->As<Json::Array>();
  EXPECT_EQ(*items[0].As<uint64_t>(), 7u);
  EXPECT_EQ(*items[1].As<uint64_t>(), UINT64_MAX);
  for (size_t i = 2; i < items.size(); ++i) EXPECT_EQ(items[i].As<uint64_t>(), nullptr) << "number " << i;
}

TEST(StrictJson, RefusesDuplicateKeysAtEveryLevel) {
  EXPECT_THAT(Refusal(R"({"a": 1, "b": 2, "a": 1})"), HasSubstr("the key 'a' twice"));
  EXPECT_THAT(Refusal(R"({"x": [{"y": {"b": 2, "b": 3}}]})"), HasSubstr("the key 'b' twice"));
  EXPECT_THAT(Refusal(R"({"a": 1, "\u0061": 1})"), HasSubstr("the key 'a' twice"));
}

TEST(StrictJson, AcceptsTheSameKeyInDifferentObjects) {
  EXPECT_EQ(Refusal(R"([{"a": {"a": 1}}, {"a": 2}])"), "");
}

TEST(StrictJson, RefusesWhatIsNoJson) {
  for (const char* text :
       {"",         " ",        "{",    "}",           "[1,]",      "{\"a\":}", "{'a':1}",   "01",    "+1",
        ".5",       "1.",       "NaN",  "Infinity",    "nul",       "// c\n1",  "/* c */ 1", "{} {}", "{}x",
        "\"\x01\"", "\"\xff\"", "\xff", "\"\\ud800\"", "\"\\x41\"", "1e999",    "-1e999",    "\v1"}) {
    EXPECT_THAT(Refusal(text), HasSubstr("is not valid JSON at byte")) << text;
  }
}

TEST(StrictJson, RefusesAByteOrderMark) {
  EXPECT_THAT(Refusal("\xEF\xBB\xBF{}"), HasSubstr("byte order mark"));
}

TEST(StrictJson, RefusesBytesHiddenBehindANul) {
  EXPECT_THAT(Refusal(absl::string_view("{}\0hidden", 9)), HasSubstr("at byte 3"));
  EXPECT_THAT(Refusal(absl::string_view("{}\0", 3)), HasSubstr("at byte 3"));
}

TEST(StrictJson, RefusesDeepNesting) {
  JsonLimits limits;
  limits.depth = 3;
  EXPECT_EQ(Refusal("[[[1]]]", limits), "");
  EXPECT_THAT(Refusal("[[[[1]]]]", limits), HasSubstr("deeper than 3"));
  EXPECT_THAT(Refusal("{\"a\":[{\"b\":[]}]}", limits), HasSubstr("deeper than 3"));
  EXPECT_THAT(Refusal(std::string(1'000'000, '[')), HasSubstr("deeper than 64"));
}

TEST(StrictJson, RefusesTooManyValues) {
  JsonLimits limits;
  limits.values = 4;
  EXPECT_EQ(Refusal("[1,2,3]", limits), "");
  EXPECT_THAT(Refusal("[1,2,3,4]", limits), HasSubstr("more than 4"));
}

TEST(StrictJson, RefusesEveryProperPrefix) {
  const std::string text = R"({"a": [1, -2.5e3, "x\n"], "b": {"c": null, "d": false}})";
  ASSERT_EQ(Refusal(text), "");
  for (size_t n = 0; n < text.size(); ++n) EXPECT_NE(Refusal(absl::string_view(text).substr(0, n)), "") << n;
}

TEST(Quoted, EscapesAndShortens) {
  EXPECT_EQ(Quoted("a\nb"), "'a\\nb'");
  EXPECT_EQ(Quoted(std::string(65, 'x')), "'" + std::string(64, 'x') + "...'");
}

}  // namespace
}  // namespace glowworm
