// What a program does when a file that it has mapped is cut short by somebody else, or its disk
// fails: one line and exit status 1.
#pragma once

namespace lutdb {

// From now on SIGBUS ends the process so. The pages are gone: no value can be read in their place,
// and none is made up. For programs, not for the library.
void ExitWhenAMappingIsLost();

}  // namespace lutdb
