#include "data/cifar10.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "core/file.hpp"

namespace reins::data {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr std::size_t kRecords = 10'000;
constexpr std::size_t kFileBytes = kRecord * kRecords;
constexpr std::size_t kValidation = 5'000;

struct KnownFile {
  std::string_view file, md5;
};

// A copy whose pixels went through JPEG: its accuracies are not to be compared digit for digit with published ones, so
// it is recognised and carries that in its name.
constexpr std::array<KnownFile, 6> kJpegCopy = {{{"data_batch_1.bin", "5a5142663b2c457eb7edf61944cf14cd"},
                                                 {"data_batch_2.bin", "a03813b579934887e19fffa24f57e096"},
                                                 {"data_batch_3.bin", "9338b8beb58f9f053aa7e7f6d2ca26a1"},
                                                 {"data_batch_4.bin", "5d6a4b059305fb3437429da7d5355351"},
                                                 {"data_batch_5.bin", "b543e7acd6f6cab339de5ace5ae323ae"},
                                                 {"test_batch.bin", "11e2161f06e495577766fe4411c65d23"}}};

struct Checked {
  std::size_t files = 0, jpeg_copy = 0, beside = 0;
  std::pair<std::string, std::string> stranger;  // the last file of no known copy, and its sum
};

bool of_jpeg_copy(std::string_view file, std::string_view sum) {
  const auto known = [&](const KnownFile& k) { return k.file == file && k.md5 == sum; };
  return std::any_of(kJpegCopy.begin(), kJpegCopy.end(), known);
}

/// A file of the known copy in the folder; empty where there is none.
std::string known_file_in(const std::filesystem::path& folder) {
  for (const KnownFile& known : kJpegCopy) {
    const auto bytes = read_file(folder / known.file, kFileBytes);
    if (bytes && of_jpeg_copy(known.file, md5(*bytes))) return std::string(known.file);
  }
  return {};
}

Status append_file(const std::filesystem::path& path, std::size_t first, std::size_t last, const Md5Sums& sums,
                   ImageSet& images, Checked& checked) {
  const std::string name = path.filename().string();
  auto bytes = read_file(path, kFileBytes + kRecord);
  if (!bytes) {
    if (bytes.error().kind() == ErrorKind::kNotFound) {
      return fail(ErrorKind::kNotFound, "no such CIFAR-10 file", path.string(),
                  "point --data at the folder of CIFAR-10's binary version");
    }
    return fail(bytes.error());
  }
  if (bytes->size() != kFileBytes) {
    return fail(ErrorKind::kGarbled, "holds " + std::to_string(bytes->size()) + " bytes instead of 30730000",
                path.string(), "unpack CIFAR-10's binary version again");
  }
  const std::string sum = md5(*bytes);
  ++checked.files;
  if (of_jpeg_copy(name, sum)) {
    ++checked.jpeg_copy;
  } else {
    checked.stranger = {path.string(), sum};
  }
  if (const auto found = sums.find(name); found != sums.end()) {
    if (found->second != sum) {
      return fail(ErrorKind::kGarbled, "its MD5 sum " + sum + " is not the one in MD5SUMS", path.string(),
                  "unpack CIFAR-10's binary version again");
    }
    ++checked.beside;
  }
  return append_cifar10(images, *bytes, first, last, path.native());
}

}  // namespace

Status append_cifar10(ImageSet& images, std::string_view bytes, std::size_t first, std::size_t last,
                      std::string_view where) {
  if (last > bytes.size() / kRecord) {
    return fail(ErrorKind::kGarbled,
                "holds " + std::to_string(bytes.size() / kRecord) + " whole records of " + std::to_string(last), where,
                "unpack CIFAR-10's binary version again");
  }
  for (std::size_t i = first; i < last; ++i) {
    const auto* record = reinterpret_cast<const std::uint8_t*>(bytes.data()) + i * kRecord;
    if (record[0] > 9) {
      return fail(ErrorKind::kGarbled,
                  "record " + std::to_string(i) + " has label " + std::to_string(record[0]) + ", not 0 to 9", where,
                  "this is not CIFAR-10's binary version");
    }
    images.labels.push_back(record[0]);
    images.pixels.insert(images.pixels.end(), record + 1, record + kRecord);
  }
  return {};
}

Md5Sums parse_md5sums(std::string_view text) {
  Md5Sums sums;
  std::istringstream lines{std::string(text)};
  std::string sum;
  std::string file;
  while (lines >> sum >> file) sums[file.starts_with('*') ? file.substr(1) : file] = sum;
  return sums;
}

Result<ImageSet> load_cifar10(const std::filesystem::path& folder, Split split) {
  Md5Sums sums;
  if (auto text = read_file(folder / "MD5SUMS", 1 << 16); text) {
    sums = parse_md5sums(*text);
  } else if (text.error().kind() != ErrorKind::kNotFound) {
    return fail(text.error());
  }
  ImageSet images;
  Checked checked;
  const std::size_t wanted = split == Split::kTrain ? 45'000 : split == Split::kValidation ? kValidation : kRecords;
  images.pixels.reserve(wanted * kPixels);
  images.labels.reserve(wanted);
  if (split == Split::kTest) {
    REINS_TRY(append_file(folder / "test_batch.bin", 0, kRecords, sums, images, checked));
  } else {
    for (int batch = split == Split::kTrain ? 1 : 5; batch <= 5; ++batch) {
      const std::size_t border = batch == 5 ? kRecords - kValidation : kRecords;
      const std::size_t first = split == Split::kTrain ? 0 : border;
      const std::size_t last = split == Split::kTrain ? border : kRecords;
      REINS_TRY(
          append_file(folder / ("data_batch_" + std::to_string(batch) + ".bin"), first, last, sums, images, checked));
    }
  }
  const bool beside = checked.beside == checked.files;
  if (!beside && checked.jpeg_copy > 0 && checked.jpeg_copy < checked.files) {
    return fail(ErrorKind::kGarbled,
                "its MD5 sum " + checked.stranger.second + " is not that of the copy which " +
                    std::to_string(checked.jpeg_copy) + " of its " + std::to_string(checked.files) + " files are from",
                checked.stranger.first, "fetch or unpack the files again");
  }
  if (!beside && checked.jpeg_copy == 0) {
    if (const std::string known = known_file_in(folder); !known.empty()) {
      return fail(
          ErrorKind::kGarbled,
          "its MD5 sum " + checked.stranger.second + " is not that of the copy which " + known + " beside it is from",
          checked.stranger.first, "fetch or unpack the files again");
    }
  }
  images.verified = beside || checked.jpeg_copy == checked.files;
  if (checked.jpeg_copy == checked.files) {
    images.name = "cifar10-jpeg";
    images.title = "CIFAR-10 (JPEG-recompressed copy)";
    images.provenance = "MD5 sums of a known JPEG-recompressed copy";
    if (beside) images.provenance += ", and those of MD5SUMS";
  } else {
    images.name = "cifar10";
    images.title = beside ? "CIFAR-10 (sums as in its MD5SUMS file)" : "CIFAR-10 (unverified copy)";
    images.provenance = beside ? "MD5 sums of the MD5SUMS file beside the data"
                               : "MD5 sums of no known copy, and no MD5SUMS file that names every file";
  }
  return images;
}

Result<ImageSet> load_cifar10_records(const std::filesystem::path& file) {
  REINS_ASSIGN(const std::string bytes, read_file(file));
  if (bytes.empty() || bytes.size() % kRecord != 0) {
    return fail(
        ErrorKind::kGarbled,
        "holds " + std::to_string(bytes.size()) + " bytes, no whole number of records of " + std::to_string(kRecord),
        file.string(), "give a file of CIFAR-10's binary layout");
  }
  ImageSet images;
  REINS_TRY(append_cifar10(images, bytes, 0, bytes.size() / kRecord, file.native()));
  images.name = "cifar10";
  images.title = "CIFAR-10 (" + file.filename().string() + ")";
  images.provenance = "MD5 sum " + md5(bytes);
  images.verified = false;
  return images;
}

std::string_view name_of(Split split) noexcept {
  switch (split) {
    case Split::kTrain:
      return "train";
    case Split::kValidation:
      return "validation";
    case Split::kTest:
      return "test";
  }
  return "unknown";
}

Result<ImageSet> load_images(std::string_view dataset, const std::filesystem::path& folder, Split split,
                             std::uint64_t seed, std::size_t most) {
  if (dataset == "synthetic") return make_synthetic(split, seed, std::min(most, synthetic_size(split)));
  if (dataset == "cifar10" || dataset == "cifar10-jpeg") {
    if (folder.empty()) {
      return fail(ErrorKind::kUsage, "CIFAR-10 needs the folder of its binary files", "--data",
                  "give --data DIR, or take --dataset synthetic");
    }
    REINS_ASSIGN(ImageSet images, load_cifar10(folder, split));
    if (most > 0 && most < images.size()) {
      images.labels.resize(most);
      images.pixels.resize(most * images.image_bytes());
    }
    return images;
  }
  return fail(ErrorKind::kUsage, "unknown data set", dataset, "known: cifar10, synthetic");
}

}  // namespace reins::data
