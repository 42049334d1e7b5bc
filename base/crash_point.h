// Named places where a test can have the process die, as if killed: between two steps that a crash
// must not be able to tear apart.
//
// Only where LUTDB_CRASH_POINTS is on (CMake, by default with the tests) does the environment's
// LUTDB_CRASH_AT=name or name:n (the n-th time) do anything; elsewhere the function is empty. None
// is in a loop that matters.
#pragma once

#include <span>

namespace lutdb {

// `name` must be in CrashPoints.
void CrashPoint(const char* name);
// All names, so that a test can die at each.
std::span<const char* const> CrashPoints();

}  // namespace lutdb
