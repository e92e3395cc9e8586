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

/// docs/architecture.md's table: which rooms each may include, besides itself.
const std::map<std::string, Rooms>& arrows() {
  static const std::map<std::string, Rooms> table = {
      {"core", {}},
      {"data", {"core"}},
      {"boards", {"core"}},
      {"sensors", {"core", "boards"}},
      {"actuators", {"core", "boards"}},
      {"policies", {"core", "boards"}},
      {"inference/api", {"core"}},
      {"inference", {"inference/api", "data", "core"}},
      {"inference/torch", {"inference", "inference/api", "core"}},
      {"control", {"inference/api", "sensors", "actuators", "policies", "boards", "core"}},
      {"env", {"control", "inference", "inference/api", "data", "policies", "boards", "core"}},
      {"evaluation",
       {"env", "control", "inference", "inference/api", "data", "sensors", "actuators", "policies", "boards", "core"}},
      {"agent", {"policies", "core"}},
      {"training",
       {"agent", "evaluation", "env", "control", "inference", "inference/api", "inference/torch", "data", "policies",
        "boards", "core"}},
      {"protocol", {"core"}},
      {"serving", {"control", "inference", "inference/api", "protocol", "policies", "boards", "core"}},
      {"workload", {"protocol", "data", "core"}}};
  return table;
}
/// These may include every room; what is not listed here or above is no room.
const Rooms kFree = {"apps", "tests", "bench", "fuzz", "examples"};
const Rooms kTorchRooms = {"inference/torch", "agent", "training"};
const Rooms kSpdlogRooms = {"serving", "training", "apps"};

const fs::path kSource = REINS_SOURCE_DIR;

/// "inference/api/engine.hpp" -> "inference/api": the longest room that the path lies in; empty where it lies in none.
std::string room_of(const std::string& path) {
  std::string best;
  const auto consider = [&](const std::string& room) {
    if (path.starts_with(room + "/") && room.size() > best.size()) best = room;
  };
  for (const auto& [room, uses] : arrows()) consider(room);
  for (const std::string& room : kFree) consider(room);
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

TEST(Arrows, TheTableHasNoCycle) {
  std::map<std::string, int> state;  // 1: being walked, 2: done
  const auto walk = [&](const auto& self, const std::string& room) -> void {
    ASSERT_NE(state[room], 1) << "a cycle through " << room;
    if (state[room] == 2) return;
    state[room] = 1;
    for (const std::string& used : arrows().at(room)) {
      ASSERT_TRUE(arrows().contains(used)) << room << " uses " << used;
      self(self, used);
    }
    state[room] = 2;
  };
  for (const auto& [room, uses] : arrows()) walk(walk, room);
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
    if (kFree.contains(from) || from == to) continue;
    ASSERT_NE(to, "") << include.place() << ": write the path from the root of the tree";
    EXPECT_TRUE(arrows().at(from).contains(to)) << include.place() << ": no arrow from " << from << " to " << to;
  }
}

TEST(Arrows, OurHeadersAreThereAndTheirNamesInQuotes) {
  for (const Include& include : includes()) {
    if (kFree.contains(room_of(include.file))) continue;  // a test may hold a program's text
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
    if (kFree.contains(room_of(name)) || exempt.contains(name)) continue;
    std::ifstream text(kSource / name);
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
      const std::string code = line.substr(0, line.find("//"));
      EXPECT_FALSE(std::regex_search(code, wrong)) << name << ":" << number << ": " << line;
    }
  }
}

}  // namespace
