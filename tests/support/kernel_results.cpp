// Runs the kernels on generated inputs and prints every result, one array per line: its name, its numbers.
// scripts/test-aarch64 builds it twice and compares. The inputs are small multiples of a power of two, the same on
// every machine.
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "supported_kernels.h"

using namespace charloom;

namespace {

const Kernels &kernels = *supported_kernels().front();

using Array = std::vector<float>;

uint64_t state = 1;

double uniform() {  // [0, 1), of 12 bits
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 52) / 4096;
}

Array random(long size, float scale = 0.5f) {
  Array array(size);
  for (float &value : array) value = scale * (float)(2 * uniform() - 1);
  return array;
}

void print(const std::string &name, const Array &array) {
  std::printf("%s", name.c_str());
  for (float value : array) std::printf(" %.9g", value);
  std::printf("\n");
}

class Memory {  // aligned as the kernels require
 public:
  explicit Memory(size_t size) : block_(::operator new[](size + 64, std::align_val_t(64))) {}
  ~Memory() { ::operator delete[](block_, std::align_val_t(64)); }
  void *get() const { return block_; }

 private:
  void *block_;
};

long gates(CellKind cell) { return cell == CellKind::lstm ? 4 : cell == CellKind::gru ? 3 : 1; }

// The parameters of one layer, and their gradients.
struct Layer {
  Array values[4], slopes[4];
  Layer(CellKind cell, long inputs, long hidden) {
    const long rows = gates(cell) * hidden, sizes[] = {rows * inputs, rows * hidden, rows, rows};
    for (int i = 0; i < 4; i++) values[i] = random(sizes[i], 0.3f), slopes[i] = Array(sizes[i]);
  }
  LayerWeights weights() const { return {values[0].data(), values[1].data(), values[2].data(), values[3].data()}; }
  LayerGradients gradients() { return {slopes[0].data(), slopes[1].data(), slopes[2].data(), slopes[3].data()}; }
  void print_gradients(const std::string &name) const {
    for (int i = 0; i < 4; i++) print(name + ".d_parameter" + std::to_string(i), slopes[i]);
  }
};

void run_layer(CellKind cell, Precision precision, long steps, long batch, long inputs, long hidden, bool backwards) {
  const std::string name = std::string(precision == Precision::float32 ? "float32" : "bfloat16") + ".layer." +
                           kCells[(int)cell].name + "." + std::to_string(hidden);
  Layer layer(cell, inputs, hidden);
  const Array x = random(steps * batch * inputs), h = random(batch * hidden, 1.f), c = random(batch * hidden, 1.f);
  Array y = random(steps * batch * hidden, 1.f), last_h(h), last_c(c);
  double off_cpu_seconds = 0;
  LayerCall call{};
  call.cell = cell, call.precision = precision, call.backward_in_time = backwards,
  call.off_cpu_seconds = &off_cpu_seconds;
  call.steps = steps, call.batch = batch, call.inputs = inputs, call.hidden = hidden, call.threads = 2;
  call.weights = layer.weights(), call.gradients = layer.gradients();
  call.x = x.data(), call.first_hidden = h.data(), call.first_cell = c.data();
  call.y = y.data(), call.y_stride = hidden, call.last_hidden = last_h.data(), call.last_cell = last_c.data();
  const Memory reserve(kernels.reserve_bytes(call)), forward(kernels.layer_forward(call, nullptr));
  call.reserve = reserve.get();
  kernels.layer_forward(call, forward.get());
  print(name + ".y", y);
  print(name + ".last_hidden", last_h);
  if (cell == CellKind::lstm) print(name + ".last_cell", last_c);

  const Array dy = random(steps * batch * hidden, 1.f), dh = random(batch * hidden, 1.f),
              dc = random(batch * hidden, 1.f);
  Array dx(x), d_first_h(h), d_first_c(c);
  call.dy = dy.data(), call.d_last_hidden = dh.data(), call.d_last_cell = dc.data();
  call.dx = dx.data(), call.d_first_hidden = d_first_h.data(), call.d_first_cell = d_first_c.data();
  const Memory backward(kernels.layer_backward(call, nullptr));
  kernels.layer_backward(call, backward.get());
  print(name + ".dx", dx);
  print(name + ".d_first_hidden", d_first_h);
  if (cell == CellKind::lstm) print(name + ".d_first_cell", d_first_c);
  layer.print_gradients(name);
}

void run_language_model(CellKind cell, Precision precision, long embedding_size) {
  constexpr long steps = 6, batch = 5, hidden = 21, layers = 2, vocabulary = 19;
  const std::string name = std::string(precision == Precision::float32 ? "float32" : "bfloat16") + ".model." +
                           kCells[(int)cell].name + "." + std::to_string(embedding_size);
  Layer parts[layers] = {Layer(cell, embedding_size ? embedding_size : vocabulary, hidden),
                         Layer(cell, hidden, hidden)};
  const LayerWeights weights[] = {parts[0].weights(), parts[1].weights()};
  const LayerGradients gradients[] = {parts[0].gradients(), parts[1].gradients()};
  std::vector<int64_t> ids(2 * steps * batch);
  for (int64_t &id : ids) id = (int64_t)(uniform() * vocabulary);
  const Array embedding = random(vocabulary * embedding_size), output = random(vocabulary * hidden),
              output_bias = random(vocabulary), h = random(layers * batch * hidden),
              c = random(layers * batch * hidden);
  Array last_h(h), last_c(c), d_embedding(embedding), d_output(output), d_output_bias(output_bias);
  double off_cpu_seconds = 0;
  float loss = 0;
  LanguageModelCall call{};
  call.cell = cell, call.precision = precision, call.off_cpu_seconds = &off_cpu_seconds, call.loss = &loss,
  call.threads = 2;
  call.steps = steps, call.batch = batch, call.hidden = hidden, call.layers = layers, call.vocabulary = vocabulary;
  call.embedding_size = embedding_size, call.dropout = 0.2f, call.layer_dropout = 0.1f, call.seed = 7;
  call.ids = ids.data(), call.targets = ids.data() + steps * batch;
  call.embedding = embedding_size ? embedding.data() : nullptr, call.weights = weights;
  call.output = output.data(), call.output_bias = output_bias.data();
  call.first_hidden = h.data(), call.first_cell = c.data(), call.last_hidden = last_h.data();
  call.last_cell = last_c.data(), call.d_embedding = embedding_size ? d_embedding.data() : nullptr;
  call.gradients = gradients, call.d_output = d_output.data(), call.d_output_bias = d_output_bias.data();
  const Memory workspace(kernels.language_model_step(call, nullptr));
  kernels.language_model_step(call, workspace.get());
  print(name + ".loss", {loss});
  print(name + ".last_hidden", last_h);
  if (embedding_size) print(name + ".d_embedding", d_embedding);
  print(name + ".d_output", d_output);
  print(name + ".d_output_bias", d_output_bias);
  for (const Layer &part : parts) part.print_gradients(name + "." + std::to_string(&part - parts));
}

void run_generation(CellKind cell, bool int8, bool greedy) {
  constexpr long samples = 3, steps = 12, hidden = 40, vocabulary = 23;
  const std::string name =
      std::string(int8 ? "int8" : "float32") + (greedy ? ".greedy." : ".sampled.") + kCells[(int)cell].name;
  Layer layer(cell, vocabulary, hidden);
  const LayerWeights weights[] = {layer.weights()};
  const Array output = random(vocabulary * hidden), output_bias = random(vocabulary);
  Array logits = random(samples * vocabulary), h = random(samples * hidden), c = random(samples * hidden);
  std::vector<double> draws(samples * steps);
  for (double &draw : draws) draw = uniform();
  std::vector<int64_t> ids(samples * steps);
  GenerationModel model{};
  model.cell = cell, model.int8 = int8, model.hidden = hidden, model.layers = 1, model.vocabulary = vocabulary;
  model.weights = weights, model.output = output.data();
  model.output_bias = output_bias.data();
  const Memory packed(kernels.pack_for_generation(model, nullptr));
  kernels.pack_for_generation(model, packed.get());
  GenerationRun run{};
  run.samples = samples, run.steps = steps, run.sampling = {greedy, greedy ? 0 : 1.25, 5, 0.9, 0};
  run.draws = draws.data(), run.logits = logits.data(), run.first_hidden = h.data(), run.first_cell = c.data();
  run.ids = ids.data();
  const Memory workspace(kernels.generate(model, nullptr, run, nullptr));
  kernels.generate(model, packed.get(), run, workspace.get());
  print(name + ".ids", Array(ids.begin(), ids.end()));
  print(name + ".logits", logits);
  print(name + ".hidden", h);
}

}  // namespace

int main() {
  for (const auto &[name, cell, gates] : kCells) {
    for (Precision precision : {Precision::float32, Precision::bfloat16}) {
      run_layer(cell, precision, 5, 1, 3, 1, false);
      run_layer(cell, precision, 7, 13, 9, 33, true);
      run_layer(cell, precision, 9, 6, 40, 64, false);
      run_language_model(cell, precision, 0);
      run_language_model(cell, precision, 10);
    }
    for (bool greedy : {true, false}) {
      run_generation(cell, false, greedy);
      if (cell != CellKind::rnn_relu) run_generation(cell, true, greedy);
    }
  }
}
