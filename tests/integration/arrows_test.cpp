// Reads every file's own #include lines against the architecture's table of arrows.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

using Rooms = std::set<std::string>;

const fs::path kSource = REINS_SOURCE_DIR;

struct Table {
  std::map<std::string, Rooms> arrows;  ///< which rooms each may include, besides itself
  Rooms free;                           ///< these may include every room
  std::string wrong;                    ///< what could not be read; empty: all was
};

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" \t");
  return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

/// The cells of "| a | b |", trimmed.
std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream parts(line.substr(1));
  for (std::string cell; std::getline(parts, cell, '|');) cells.push_back(trimmed(cell));
  return cells;
}

/// Reads the table headed "| room | what lives there | may use |": a room in backquotes, and rooms with commas between,
/// "-" for none and "all" for a room without limits.
Table read_table(std::istream& text) {
  Table table;
  bool inside = false;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("|")) {
      if (inside) break;
      continue;
    }
    const std::vector<std::string> cells = cells_of(line);
    if (!inside) {
      inside = cells.size() == 3 && cells[0] == "room" && cells[2] == "may use";
      continue;
    }
    if (cells[0].starts_with("---")) continue;
    const std::regex name("`([a-z/]+)`");
    std::smatch match;
    if (cells.size() != 3 || !std::regex_match(cells[0], match, name)) {
      table.wrong += line + "\n";
      continue;
    }
    const std::string room = match[1];
    if (cells[2] == "all") {
      table.free.insert(room);
      continue;
    }
    if (table.arrows.contains(room)) table.wrong += line + "\n";
    Rooms& uses = table.arrows[room];
    std::istringstream words(cells[2] == "-" ? "" : cells[2]);
    for (std::string word; std::getline(words, word, ',');) {
      if (!std::regex_match(trimmed(word), std::regex("[a-z/]+")) || !uses.insert(trimmed(word)).second) {
        table.wrong += line + "\n";
      }
    }
  }
  return table;
}

const Table& document() {
  static const Table table = [] {
    std::ifstream text(kSource / "docs/architecture.md");
    Table read = read_table(text);
    read.free.insert({"tests", "bench", "fuzz", "examples"});
    return read;
  }();
  return table;
}
const std::map<std::string, Rooms>& arrows() { return document().arrows; }

const Rooms kTorchRooms = {"inference/torch", "agent", "training"};
const Rooms kSpdlogRooms = {"serving", "training", "apps"};

/// "inference/api/engine.hpp" -> "inference/api": the longest room that the path lies in; empty where it lies in none.
std::string room_of(const std::string& path) {
  std::string best;
  const auto consider = [&](const std::string& room) {
    if (path.starts_with(room + "/") && room.size() > best.size()) best = room;
  };
  for (const auto& [room, uses] : arrows()) consider(room);
  for (const std::string& room : document().free) consider(room);
  return best;
}

struct Include {
  std::string file;
  int line = 0;
  std::string target;
  bool ours = false;  // "..." and not <...>
  std::string place() const { return file + ":" + std::to_string(line) + " includes " + target; }
};

bool is_code(const fs::path& path) { return path.extension() == ".hpp" || path.extension() == ".cpp"; }

/// Folders that hold no code of ours: builds, outputs and whatever git keeps.
bool skipped(const std::string& name) { return name.starts_with(".") || name.starts_with("build") || name == "out"; }

const std::vector<Include>& includes() {
  static const std::vector<Include> all = [] {
    std::vector<Include> found;
    const std::regex pattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
    for (const auto& top : fs::directory_iterator(kSource)) {
      if (!top.is_directory() || skipped(top.path().filename().string())) continue;
      for (const auto& entry : fs::recursive_directory_iterator(top)) {
        if (!entry.is_regular_file() || !is_code(entry.path())) continue;
        std::ifstream text(entry.path());
        std::string line;
        for (int number = 1; std::getline(text, line); ++number) {
          std::smatch match;
          if (!std::regex_search(line, match, pattern)) continue;
          found.push_back({entry.path().lexically_relative(kSource).string(), number, match[2], match[1] == "\""});
        }
      }
    }
    return found;
  }();
  return all;
}

/// What is wrong with the arrows themselves: one that leads to no room, or back to where it came from.
std::string fault_of(const std::map<std::string, Rooms>& table) {
  std::string fault;
  std::map<std::string, int> state;  // 1: being walked, 2: done
  const auto walk = [&](const auto& self, const std::string& room) -> void {
    if (state[room] == 1) fault = "a cycle through " + room;
    if (state[room] != 0) return;
    state[room] = 1;
    for (const std::string& used : table.at(room)) {
      if (table.contains(used)) {
        self(self, used);
      } else {
        fault = room + " uses " + used + ", which is no room";
      }
    }
    state[room] = 2;
  };
  for (const auto& [room, uses] : table) walk(walk, room);
  return fault;
}

TEST(Arrows, TheDocumentsTableIsReadWholeAndHasNoCycle) {
  EXPECT_EQ(document().wrong, "") << "docs/architecture.md: rows that are no arrows";
  EXPECT_GE(arrows().size(), 17U);
  EXPECT_TRUE(document().free.contains("apps"));
  EXPECT_EQ(arrows().at("core"), Rooms{});
  EXPECT_TRUE(arrows().at("training").contains("inference/torch"));
  EXPECT_FALSE(arrows().at("control").contains("env"));
  EXPECT_EQ(fault_of(arrows()), "");
}

TEST(Arrows, ACycleAnUnknownRoomAndAGarbledRowAreSeen) {
  const auto read = [](const std::string& rows) {
    std::istringstream text("| a | b |\n\n| room | what lives there | may use |\n| --- | --- | --- |\n" + rows +
                            "\n| x |\n");
    return read_table(text);
  };
  EXPECT_EQ(read("| `a` | it | b, c |\n| `b` | it | c |\n| `c` | it | - |\n").wrong, "");
  EXPECT_EQ(fault_of(read("| `a` | it | b |\n| `b` | it | - |\n").arrows), "");
  EXPECT_EQ(fault_of(read("| `a` | it | b |\n| `b` | it | a |\n").arrows), "a cycle through a");
  EXPECT_EQ(fault_of(read("| `a` | it | b |\n").arrows), "a uses b, which is no room");
  for (const char* bad : {"| a | it | - |\n", "| `a` | - |\n", "| `a` | it | b (c) |\n", "| `a` | it | b, , c |\n"}) {
    EXPECT_NE(read(bad).wrong, "") << bad;
  }
}

TEST(Arrows, EveryFileLiesInARoom) {
  Rooms seen;
  for (const Include& include : includes()) {
    EXPECT_NE(room_of(include.file), "") << include.file << " lies in no room of the table";
    seen.insert(room_of(include.file));
  }
  for (const auto& [room, uses] : arrows()) EXPECT_TRUE(seen.contains(room)) << "no file was read in " << room;
  EXPECT_GT(includes().size(), 500U);
}

TEST(Arrows, FilesIncludeOnlyWhatTheTableAllows) {
  for (const Include& include : includes()) {
    if (!include.ours) continue;
    const std::string from = room_of(include.file);
    const std::string to = room_of(include.target);
    if (document().free.contains(from) || from == to) continue;
    ASSERT_NE(to, "") << include.place() << ": write the path from the root of the tree";
    EXPECT_TRUE(arrows().at(from).contains(to)) << include.place() << ": no arrow from " << from << " to " << to;
  }
}

TEST(Arrows, OurHeadersAreThereAndTheirNamesInQuotes) {
  for (const Include& include : includes()) {
    if (document().free.contains(room_of(include.file))) continue;  // a test may hold a program's text
    const bool exists = fs::exists(kSource / include.target);
    EXPECT_EQ(include.ours, exists) << include.place();
  }
}

TEST(Arrows, CMakeLinksWhatTheTableAllows) {
  const std::regex call(R"re(reins_room\(\s*([a-z/]+)([^)]*)\))re");
  const std::regex uses(R"re(\bUSES\s+((?:[a-z/]+\s*)*))re");
  int rooms = 0;
  for (const auto& [room, allowed] : arrows()) {
    std::ifstream file(kSource / room / "CMakeLists.txt");
    ASSERT_TRUE(file.is_open()) << room;
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    std::smatch match;
    ASSERT_TRUE(std::regex_search(text, match, call)) << room;
    EXPECT_EQ(match[1], room);
    ++rooms;
    const std::string arguments = match[2];
    std::smatch listed;
    if (!std::regex_search(arguments, listed, uses)) continue;
    std::istringstream words(listed[1]);
    for (std::string word; words >> word;) EXPECT_TRUE(allowed.contains(word)) << room << " links " << word;
  }
  EXPECT_EQ(rooms, static_cast<int>(arrows().size()));
}

TEST(Arrows, LibtorchStaysInItsRoomsAndSpdlogInIts) {
  const std::regex torch("^(torch|ATen|c10|caffe2)/");
  int torch_seen = 0;
  for (const Include& include : includes()) {
    if (include.ours) continue;
    std::string room = room_of(include.file);
    // A room's tests may see what the room sees.
    if (room == "tests") room = room_of(include.file.substr(6));
    if (std::regex_search(include.target, torch)) {
      ++torch_seen;
      // A library that our engines are compared with is called as its user would.
      if (include.file == "bench/peers/libtorch.cpp") continue;
      EXPECT_TRUE(kTorchRooms.contains(room)) << include.place();
    }
    if (include.target.starts_with("spdlog/")) {
      EXPECT_TRUE(kSpdlogRooms.contains(room)) << include.place();
    }
  }
  EXPECT_GT(torch_seen, 0) << "the pattern found nothing";
}

TEST(Arrows, LibraryCodeNeverPrintsReadsTheEnvironmentOrExits) {
  const std::regex wrong(R"re(\b(getenv|printf|puts|fputs|exit|_Exit|quick_exit)\s*\(|std::(cout|cerr|clog)\b)re");
  // The assertion's last words; and the two programs, which live in apps/ and in the generator's main file.
  const Rooms exempt = {"core/assert.hpp", "workload/main.cpp"};
  Rooms files;
  for (const Include& include : includes()) files.insert(include.file);
  for (const std::string& name : files) {
    if (document().free.contains(room_of(name)) || exempt.contains(name)) continue;
    std::ifstream text(kSource / name);
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
      const std::string code = line.substr(0, line.find("//"));
      EXPECT_FALSE(std::regex_search(code, wrong)) << name << ":" << number << ": " << line;
    }
  }
}

}  // namespace
