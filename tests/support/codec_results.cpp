// The codec without Python: runs the engines on a case that codec_cases.py wrote. scripts/test-codec-aarch64 builds it
// for two machines.
//
// codec_results CASE             writes a line for each payload: its name, and its bytes in hexadecimal digits
// codec_results CASE RESULTS     decodes such lines; exits with 1 if one decodes to other bytes than the case's
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>

#include "coding/coders.h"
#include "coding/sessions.h"

using namespace charloom;
using Bytes = std::vector<uint8_t>;

namespace {

// Fields in sequence: a length of 8 bytes, little-endian, then as many bytes, aligned to a multiple of 8.
class Case {
 public:
  explicit Case(const char *path) : file_(path, std::ios::binary) {
    if (!file_) throw std::runtime_error(std::string("cannot read ") + path);
  }
  const Bytes &field() {
    uint8_t length[8];
    file_.read((char *)length, 8);
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) size = size << 8 | length[i];
    if (!file_ || size > 1u << 30) throw std::runtime_error("the case ends too early");
    fields_.push_back(std::make_unique<Bytes>(size));
    file_.read((char *)fields_.back()->data(), (std::streamsize)size);
    if (!file_) throw std::runtime_error("the case ends too early");
    return *fields_.back();
  }
  template <class Number>
  const Number *array() {
    return (const Number *)field().data();
  }
  int32_t number() {
    int32_t n;
    memcpy(&n, field().data(), sizeof n);
    return n;
  }
  IntegerMatrix matrix() {
    IntegerMatrix m{};
    m.weights = array<int8_t>();
    m.multipliers = array<int16_t>();
    m.first_shift = number();
    m.second_shift = number();
    return m;
  }
  std::vector<Bytes> list() {
    std::vector<Bytes> items(number());
    for (Bytes &item : items) item = field();
    return items;
  }

 private:
  std::ifstream file_;
  std::vector<std::unique_ptr<Bytes>> fields_;  // kept: arrays are used in place
};

struct Engines {
  explicit Engines(Case &c, const std::string &name) {
    IntegerWeights weights{};
    weights.cell = (CellKind)c.number();
    std::vector<IntegerLayer> layers(weights.layers = c.number());
    weights.hidden = c.number();
    weights.vocabulary = c.number();
    weights.start_token = c.number();
    weights.token_table = c.array<int16_t>();
    for (IntegerLayer &layer : layers) {
      layer.hidden = c.matrix();
      layer.input = c.matrix();
      layer.bias = c.array<int32_t>();
      layer.candidate_bias = c.array<int32_t>();
    }
    weights.layer = layers.data();
    weights.output = c.matrix();
    weights.output_bias = c.array<int32_t>();
    weights.tanh = c.array<int16_t>();
    weights.exp2 = c.array<int16_t>();
    const uint8_t *token_bytes = c.array<uint8_t>();
    network = std::make_unique<Network>(name, weights, token_bytes, c.array<int32_t>());
    full_bits = c.number();
    light_bits = c.number();
    segment = c.number();
    record_capacity = c.number();
    text = c.field();
    silent = c.number();
    version = c.number();
    const int16_t *inputs = c.array<int16_t>();
    const int32_t *rows = c.array<int32_t>();
    const int16_t *output = c.array<int16_t>();
    const int32_t output_bias = c.number();
    corrector = std::make_unique<Corrector>(inputs, rows, output, output_bias, c.array<int16_t>());
  }

  std::unique_ptr<Primed> primed(bool records) const {
    return prime(*network, rules_of(version), corrector.get(), full_bits, light_bits, text.data(), text.size(), silent,
                 records);
  }

  std::unique_ptr<Network> network;
  std::unique_ptr<Corrector> corrector;
  int full_bits, light_bits, version;
  size_t segment, record_capacity, silent;
  Bytes text;
};

class Results {
 public:
  void add(const std::string &name, const Payload &payload) {
    static const char *digits = "0123456789abcdef";
    std::cout << name << ' ';
    for (uint8_t byte : payload) std::cout << digits[byte >> 4] << digits[byte & 15];
    std::cout << '\n';
  }
  void read(const char *path) {
    std::ifstream file(path);
    for (std::string name, hex, line; std::getline(file, line);) {
      name = line.substr(0, line.find(' '));
      hex = line.substr(line.find(' ') + 1);
      for (size_t i = 0; i + 1 < hex.size(); i += 2)
        found_[name].push_back((uint8_t)std::stoi(hex.substr(i, 2), nullptr, 16));
      found_[name];
    }
  }
  const Payload &of(const std::string &name) const { return found_.at(name); }

 private:
  std::map<std::string, Payload> found_;
};

template <class Coder>
void code(const std::string &name, const std::vector<Bytes> &of, Results &results, bool decoding, Coder &session) {
  for (size_t i = 0; i < of.size(); i++) {
    const std::string number = name + "." + std::to_string(i);
    if (!decoding) {
      results.add(number, session.encode(of[i].data(), of[i].size()));
      continue;
    }
    const Payload &payload = results.of(number);
    if (session.decode(payload.data(), payload.size(), of[i].size()) != of[i])
      throw std::runtime_error(number + " decodes to something else");
  }
}

void run(const char *path, const char *decode) {
  Results results;
  if (decode) results.read(decode);
  for (const CodecKernels *set : supported_codec_kernels()) {
    Case c(path);
    const Engines engines(c, set->name);
    const std::vector<Bytes> data = c.list(), messages = c.list();
    const Network &network = *engines.network;
    const Corrector *corrector = engines.corrector.get();
    // The names are equal for every instruction set, as the results must be.
    for (long lanes : {1, 4, 16, 64}) {
      Session<FastLanes> session(lanes, network);
      code("fast." + std::to_string(lanes), data, results, decode, session);
    }
    RecordSession<FastLanes> fast_records(network);
    code("fast.record", messages, results, decode, fast_records);
    const auto primed = engines.primed(false), by_lines = engines.primed(true);
    for (long lanes : {1, 4, 16, 64}) {
      Session<MixingLanes> session(lanes, network, rules_of(engines.version), corrector, *primed, (size_t)1 << 22,
                                   (engines.segment + lanes - 1) / lanes);
      code("mixing." + std::to_string(lanes), data, results, decode, session);
    }
    RecordSession<MixingLanes> mixing_records(network, rules_of(engines.version), corrector, *by_lines, SIZE_MAX,
                                              engines.record_capacity);
    code("mixing.record", messages, results, decode, mixing_records);
  }
}

}  // namespace

int main(int count, char **arguments) {
  try {
    if (count < 2 || count > 3) throw std::runtime_error("codec_results CASE [RESULTS]");
    run(arguments[1], count == 3 ? arguments[2] : nullptr);
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
