// What a program does when memory runs out: one line and exit status 1, at once.
#pragma once

namespace lutdb {

// From now on a failed allocation ends the process. Unwinding would run destructors of libraries
// that were stopped in the middle of something; stores need no goodbye, since whatever a process
// leaves behind when it is killed is what it may leave behind. For programs, not for the library.
void ExitWhenOutOfMemory();

// What operator new does when there is no memory; for libraries in C, which answer null.
[[noreturn]] void FailAllocation();

}  // namespace lutdb
