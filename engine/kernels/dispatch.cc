// Which instruction set the kernels use. The "scalar" one is the oracle itself: Highway's scalar
// target of every kernel calls it.
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/kernels/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/dispatch.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
HWY_BEFORE_NAMESPACE();
namespace lutdb::kernels {
namespace HWY_NAMESPACE {

int64_t CompiledTarget() { return HWY_TARGET; }

}  // namespace HWY_NAMESPACE
}  // namespace lutdb::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lutdb::kernels {
HWY_EXPORT(CompiledTarget);

namespace {

// TargetName, but lower-case and with one name for both of Highway's portable targets.
std::string IsaOf(int64_t target) {
  if (target == HWY_SCALAR || target == HWY_EMU128) return "scalar";
  std::string name = hwy::TargetName(target);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

// What both this machine and this build can do, best first (Highway's lower bits are better). Asked
// once, before any forcing, because forcing changes the answer.
int64_t UsableTargets() {
  static const int64_t targets = (hwy::SupportedTargets() & HWY_TARGETS) | HWY_STATIC_TARGET;
  return targets;
}

int64_t TargetNamed(std::string_view name) {
  for (int64_t rest = UsableTargets(); rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    if (IsaOf(target) == name) return target;
  }
  return 0;
}

}  // namespace

const char* IsaName() {
  static const auto* const names = [] {
    auto* all = new std::array<std::string, 64>();
    for (int64_t rest = UsableTargets(); rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<size_t>(__builtin_ctzll(static_cast<uint64_t>(rest)));
      (*all)[bit] = IsaOf(rest & -rest);
    }
    return all;
  }();
  const auto target = static_cast<uint64_t>(HWY_DYNAMIC_DISPATCH(CompiledTarget)());
  return (*names)[static_cast<size_t>(__builtin_ctzll(target))].c_str();
}

const char* IsaList() {
  static const auto* const list = [] {
    auto* names = new std::string();
    for (int64_t rest = UsableTargets(); rest != 0; rest &= rest - 1) {
      if (!names->empty()) names->push_back(' ');
      names->append(IsaOf(rest & -rest));
    }
    return names;
  }();
  return list->c_str();
}

bool ForceIsa(const char* name) {
  const int64_t target = TargetNamed(name);
  if (target == 0) return false;
  // What Highway's own tests do; the chosen target is kept until the next call.
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(target);
  return true;
}

}  // namespace lutdb::kernels
#endif  // HWY_ONCE
