#include "plan.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "calls.h"

namespace simgpu {
namespace {

// As TensorRT-RTX's plans begin (trt.ReadPlanHeader); where those of others have
// what is not known, they are the same.
struct Header {
  char magic[8];
  uint32_t format;
  uint32_t unused;
  uint64_t size;
  unsigned char version[8];
  uint64_t capabilities;
  uint64_t text;  // bytes of it: between the header and the ONNX file
  uint64_t checksum;
  uint64_t weights;
};
static_assert(sizeof(Header) == 64);

constexpr const char* kMagic = NV_TENSORRT_MAJOR == 1 ? "vtrt" : "ftrt";
// The library's version in a header.
void SetVersion(Header& header) {
  const int32_t version = LibraryVersion();
  const int32_t parts[] = {version / 10000, version / 100 % 100, version % 100, NV_TENSORRT_BUILD};
  std::transform(std::begin(parts), std::end(parts), header.version, [](int32_t n) { return n & 0xff; });
}

// FNV-1a.
uint64_t Checksum(const char* data, std::size_t size) {
  uint64_t sum = 0xcbf29ce484222325;
  for (std::size_t i = 0; i < size; ++i) sum = (sum ^ static_cast<unsigned char>(data[i])) * 0x100000001b3;
  return sum;
}

// A line each of "profile number input rank min... opt... max...".
std::string ToText(const Profiles& profiles) {
  std::ostringstream text;
  for (std::size_t i = 0; i < profiles.size(); ++i) {
    for (const auto& [input, range] : profiles[i]) {
      text << "profile " << i << ' ' << input << ' ' << range.opt.size();
      for (const Shape* shape : {&range.min, &range.opt, &range.max}) {
        for (const int64_t n : *shape) text << ' ' << n;
      }
      text << '\n';
    }
  }
  return text.str();
}

Profiles ProfilesOf(const std::string& text) {
  Profiles profiles;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string word;
    std::string input;
    std::size_t profile = 0;
    std::size_t rank = 0;
    if (!(words >> word >> profile >> input >> rank) || word != "profile") continue;
    profiles.resize(std::max(profiles.size(), profile + 1));
    ShapeRange& range = profiles[profile][input];
    for (Shape* shape : {&range.min, &range.opt, &range.max}) {
      shape->resize(rank);
      for (int64_t& n : *shape) words >> n;
    }
  }
  return profiles;
}

}  // namespace

std::string Write(const Plan& plan) {
  const std::string text = ToText(plan.profiles) + plan.settings;
  const std::string rest = text + plan.onnx;
  Header header{};
  memcpy(header.magic, kMagic, 4);
  header.format = 2;
  header.size = sizeof header + rest.size();
  SetVersion(header);
  header.capabilities = plan.capabilities;
  header.text = text.size();
  header.checksum = Checksum(rest.data(), rest.size());
  header.weights = plan.onnx.size();
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + rest;
}

Plan ReadPlan(const void* data, std::size_t size) {
  Header header{};
  if (size < sizeof header) throw std::runtime_error("the plan is too short");
  memcpy(&header, data, sizeof header);
  if (memcmp(header.magic, kMagic, 4) != 0) throw std::runtime_error("the plan's magic tag does not match");
  Header own{};
  SetVersion(own);
  if (memcmp(header.version, own.version, sizeof own.version) != 0) {
    throw std::runtime_error("the plan was made by another version of TensorRT");
  }
  const char* const rest = static_cast<const char*>(data) + sizeof header;
  const std::size_t length = size - sizeof header;
  if (header.size != size || header.text > length || Checksum(rest, length) != header.checksum) {
    throw std::runtime_error("the plan is damaged");
  }
  Plan plan;
  plan.settings.assign(rest, header.text);
  plan.profiles = ProfilesOf(plan.settings);
  plan.capabilities = header.capabilities;
  plan.onnx.assign(rest + header.text, length - header.text);
  return plan;
}

}  // namespace simgpu
