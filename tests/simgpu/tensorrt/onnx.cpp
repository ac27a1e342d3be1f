#include "onnx.h"

#include <cstdint>
#include <functional>
#include <string_view>

namespace simgpu {
namespace {

// Reads a varint off the front; false at the end.
bool Varint(std::string_view& bytes, uint64_t& number) {
  number = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    number |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Calls field for each length-delimited field of a protobuf message.
void Fields(std::string_view bytes, const std::function<void(uint64_t number, std::string_view value)>& field) {
  uint64_t key = 0;
  while (Varint(bytes, key)) {
    uint64_t size = 0;
    switch (key & 7) {
      case 0:
        Varint(bytes, size);
        continue;
      case 1:
        size = 8;
        break;
      case 2:
        if (!Varint(bytes, size)) return;
        break;
      case 5:
        size = 4;
        break;
      default:
        return;
    }
    if (size > bytes.size()) return;
    if ((key & 7) == 2) field(key >> 3, bytes.substr(0, size));
    bytes.remove_prefix(size);
  }
}

}  // namespace

std::vector<Node> Nodes(const std::string& onnx) {
  constexpr uint64_t kGraph = 7;  // of ModelProto
  constexpr uint64_t kNode = 1;   // of GraphProto
  constexpr uint64_t kName = 3;   // of NodeProto
  constexpr uint64_t kOp = 4;
  std::vector<Node> nodes;
  Fields(onnx, [&](uint64_t in_model, std::string_view graph) {
    if (in_model != kGraph) return;
    Fields(graph, [&](uint64_t in_graph, std::string_view node) {
      if (in_graph != kNode) return;
      Node& read = nodes.emplace_back();
      Fields(node, [&](uint64_t in_node, std::string_view text) {
        if (in_node == kName) read.name = text;
        if (in_node == kOp) read.op = text;
      });
    });
  });
  return nodes;
}

}  // namespace simgpu
