#include "cria/io/safetensors.h"

#include <cmath>
#include <cstring>
#include <fstream>

#include "expect_error.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

std::string with_header(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\0');
}

std::vector<SafetensorsTensor> parse(const std::string& file) {
  return parse_safetensors("x.safetensors", std::as_bytes(std::span(file)));
}

void expect_refused(const std::string& file, const std::vector<std::string>& words) {
  SCOPED_TRACE(file.substr(0, 300));
  expect_input_error({"x.safetensors", words[0]}, [&] { parse(file); });
  expect_input_error(words, [&] { parse(file); });
}

TEST(Safetensors, ReadsDtypesShapesAndMetadata) {
  const std::string file = with_header(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("h":{"dtype":"F16","shape":[],"data_offsets":[20,22]},)"
      R"("none":{"dtype":"F32","shape":[0,4],"data_offsets":[22,22]}}   )",
      22);
  const auto tensors = parse(file);
  ASSERT_EQ(tensors.size(), 4u);
  EXPECT_EQ(tensors[0].name, "a");
  EXPECT_EQ(tensors[1].name, "b");
  EXPECT_EQ(tensors[1].dtype, DType::bf16);
  EXPECT_EQ(tensors[1].shape, (Shape{2, 3}));
  EXPECT_EQ(tensors[1].bytes, 12u);
  EXPECT_EQ(tensors[1].data - tensors[0].data, 8);
  EXPECT_EQ(tensors[2].shape, Shape{});
  EXPECT_EQ(tensors[3].bytes, 0u);
}

TEST(Safetensors, RefusesBrokenHeaders) {
  expect_refused("", {"0 bytes are too few"});
  expect_refused("1234567", {"7 bytes are too few"});
  std::string huge = with_header("{}", 0);
  huge[7] = '\x7f';
  expect_refused(huge, {"a header of"});
  std::string beyond = with_header("{}", 0);
  beyond[0] = 3;
  expect_refused(beyond, {"cut short"});
  const uint64_t over = 100'000'001;
  std::memcpy(beyond.data(), &over, 8);
  expect_refused(beyond, {"a header of 100000001 bytes"});
  expect_refused(with_header("", 0), {"begin with '{'"});
  expect_refused(with_header(" {}", 0), {"begin with '{'"});
  expect_refused(with_header("{", 0), {"not valid JSON"});
  expect_refused(with_header("{} x", 0), {"not valid JSON"});
  expect_refused(with_header("{\"\xff\":1}", 0), {"not valid JSON"});
  expect_refused(with_header("{\"a\":1e999}", 0), {"not valid JSON"});
  expect_refused(with_header(std::string(100000, '{'), 0), {"not valid JSON"});
  expect_refused(with_header("{}", 4), {"4 bytes after the last tensor"});
  expect_refused(with_header(R"({"__metadata__":{"a":1}})", 0), {"__metadata__"});
  expect_refused(with_header(R"({"__metadata__":"a"})", 0), {"__metadata__"});
}

TEST(Safetensors, RefusesBrokenEntries) {
  const auto refuse = [](const std::string& entry, const std::string& word) {
    expect_refused(with_header("{\"a\":" + entry + "}", 8), {word, "tensor \"a\""});
  };
  refuse("1", "not an object");
  refuse(R"({"shape":[2],"data_offsets":[0,8]})", "dtype is missing");
  refuse(R"({"dtype":"F32","data_offsets":[0,8]})", "shape is missing");
  refuse(R"({"dtype":"F32","shape":[2]})", "data_offsets is missing");
  refuse(R"({"dtype":"F8","shape":[2],"data_offsets":[0,8]})", "dtype \"F8\"");
  refuse(R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})", "dtype \"7\"");
  refuse(R"({"dtype":"I64","shape":[1],"data_offsets":[0,8]})", "F32, F16 and BF16");
  refuse(R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})", "shape is not a list");
  refuse(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})", "not made of sizes");
  refuse(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})", "not made of sizes");
  refuse(R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})", "not made of sizes");
  refuse(R"({"dtype":"F32","shape":[1,1,1,1,2],"data_offsets":[0,8]})", "5 dimensions");
  refuse(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]})", "overflows");
  refuse(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8]})", "overflows");
  refuse(R"({"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]})", "sizes");
  refuse(R"({"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,8]})", "overflows");
  refuse(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "[3] as fp32 is 12 bytes");
  refuse(R"({"dtype":"BF16","shape":[2],"data_offsets":[0,8]})", "4 bytes");
  refuse(R"({"dtype":"F32","shape":[2],"data_offsets":[0]})", "data_offsets is not");
  refuse(R"({"dtype":"F32","shape":[2],"data_offsets":[-1,8]})", "data_offsets is not");
  refuse(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.0]})", "data_offsets is not");
  refuse(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})", "begins at 8 and ends at 0");
  refuse(R"({"dtype":"F32","shape":[2],"data_offsets":[8,16]})", "ends at byte 16 of 8");
  refuse(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", "a hole from byte 0");
}

TEST(Safetensors, RefusesTensorsThatDoNotTile) {
  const auto two = [](const std::string& a, const std::string& b) {
    return with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                           R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + b + "}}",
                       20);
  };
  expect_refused(two("[0,8]", "[4,12]"), {"tensor \"b\"", "overlapping"});
  expect_refused(two("[0,8]", "[0,8]"), {"tensor \"b\"", "overlapping"});
  expect_refused(two("[0,8]", "[12,20]"), {"tensor \"b\"", "a hole from byte 8"});
  expect_refused(two("[0,8]", "[8,16]"), {"4 bytes after the last tensor"});
  const std::string entry = R"({"dtype":"F32","shape":[],"data_offsets":[0,4]})";
  expect_refused(with_header("{\"a\":" + entry + ",\"a\":" + entry + "}", 4), {"\"a\" twice"});
  expect_refused(with_header(R"({"a":{"dtype":"F32","dtype":"F32"}})", 0), {"\"dtype\" twice"});
}

TEST(Safetensors, MessagesStayOnOneLine) {
  expect_refused(with_header("{\"a\\nb\":1}", 0), {"\"a\\nb\""});
}

TEST(Safetensors, RefusesFilesThatCannotBeMapped) {
  TemporaryDirectory directory;
  std::ofstream(directory / "empty.safetensors");
  expect_input_error({"empty.safetensors", "empty"},
                     [&] { SafetensorsFile file(directory / "empty.safetensors"); });
  expect_input_error({"absent", "No such file"},
                     [&] { SafetensorsFile file(directory / "absent"); });
  expect_input_error({"is not a file"}, [&] { SafetensorsFile file(directory.path()); });
}

TEST(Safetensors, EveryTruncationIsAnError) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  SafetensorsWriter writer(path, {{"a", DType::f32, {3}}, {"b", DType::bf16, {5}}});
  const std::string data(22, 'x');
  writer.write(data.data(), data.size());
  writer.finish();
  const std::string file = read_file(path);
  EXPECT_EQ(parse(file).size(), 2u);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_THROW(parse(file.substr(0, size)), Error) << size;
  }
}

TEST(Safetensors, WritesTheSameBytesAsTheReference) {
  TemporaryDirectory directory;
  const std::string path = directory / "a.safetensors";
  SafetensorsWriter writer(path, {{"b", DType::f32, {1, 2}}, {"a", DType::bf16, {1}}});
  const float b[] = {1.0f, -2.0f};
  const bf16 a(0.5f);
  writer.write(b, 4);
  writer.write(b + 1, 4);
  writer.write(&a, 2);
  writer.finish();
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]}})";
  std::string expected = with_header(header + std::string((8 - header.size() % 8) % 8, ' '), 0);
  expected += std::string("\0\0\x80\x3f\0\0\0\xc0\0\x3f", 10);
  EXPECT_EQ(read_file(path), expected);
  EXPECT_EQ((expected.size() - 10) % 8, 0u);

  const SafetensorsFile file(path);
  ASSERT_TRUE(file.find("a"));
  EXPECT_EQ(std::memcmp(file.find("b")->data, b, 8), 0);
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(Safetensors, ConvertsBetweenDtypes) {
  // Three bytes of padding put the data at an odd address.
  alignas(8) std::byte memory[3 + 4 * 4];
  const auto tensor = [&](DType dtype, const void* values, int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * size_of(dtype);
    std::memcpy(memory + 3, values, bytes);
    return SafetensorsTensor{"t", dtype, {count}, memory + 3, bytes};
  };
  const float singles[] = {1.0f, -0.1f, 3e38f, 0x1.01p0f};
  float out[4];
  bf16 rounded[4];
  convert_elements(tensor(DType::f32, singles, 4), 1, 3, DType::f32, out);
  EXPECT_EQ(std::memcmp(out, singles + 1, 12), 0);
  convert_elements(tensor(DType::f32, singles, 4), 0, 4, DType::bf16, rounded);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(rounded[i].bits, bf16(singles[i]).bits);
  convert_elements(tensor(DType::bf16, rounded, 4), 0, 4, DType::f32, out);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], static_cast<float>(rounded[i]));
  const uint16_t halves[] = {0x3c00, 0xc000, 0x0001, 0x7bff};  // 1, -2, 2^-24, 65504
  convert_elements(tensor(DType::f16, halves, 4), 0, 4, DType::f32, out);
  EXPECT_EQ(out[0], 1.0f);
  EXPECT_EQ(out[1], -2.0f);
  EXPECT_EQ(out[2], 0x1p-24f);
  EXPECT_EQ(out[3], 65504.0f);
  convert_elements(tensor(DType::f16, halves, 4), 1, 1, DType::bf16, rounded);
  EXPECT_EQ(static_cast<float>(rounded[0]), -2.0f);
}

}  // namespace
}  // namespace cria
