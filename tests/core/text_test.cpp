// Words and edges of lines; CSV and TOML: typed look-ups whose errors name file, line and column or key.
#include "core/text.hpp"

#include <cmath>
#include <limits>

#include "core/csv.hpp"
#include "core/rng.hpp"
#include "core/toml.hpp"
#include "tests/support/matchers.hpp"

namespace reins {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IsError;

TEST(Text, TrimsBlanksTabsAndCarriageReturnsAtBothEnds) {
  EXPECT_EQ(trim(" \ta b\t \r"), "a b");
  EXPECT_EQ(trim("\ra\n"), "a\n");
  EXPECT_EQ(trim(" \t "), "");
}

TEST(Text, FindsAWordAmongWordsAndNoPartOfOne) {
  EXPECT_TRUE(holds_word("powersave schedutil userspace", "schedutil"));
  EXPECT_TRUE(holds_word("userspace", "userspace"));
  EXPECT_FALSE(holds_word("powersave schedutil", "sched"));
  EXPECT_FALSE(holds_word("", "sched"));
}

TEST(Csv, ReadsCommentsHeaderAndRows) {
  const auto table = CsvTable::parse("# key = value\r\na, b ,c\r\n1,2.5,x\n\n# more\n-3,,y z\n", "t.csv");
  ASSERT_OK(table);
  EXPECT_THAT(table->comments(), ElementsAre("key = value", "more"));
  EXPECT_THAT(table->columns(), ElementsAre("a", "b", "c"));
  ASSERT_EQ(table->rows(), 2U);
  EXPECT_EQ(*table->integer(1, "a"), -3);
  EXPECT_DOUBLE_EQ(*table->number(0, "b"), 2.5);
  EXPECT_EQ(*table->text(1, "c"), "y z");
  EXPECT_FALSE(table->present(1, "b"));
  EXPECT_FALSE(table->present(1, "none"));
  EXPECT_EQ(table->place(1), "t.csv:6");
}

TEST(Csv, QuotedCellsMayHoldCommasAndQuotes) {
  const auto table = CsvTable::parse("\"Batch Size\",\"name\"\r\n 8 , \" a, \"\"b\"\" \"\n,\"\"\n", "t.csv");
  ASSERT_OK(table);
  EXPECT_THAT(table->columns(), ElementsAre("Batch Size", "name"));
  EXPECT_EQ(*table->integer(0, "Batch Size"), 8);
  EXPECT_EQ(*table->text(0, "name"), "a, \"b\"");
  ASSERT_EQ(table->rows(), 2U);
  EXPECT_FALSE(table->present(1, "Batch Size"));
  EXPECT_FALSE(table->present(1, "name"));
  for (const char* torn : {"a,b\n1,\"2\n", "a,b\n1,\"2\"3\n", "a,\"\n"}) {
    EXPECT_THAT(CsvTable::parse(torn, "t.csv"), IsError(ErrorKind::kGarbled, HasSubstr("a quote that does not end")));
  }
}

TEST(Csv, OtherSeparatorsAreNamed) {
  EXPECT_THAT(CsvTable::parse("a;b\n1;2\n", "t.csv"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv:1"), HasSubstr("separated by ';'"))));
  EXPECT_THAT(CsvTable::parse("a\tb\n1\t2\n", "t.csv"), IsError(ErrorKind::kGarbled, HasSubstr("separated by tabs")));
}

TEST(Csv, ErrorsNameTheLineAndTheColumn) {
  const auto marked = CsvTable::parse(
      "\xef\xbb\xbf"
      "a,b\n1,2\n",
      "t.csv");
  ASSERT_OK(marked);
  EXPECT_EQ(marked->number(0, "a").value(), 1) << "a byte-order mark is no part of a column's name";
  EXPECT_THAT(CsvTable::parse("a,b\n1,2\n1,2,3\n", "t.csv"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv:3"), HasSubstr("3 cells"))));
  EXPECT_THAT(CsvTable::parse("a,a\n", "t.csv"),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("t.csv:1"), HasSubstr("twice"))));
  EXPECT_THAT(CsvTable::parse("# only this\n", "t.csv"), IsError(ErrorKind::kGarbled, HasSubstr("no header")));
  const auto table = CsvTable::parse("# c\na,b\n1,nan\n1.5,1e999\n", "t.csv");
  ASSERT_OK(table);
  EXPECT_THAT(table->number(0, "b"), IsError(ErrorKind::kGarbled, HasSubstr("t.csv:3 column b")));
  EXPECT_THAT(table->number(1, "b"), IsError(ErrorKind::kGarbled, HasSubstr("t.csv:4 column b")));
  EXPECT_THAT(table->integer(1, "a"), IsError(ErrorKind::kGarbled, HasSubstr("'1.5' is not an integer")));
  EXPECT_THAT(table->text(0, "z"), IsError(ErrorKind::kGarbled, HasSubstr("'z' is missing")));
}

TEST(Csv, NumbersReadBackAsTheSameDouble) {
  Rng rng(5);
  for (int i = 0; i < 5000; ++i) {
    const double x = rng.normal() * std::pow(10.0, rng.uniform(-300, 300));
    EXPECT_EQ(*parse_number(format_number(x), "x"), x);
  }
  for (const char* text : {"", " 1", "1 ", "0x10", "inf", "-nan", "1,5", "--1"}) {
    EXPECT_THAT(parse_number(text, "w"), IsError(ErrorKind::kGarbled, HasSubstr("w: "))) << "'" << text << "'";
  }
}

constexpr const char* kToml = R"(x = 2.5
n = 7
flag = true
name = "pine"
list = [1, 2.5]
words = ["a", "b"]
[inner]
y = 1
[[item]]
z = 1
[[item]]
z = 2
)";

TEST(Toml, ReadsTypesTablesAndDefaults) {
  const auto doc = TomlTable::parse(kToml, "f.toml");
  ASSERT_OK(doc);
  EXPECT_DOUBLE_EQ(*doc->number("x", 0, 3), 2.5);
  EXPECT_EQ(*doc->integer("n", 0, 7), 7);
  EXPECT_TRUE(*doc->boolean("flag"));
  EXPECT_EQ(*doc->text("name"), "pine");
  EXPECT_THAT(*doc->numbers("list", 0, 3), ElementsAre(1.0, 2.5));
  EXPECT_THAT(*doc->texts("words"), ElementsAre("a", "b"));
  EXPECT_EQ(*doc->table("inner")->integer("y", 0, 9), 1);
  const auto items = doc->tables("item");
  ASSERT_OK(items);
  ASSERT_EQ(items->size(), 2U);
  EXPECT_EQ(*(*items)[1].integer("z", 0, 9), 2);
  EXPECT_OK(doc->reject_unknown());
  EXPECT_EQ(doc->tables("none")->size(), 0U);
  EXPECT_DOUBLE_EQ(*doc->number_or("none", 4, 0, 9), 4);
  EXPECT_EQ(*doc->text_or("none", "oak"), "oak");
}

TEST(Toml, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(TomlTable::parse("a = 1\nb = = 2\n", "f.toml"), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:2")));
  EXPECT_THAT(TomlTable::parse("a = 1\n\na = 2\n", "f.toml"), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:3")));
  const auto doc = TomlTable::parse(kToml, "f.toml");
  ASSERT_OK(doc);
  EXPECT_THAT(doc->number("x", 0, 2),
              IsError(ErrorKind::kGarbled, AllOf(HasSubstr("f.toml:1"), HasSubstr("'x' is 2.5, outside 0 to 2"))));
  EXPECT_THAT(doc->integer("x", 0, 9), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:1: 'x' is not an integer")));
  EXPECT_THAT(doc->number("flag", 0, 9), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:3: 'flag' is not a number")));
  EXPECT_THAT(doc->number("none", 0, 9), IsError(ErrorKind::kGarbled, HasSubstr("'none' is missing")));
  EXPECT_THAT(doc->numbers("words", 0, 9), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:6")));
  EXPECT_THAT(doc->tables("inner"), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:7")));
  EXPECT_THAT(doc->number_or("name", 1, 0, 9), IsError(ErrorKind::kGarbled, HasSubstr("f.toml:4")))
      << "present but wrong is no default";
}

TEST(Toml, AMisspeltKeyIsAnError) {
  const auto doc = TomlTable::parse("rate = 1\nratte = 2\n", "f.toml");
  ASSERT_OK(doc);
  EXPECT_OK(doc->number("rate", 0, 9));
  EXPECT_THAT(doc->reject_unknown(), IsError(ErrorKind::kGarbled, AllOf(HasSubstr("f.toml:2"), HasSubstr("'ratte'"))));
}

}  // namespace
}  // namespace reins
