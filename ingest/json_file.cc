#include "ingest/json_file.h"

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/status.h"

namespace lutdb {
namespace {

using Json = nlohmann::json;

constexpr size_t kDepthMax = 32;
constexpr size_t kQuotedMax = 120;

// Builds one member of the outermost object at a time.
class MemberReader final : public nlohmann::json_sax<Json> {
 public:
  MemberReader(std::string where, uint64_t values_max, const TakeMember& take_member)
      : where_(std::move(where)), values_max_(values_max), take_member_(take_member) {}

  absl::Status status() const { return status_; }

  bool null() override { return Add(Json()); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return Fail("holds binary data"); }

  bool start_object(std::size_t) override {
    if (!inside_) {
      inside_ = true;
      return true;
    }
    return Push(Json::object());
  }
  bool start_array(std::size_t) override {
    return inside_ ? Push(Json::array()) : Fail("is not a JSON object");
  }
  bool key(string_t& value) override {
    (frames_.empty() ? member_ : frames_.back().key) = std::move(value);
    return true;
  }
  bool end_object() override { return frames_.empty() || Pop(); }
  bool end_array() override { return Pop(); }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    status_ = DataLoss("{}: not valid JSON at byte {}; the file is damaged or not JSON", where_,
                       position);
    return false;
  }

 private:
  struct Frame {
    Json value;
    std::string key;  // of the member being read, when value is an object
  };

  bool Fail(const std::string& what) {
    status_ = DataLoss("{}: {}", where_, what);
    return false;
  }

  bool Push(Json container) {
    if (frames_.size() + 1 >= kDepthMax) {
      return Fail(fmt::format("nested deeper than {} levels", kDepthMax));
    }
    frames_.push_back({std::move(container), {}});
    return true;
  }

  bool Pop() {
    Json done = std::move(frames_.back().value);
    frames_.pop_back();
    return Add(std::move(done));
  }

  bool Add(Json value) {
    if (!inside_) return Fail("is not a JSON object");
    if (++values_ > values_max_) {
      return Fail(fmt::format("{} holds more than {} values", Quote(member_), values_max_));
    }
    if (frames_.empty()) {
      values_ = 0;
      status_ = take_member_(member_, value);
      return status_.ok();
    }
    Frame& parent = frames_.back();
    if (parent.value.is_array()) {
      parent.value.push_back(std::move(value));
      return true;
    }
    if (!parent.value.emplace(parent.key, std::move(value)).second) {
      return Fail(fmt::format("{} is given twice in one object", Quote(parent.key)));
    }
    return true;
  }

  std::string where_;
  uint64_t values_max_;
  const TakeMember& take_member_;
  bool inside_ = false;  // of the outermost object
  uint64_t values_ = 0;  // of the member being read
  std::string member_;
  std::vector<Frame> frames_;
  absl::Status status_;
};

}  // namespace

std::string Quote(std::string_view name) {
  const bool shortened = name.size() > kQuotedMax;
  const Json text(std::string(name.substr(0, kQuotedMax)));
  return text.dump(-1, ' ', false, Json::error_handler_t::replace) + (shortened ? "..." : "");
}

absl::Status ForEachMember(std::string_view text, const std::string& where, uint64_t values_max,
                           const TakeMember& take_member) {
  MemberReader reader(where, values_max, take_member);
  const bool complete = Json::sax_parse(text.begin(), text.end(), &reader);
  if (!reader.status().ok()) return reader.status();
  return complete ? absl::OkStatus() : DataLoss("{}: not valid JSON", where);
}

absl::StatusOr<Json> ReadJsonObject(const std::string& path) {
  LUTDB_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kJsonFileBytesMax));
  Json object = Json::object();
  LUTDB_RETURN_IF_ERROR(ForEachMember(
      text, path, kJsonMemberValuesMax, [&](std::string& key, Json& value) -> absl::Status {
        if (object.emplace(key, std::move(value)).second) return absl::OkStatus();
        return DataLoss("{}: {} is given twice in one object", path, Quote(key));
      }));
  return object;
}

JsonFields::JsonFields(const Json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

const Json* JsonFields::Find(const char* key) {
  read_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

absl::Status JsonFields::String(const char* key, Need need, std::string* out) {
  const Json* field = Find(key);
  if (field == nullptr && need == kOptional) return absl::OkStatus();
  if (field == nullptr) return DataLoss("{}: {} is missing", where_, key);
  if (!field->is_string() || field->get_ref<const std::string&>().empty()) {
    return DataLoss("{}: {} must be a string, and not empty", where_, key);
  }
  *out = field->get_ref<const std::string&>();
  return absl::OkStatus();
}

absl::Status JsonFields::Boolean(const char* key, Need need, bool* out) {
  const Json* field = Find(key);
  if (field == nullptr && need == kOptional) return absl::OkStatus();
  if (field == nullptr) return DataLoss("{}: {} is missing", where_, key);
  if (!field->is_boolean()) return DataLoss("{}: {} must be true or false", where_, key);
  *out = field->get<bool>();
  return absl::OkStatus();
}

absl::Status JsonFields::Unsigned(const char* key, Need need, uint64_t min, uint64_t max,
                                  uint64_t* out) {
  const Json* field = Find(key);
  if (field == nullptr && need == kOptional) return absl::OkStatus();
  if (field == nullptr) return DataLoss("{}: {} is missing", where_, key);
  if (!field->is_number_unsigned() || field->get<uint64_t>() < min ||
      field->get<uint64_t>() > max) {
    return DataLoss("{}: {} must be an integer from {} to {}", where_, key, min, max);
  }
  *out = field->get<uint64_t>();
  return absl::OkStatus();
}

absl::Status JsonFields::Unsigned(const char* key, Need need, uint64_t min, uint64_t max,
                                  uint32_t* out) {
  uint64_t value = *out;
  LUTDB_RETURN_IF_ERROR(Unsigned(key, need, min, max, &value));
  *out = static_cast<uint32_t>(value);
  return absl::OkStatus();
}

absl::Status JsonFields::Number(const char* key, Need need, double min, double max, double* out) {
  const Json* field = Find(key);
  if (field == nullptr && need == kOptional) return absl::OkStatus();
  if (field == nullptr) return DataLoss("{}: {} is missing", where_, key);
  if (!field->is_number() || !(field->get<double>() >= min && field->get<double>() <= max)) {
    return DataLoss("{}: {} must be a number from {} to {}", where_, key, min, max);
  }
  *out = field->get<double>();
  return absl::OkStatus();
}

absl::Status JsonFields::RefuseUnread() const {
  for (const auto& [key, value] : object_.items()) {
    if (!read_.contains(key)) {
      return DataLoss("{}: field {} is not known here; is it misspelt?", where_, Quote(key));
    }
  }
  return absl::OkStatus();
}

}  // namespace lutdb
