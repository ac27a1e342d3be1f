// The C ABI as a C program sees it: error lifetimes, null arguments, handles
// freed in any order, the log and its release. The real TensorRT-RTX is used.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "trtdet.h"

namespace {

struct FreeError {
  void operator()(trtdet_error* e) const { trtdet_error_free(e); }
};
using ErrorPtr = std::unique_ptr<trtdet_error, FreeError>;

// Expects a call to fail with a code and a message that holds some words.
void ExpectError(trtdet_error* raw, trtdet_code code, const char* words) {
  const ErrorPtr error(raw);
  ASSERT_NE(error, nullptr) << "no error, expected: " << words;
  EXPECT_EQ(trtdet_error_code(error.get()), code) << trtdet_error_message(error.get());
  EXPECT_NE(std::strstr(trtdet_error_message(error.get()), words), nullptr) << trtdet_error_message(error.get());
}

void ExpectSuccess(trtdet_error* raw) {
  const ErrorPtr error(raw);
  EXPECT_EQ(error, nullptr) << trtdet_error_message(error.get()) << '\n' << trtdet_error_log(error.get());
}

#define ASSERT_SUCCESS(call)  \
  do {                        \
    ExpectSuccess(call);      \
    if (HasFailure()) return; \
  } while (false)

constexpr const char* kRtx = TRTDET_TEST_RTX_DIR "/libtensorrt_rtx.so.1";
constexpr const char* kRtxParser = TRTDET_TEST_RTX_DIR "/libtensorrt_onnxparser_rtx.so.1";

// An ONNX file with one node, x (1,3,8,8) -> Relu -> y, written out by hand.
std::string ReluNet() {
  const auto field = [](int number, const std::string& bytes) {
    return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
  };
  const auto number = [](int field_number, char value) {
    return std::string{static_cast<char>(field_number << 3), value};
  };
  const auto tensor = [&](const char* name) {
    std::string shape;
    for (const char dim : {1, 3, 8, 8}) shape += field(1, number(1, dim));
    return field(1, name) + field(2, field(1, number(1, 1) + field(2, shape)));
  };
  const std::string node = field(1, "x") + field(2, "y") + field(4, "Relu");
  const std::string graph = field(1, node) + field(2, "g") + field(11, tensor("x")) + field(12, tensor("y"));
  return number(1, 8) + field(7, graph) + field(8, field(1, "") + number(2, 13));
}

// A file that lives as long as this does.
class TempFile {
 public:
  TempFile(const std::string& name, const std::string& content) : path_(testing::TempDir() + name) {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TempFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const char* path() const { return path_.c_str(); }

 private:
  std::string path_;
};

// What a logger was told.
struct Log {
  std::atomic<int> lines{0};
  std::atomic<int> missing_driver{0};  // above verbose
  std::atomic<int> released{0};

  trtdet_logger Logger() {
    return {this,
            [](void* context, trtdet_severity severity, const char* message) {
              auto* log = static_cast<Log*>(context);
              ++log->lines;
              if (severity != TRTDET_LOG_VERBOSE && std::strstr(message, "error: 35") != nullptr) ++log->missing_driver;
            },
            [](void* context) { ++static_cast<Log*>(context)->released; }};
  }
};

class RtxTest : public testing::Test {
 protected:
  void SetUp() override {
    trtdet_error* error = trtdet_library_open(TRTDET_FLAVOR_RTX1, kRtx, kRtxParser, &library_);
    ASSERT_EQ(error, nullptr) << trtdet_error_message(error) << ": run make setup";
  }
  void TearDown() override { trtdet_library_free(library_); }

  trtdet_library* library_ = nullptr;
};

TEST(AbiTest, Versions) {
  EXPECT_EQ(trtdet_abi_version(), static_cast<uint32_t>(TRTDET_ABI_VERSION));
  EXPECT_EQ(std::strncmp(trtdet_flavor_headers(TRTDET_FLAVOR_RTX1), "1.", 2), 0);
  EXPECT_EQ(std::strncmp(trtdet_flavor_headers(TRTDET_FLAVOR_10), "10.", 3), 0);
  EXPECT_EQ(std::strncmp(trtdet_flavor_headers(TRTDET_FLAVOR_11), "11.", 3), 0);
  EXPECT_EQ(trtdet_flavor_headers(static_cast<trtdet_flavor>(7)), nullptr);
}

TEST(AbiTest, EveryEntryIsNoexcept) {
  EXPECT_TRUE(noexcept(trtdet_library_open(TRTDET_FLAVOR_10, nullptr, nullptr, nullptr)));
  EXPECT_TRUE(noexcept(trtdet_builder_create(nullptr, nullptr, nullptr)));
  EXPECT_TRUE(noexcept(trtdet_network_parse(nullptr, nullptr, nullptr)));
  EXPECT_TRUE(noexcept(trtdet_network_build(nullptr, nullptr, nullptr, nullptr, nullptr)));
  EXPECT_TRUE(noexcept(trtdet_error_free(nullptr)));
}

TEST(AbiTest, ErrorsOutliveTheCallAndEachOther) {
  trtdet_library* library = nullptr;
  trtdet_error* first = trtdet_library_open(TRTDET_FLAVOR_RTX1, "/no/such.so", "/no/such.so", &library);
  trtdet_error* second = trtdet_library_open(static_cast<trtdet_flavor>(7), "a", "b", &library);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(library, nullptr);
  const std::string message = trtdet_error_message(first);
  trtdet_error_free(second);
  EXPECT_EQ(message, trtdet_error_message(first));
  EXPECT_NE(message.find("/no/such.so"), std::string::npos);
  EXPECT_EQ(trtdet_error_code(first), TRTDET_LIBRARY);
  EXPECT_STREQ(trtdet_error_log(first), "");
  trtdet_error_free(first);
}

TEST(AbiTest, NullArguments) {
  trtdet_library* library = nullptr;
  trtdet_builder* builder = nullptr;
  trtdet_network* network = nullptr;
  trtdet_config* config = nullptr;
  trtdet_plan* plan = nullptr;
  const int64_t dim = 1;
  const trtdet_code invalid = TRTDET_INVALID;
  ExpectError(trtdet_library_open(TRTDET_FLAVOR_RTX1, nullptr, "b", &library), invalid, "path");
  ExpectError(trtdet_library_open(TRTDET_FLAVOR_RTX1, "a", nullptr, &library), invalid, "parser_path");
  ExpectError(trtdet_library_open(TRTDET_FLAVOR_RTX1, "a", "b", nullptr), invalid, "out");
  ExpectError(trtdet_builder_create(nullptr, nullptr, &builder), invalid, "library");
  ExpectError(trtdet_network_parse(nullptr, "a", &network), invalid, "builder");
  ExpectError(trtdet_network_tensor(nullptr, TRTDET_INPUT, 0, nullptr), invalid, "network");
  ExpectError(trtdet_config_create(nullptr), invalid, "out");
  ExpectError(trtdet_config_workspace(nullptr, 1), invalid, "config");
  ExpectError(trtdet_config_target(nullptr, 75), invalid, "config");
  ExpectError(trtdet_config_timing_cache(nullptr, nullptr, 0), invalid, "config");
  ExpectError(trtdet_config_optimization_level(nullptr, 1), invalid, "config");
  ExpectError(trtdet_config_shape(nullptr, 0, "x", 1, &dim, &dim, &dim), invalid, "config");
  ExpectError(trtdet_network_build(nullptr, nullptr, nullptr, nullptr, &plan), invalid, "network");
  ExpectSuccess(trtdet_config_create(&config));
  ExpectError(trtdet_config_shape(config, 0, nullptr, 1, &dim, &dim, &dim), invalid, "input");
  ExpectError(trtdet_config_shape(config, 0, "x", 1, nullptr, &dim, &dim), invalid, "min");
  ExpectError(trtdet_config_shape(config, 0, "x", 1, &dim, nullptr, &dim), invalid, "opt");
  ExpectError(trtdet_config_shape(config, 0, "x", 1, &dim, &dim, nullptr), invalid, "max");
  ExpectError(trtdet_config_shape(config, 0, "x", TRTDET_MAX_RANK + 1, &dim, &dim, &dim), invalid, "0 to 8");
  ExpectError(trtdet_config_timing_cache(config, nullptr, 1), invalid, "data");
  ExpectError(trtdet_config_target(config, 1), invalid, "no compute capability");
  ExpectSuccess(trtdet_config_target(config, 75));
  ExpectError(trtdet_config_target(config, 75), invalid, "twice");
  ExpectError(trtdet_config_optimization_level(config, 6), invalid, "0 to 5");
  trtdet_config_free(config);
}

TEST(AbiTest, NullHandlesAnswerAndAreFreed) {
  std::size_t size = 1;
  EXPECT_EQ(trtdet_plan_data(nullptr, &size), nullptr);
  EXPECT_EQ(size, 0U);
  EXPECT_EQ(trtdet_plan_timing_cache(nullptr, nullptr), nullptr);
  EXPECT_EQ(trtdet_network_tensor_count(nullptr, TRTDET_INPUT), 0);
  EXPECT_STREQ(trtdet_library_version(nullptr), "");
  EXPECT_STREQ(trtdet_error_message(nullptr), "");
  EXPECT_STREQ(trtdet_error_log(nullptr), "");
  EXPECT_EQ(trtdet_error_code(nullptr), TRTDET_OK);
  trtdet_error_free(nullptr);
  trtdet_library_free(nullptr);
  trtdet_builder_free(nullptr);
  trtdet_network_free(nullptr);
  trtdet_config_free(nullptr);
  trtdet_plan_free(nullptr);
}

TEST(AbiTest, LoggerIsReleasedWhenNoBuilderIsMade) {
  Log log;
  const trtdet_logger logger = log.Logger();
  trtdet_builder* builder = nullptr;
  ExpectError(trtdet_builder_create(nullptr, &logger, &builder), TRTDET_INVALID, "library");
  EXPECT_EQ(log.released, 1);
}

TEST_F(RtxTest, VersionIsTheLibrarysOwn) { EXPECT_EQ(std::strncmp(trtdet_library_version(library_), "1.", 2), 0); }

TEST_F(RtxTest, OpensTwice) {
  trtdet_library* again = nullptr;
  ASSERT_SUCCESS(trtdet_library_open(TRTDET_FLAVOR_RTX1, kRtx, kRtxParser, &again));
  EXPECT_STREQ(trtdet_library_version(again), trtdet_library_version(library_));
  trtdet_library_free(again);
}

TEST_F(RtxTest, AnotherFlavorIsRefused) {
  trtdet_library* wrong = nullptr;
  ExpectError(trtdet_library_open(TRTDET_FLAVOR_10, kRtx, kRtxParser, &wrong), TRTDET_VERSION, "not a TensorRT 10");
  ExpectError(trtdet_library_open(TRTDET_FLAVOR_RTX1, kRtxParser, kRtx, &wrong), TRTDET_LIBRARY, "no symbol");
  EXPECT_EQ(wrong, nullptr);
}

TEST_F(RtxTest, BuildsAndFreesInAnyOrder) {
  const TempFile onnx("abi_test_relu.onnx", ReluNet());
  Log log;
  const trtdet_logger logger = log.Logger();
  trtdet_builder* builder = nullptr;
  ASSERT_SUCCESS(trtdet_builder_create(library_, &logger, &builder));
  trtdet_network* network = nullptr;
  ASSERT_SUCCESS(trtdet_network_parse(builder, onnx.path(), &network));

  ASSERT_EQ(trtdet_network_tensor_count(network, TRTDET_INPUT), 1);
  ASSERT_EQ(trtdet_network_tensor_count(network, TRTDET_OUTPUT), 1);
  trtdet_tensor tensor;
  ASSERT_SUCCESS(trtdet_network_tensor(network, TRTDET_OUTPUT, 0, &tensor));
  EXPECT_STREQ(tensor.name, "y");
  EXPECT_EQ(tensor.dtype, TRTDET_FLOAT32);
  EXPECT_EQ(std::vector<int64_t>(tensor.dims, tensor.dims + tensor.rank), (std::vector<int64_t>{1, 3, 8, 8}));
  ExpectError(trtdet_network_tensor(network, TRTDET_OUTPUT, 1, &tensor), TRTDET_INVALID, "tensor 1 of 1");
  ExpectError(trtdet_network_tensor(network, TRTDET_INPUT, -1, &tensor), TRTDET_INVALID, "tensor -1 of 1");

  trtdet_config* config = nullptr;
  ASSERT_SUCCESS(trtdet_config_create(&config));
  trtdet_plan* plan = nullptr;
  // The parents first: the network keeps them alive.
  trtdet_builder_free(builder);
  trtdet_library_free(library_);
  library_ = nullptr;
  EXPECT_EQ(log.released, 0);
  ASSERT_SUCCESS(trtdet_network_build(network, config, nullptr, nullptr, &plan));
  trtdet_network_free(network);
  trtdet_config_free(config);
  EXPECT_EQ(log.released, 0);

  std::size_t size = 0;
  const void* data = trtdet_plan_data(plan, &size);
  ASSERT_GT(size, 64U);
  EXPECT_EQ(std::memcmp(data, "vtrt", 4), 0);
  trtdet_plan_free(plan);
  EXPECT_EQ(log.released, 1);
  EXPECT_GT(log.lines, 0);
  EXPECT_EQ(log.missing_driver, 0) << "a log line about the missing driver came through";
}

TEST_F(RtxTest, RefusedFilesSayWhich) {
  const TempFile empty("abi_test_empty.onnx", "");
  const TempFile garbage("abi_test_garbage.onnx", "this is no protobuf");
  trtdet_builder* builder = nullptr;
  ASSERT_SUCCESS(trtdet_builder_create(library_, nullptr, &builder));
  trtdet_network* network = nullptr;
  ExpectError(trtdet_network_parse(builder, empty.path(), &network), TRTDET_PARSE, "abi_test_empty.onnx");
  ExpectError(trtdet_network_parse(builder, garbage.path(), &network), TRTDET_PARSE, "abi_test_garbage.onnx");
  ExpectError(trtdet_network_parse(builder, "/no/such.onnx", &network), TRTDET_PARSE, "/no/such.onnx");
  EXPECT_EQ(network, nullptr);
  trtdet_builder_free(builder);
}

}  // namespace
