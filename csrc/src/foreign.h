// A library that brings a flavor of its own: it exports the table of entries
// (entries.h) and is used through it instead of through TensorRT's classes.
#ifndef TRTDET_SRC_FOREIGN_H_
#define TRTDET_SRC_FOREIGN_H_

#include <memory>
#include <string>

#include "flavor.h"

namespace trtdet {

// Returns the library behind the table that a file exports, null where it
// exports none. Throws Error where it cannot be loaded, or is of another
// version of the table.
std::unique_ptr<Library> OpenForeign(trtdet_flavor flavor, const std::string& path, const std::string& parser_path);

}  // namespace trtdet

#endif  // TRTDET_SRC_FOREIGN_H_
