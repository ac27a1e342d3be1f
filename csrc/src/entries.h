// The table through which a library hands out a whole flavor: every entry of
// trtdet.h and trtdet_engine.h that makes or uses what belongs to a library.
#ifndef TRTDET_SRC_ENTRIES_H_
#define TRTDET_SRC_ENTRIES_H_

#include <cstdint>

#include "trtdet.h"
#include "trtdet_engine.h"

namespace trtdet {

struct Entries {
  uint32_t abi_version;                                      // TRTDET_ABI_VERSION, or the rest is not looked at
#define TRTDET_ENTRY(name) decltype(&::trtdet_##name) name;  // NOLINT(bugprone-macro-parentheses): a member's name
#include "entries.inc"
#undef TRTDET_ENTRY
};

// What such a library exports.
using GetEntries = const Entries* (*)();
constexpr const char* kGetEntries = "trtdet_entries";

}  // namespace trtdet

#endif  // TRTDET_SRC_ENTRIES_H_
