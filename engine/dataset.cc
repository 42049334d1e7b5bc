#include "engine/dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/file.h"
#include "base/status.h"
#include "lutdb/model.h"

namespace lutdb {
namespace {

constexpr size_t kClassesMax = 65536;

// SplitMix64 (Steele, Lea, Flood 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Below `bound`, by the high half of a product: a bias of at most bound / 2^64.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

 private:
  uint64_t state_;
};

void Shuffle(absl::Span<uint32_t> items, Random* random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random->Below(i)]);
}

std::optional<double> AsNumber(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

// Ascending: as numbers when all are numbers, else byte by byte.
void SortNames(std::vector<std::string>* names) {
  const bool numbers = std::all_of(names->begin(), names->end(),
                                   [](const std::string& name) { return AsNumber(name); });
  std::sort(names->begin(), names->end(), [&](const std::string& a, const std::string& b) {
    return numbers && *AsNumber(a) != *AsNumber(b) ? *AsNumber(a) < *AsNumber(b) : a < b;
  });
}

// The names "0" .. "count-1" when the file has "0" and nothing but these.
std::vector<std::string> IndexNames(const std::vector<std::string>& found, uint32_t count) {
  bool zero = false;
  uint32_t largest = 0;
  for (const std::string& name : found) {
    uint32_t index = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool canonical = name == "0" || (!name.empty() && name[0] != '0');
    if (error != std::errc() || end != name.data() + name.size() || !canonical) return {};
    if (count > 0 && index >= count) return {};
    if (index >= kClassesMax) return {};
    zero |= index == 0;
    largest = std::max(largest, index);
  }
  if (!zero) return {};
  std::vector<std::string> names(count > 0 ? count : largest + 1);
  for (size_t i = 0; i < names.size(); ++i) names[i] = std::to_string(i);
  return names;
}

absl::Status CheckNames(const std::vector<std::string>& names, const DataShape& shape) {
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) return InvalidArgument("the class {} is listed twice", *twice);
  if (shape.outputs > 0 && names.size() != shape.outputs) {
    return InvalidArgument("{} classes are listed, but the network tells {} apart", names.size(),
                           shape.outputs);
  }
  return absl::OkStatus();
}

}  // namespace

DataShape ShapeOf(const Model& model) {
  DataShape shape;
  shape.inputs = model.input_width();
  shape.outputs = model.classes();
  return shape;
}

absl::StatusOr<uint32_t> ClassNumbering::Number(std::string_view name, const std::string& where) {
  if (const auto found = numbers_.find(name); found != numbers_.end()) return found->second;
  if (names_.size() == kClassesMax) {
    return ResourceExhausted("{}: more than {} classes; is this a column of real values?", where,
                             kClassesMax);
  }
  const auto number = static_cast<uint32_t>(names_.size());
  numbers_.emplace(name, number);
  names_.emplace_back(name);
  first_seen_.push_back(where);
  return number;
}

absl::Status ClassNumbering::Finish(const DataOptions& options, const DataShape& shape,
                                    Dataset* data) const {
  std::vector<std::string> order = options.classes;
  if (order.empty()) order = shape.class_names;
  if (!order.empty()) {
    LUTDB_RETURN_IF_ERROR(CheckNames(order, shape));
  } else if (order = IndexNames(names_, shape.outputs); order.empty()) {
    if (const auto all = IndexNames(names_, 0); !all.empty() && shape.outputs > 0) {
      return InvalidArgument(
          "{} has class {}, but the network tells {} apart, from 0 on; list them in the order of "
          "its "
          "outputs with --classes if these are names",
          data->source, all.back(), shape.outputs);
    }
    if (names_.size() != shape.outputs) {
      return InvalidArgument(
          "{} has {} classes ({}{}), but the network tells {} apart; list them in the order of its "
          "outputs with --classes",
          data->source, names_.size(),
          fmt::join(names_.begin(), names_.begin() + std::min<size_t>(names_.size(), 6), ", "),
          names_.size() > 6 ? ", ..." : "", shape.outputs);
    }
    order = names_;
    SortNames(&order);
  }
  std::vector<uint32_t> index(names_.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    const auto found = std::find(order.begin(), order.end(), names_[i]);
    if (found == order.end()) {
      return DataLoss("{}: '{}' is none of the classes {}", first_seen_[i], names_[i],
                      fmt::join(order, ", "));
    }
    index[i] = static_cast<uint32_t>(found - order.begin());
  }
  for (uint32_t& label : data->labels) label = index[label];
  data->class_names = std::move(order);
  return absl::OkStatus();
}

absl::Status CheckDataBytes(const std::string& source, uint64_t rows, uint64_t width,
                            uint64_t bytes_max) {
  uint64_t bytes = 0;
  if (!__builtin_mul_overflow(rows, (width + 1) * sizeof(float), &bytes) && bytes <= bytes_max) {
    return absl::OkStatus();
  }
  return ResourceExhausted("{}: {} rows of {} numbers are more than the {} bytes data may take",
                           source, rows, width, bytes_max);
}

absl::StatusOr<Dataset> LoadDataset(const DataOptions& options, const DataShape& shape) {
  const int sources = !options.csv.empty() + !options.images.empty() + !options.npy_inputs.empty() +
                      !options.wav.empty();
  if (sources != 1) {
    return InvalidArgument("give one source of data: --csv, --images, --inputs or --wav");
  }
  DataOptions bounded = options;
  if (bounded.bytes_max == 0) bounded.bytes_max = UsableMemoryBytes() / 4;
  absl::StatusOr<Dataset> data;
  if (!options.csv.empty()) {
    data = LoadCsv(bounded, shape);
  } else if (!options.images.empty()) {
    data = LoadIdxImages(bounded, shape);
  } else if (!options.npy_inputs.empty()) {
    data = LoadNpy(bounded, shape);
  } else {
    data = LoadWav(bounded, shape);
  }
  LUTDB_RETURN_IF_ERROR(data.status());
  if (data->rows == 0) return DataLoss("{} holds no rows", data->source);
  return data;
}

std::vector<uint32_t> ShuffledRows(uint32_t count, uint64_t seed) {
  std::vector<uint32_t> rows(count);
  std::iota(rows.begin(), rows.end(), 0u);
  Random random(seed);
  Shuffle(absl::MakeSpan(rows), &random);
  return rows;
}

absl::StatusOr<RowSplit> SplitRows(const Dataset& data, double valid_fraction, uint64_t seed) {
  if (!(valid_fraction > 0 && valid_fraction < 1)) {
    return InvalidArgument("a share of {} rows to hold out is not between 0 and 1", valid_fraction);
  }
  // The rows of one stratum lie together, in shuffled order; without strata all are one.
  std::vector<uint32_t> order = ShuffledRows(static_cast<uint32_t>(data.rows), seed);
  if (!data.strata.empty()) {
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return data.strata[a] < data.strata[b]; });
  }
  RowSplit split;
  // A row is held out where the rounded share of the rows so far grows by one: every stratum gives
  // its share to within one row, and the total is the rounded one.
  const auto held = [&](size_t rows) {
    return std::floor(static_cast<double>(rows) * valid_fraction + 0.5);
  };
  for (size_t i = 0; i < order.size(); ++i) {
    (held(i + 1) > held(i) ? split.valid : split.train).push_back(order[i]);
  }
  if (split.train.empty() || split.valid.empty()) {
    return InvalidArgument("{} rows cannot be split with a share of {} held out: one side is empty",
                           data.rows, valid_fraction);
  }
  std::sort(split.train.begin(), split.train.end());
  std::sort(split.valid.begin(), split.valid.end());
  return split;
}

}  // namespace lutdb
