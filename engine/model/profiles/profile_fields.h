// Reads fields of one JSON object of a model profile, and remembers what is wrong first.
#ifndef TOME_ENGINE_MODEL_PROFILES_PROFILE_FIELDS_H_
#define TOME_ENGINE_MODEL_PROFILES_PROFILE_FIELDS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "engine/base/status.h"

namespace tome {

class ProfileFields {
 public:
  // `object` outlives this; `where` begins all messages.
  ProfileFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool Has(const char* name) const { return object_.contains(name); }
  template <typename T>
  void Get(const char* name, T* value) {
    if (!status_.ok()) return;
    const auto found = object_.find(name);
    if (found == object_.end()) return Fail(name, "it is missing");
    try {
      *value = found->template get<T>();
    } catch (const nlohmann::json::exception& error) {
      Fail(name, error.what());
    }
  }
  // Leaves `value` as it is when there is no such field.
  template <typename T>
  void GetIfPresent(const char* name, T* value) {
    if (Has(name)) Get(name, value);
  }
  void Require(bool holds, const char* name, const std::string& what) {
    if (status_.ok() && !holds) Fail(name, what);
  }
  const absl::Status& status() const { return status_; }

 private:
  void Fail(const char* name, const std::string& what) { status_ = InvalidArgument("{}: {}: {}", where_, name, what); }

  const nlohmann::json& object_;
  std::string where_;
  absl::Status status_;
};

}  // namespace tome

#endif  // TOME_ENGINE_MODEL_PROFILES_PROFILE_FIELDS_H_
