// The kernels of one instruction set: this file is compiled once for each, under its own name and flags.
#include "descent.h"
#include "generate.h"
#include "language_model_step.h"

#define CHARLOOM_TEXT_OF(name) #name
#define CHARLOOM_TEXT(name) CHARLOOM_TEXT_OF(name)

namespace charloom {
namespace {

size_t reserve_bytes(const LayerCall &call) {
  return for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    Arena arena(nullptr);
    take_reserve<decltype(cell), decltype(number)>(arena, call, true);
    return arena.used();
  });
}

size_t layer_workspace(const LayerCall &call, bool backward) {
  return for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    using C = decltype(cell);
    using N = decltype(number);
    return backward ? run_layer_backward<C, N>(call, nullptr) : run_layer_forward<C, N>(call, nullptr);
  });
}

void layer_forward(const LayerCall &call, void *workspace) {
  for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    return run_layer_forward<decltype(cell), decltype(number)>(call, workspace);
  });
}

void layer_backward(const LayerCall &call, void *workspace) {
  for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    return run_layer_backward<decltype(cell), decltype(number)>(call, workspace);
  });
}

size_t language_model_workspace(const LanguageModelCall &call) {
  return for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    return run_language_model<decltype(cell), decltype(number)>(call, nullptr);
  });
}

void language_model_step(const LanguageModelCall &call, void *workspace) {
  for_cell(call.cell, call.precision, [&](auto cell, auto number) {
    return run_language_model<decltype(cell), decltype(number)>(call, workspace);
  });
}

// Calls work with a Generator on this memory, of the model's cell and numbers.
template <class Work>
size_t with_generator(const GenerationModel &model, void *packed, Work work) {
  return for_cell(model.cell, Precision::float32, [&](auto cell, auto) {
    if (model.int8) {
      Generator<decltype(cell), int8_t> generator(model, packed);
      return work(generator);
    }
    Generator<decltype(cell), float> generator(model, packed);
    return work(generator);
  });
}

size_t generation_size(const GenerationModel &model) {
  return with_generator(model, nullptr, [](auto &generator) { return generator.packed_size(); });
}

void pack_for_generation(const GenerationModel &model, void *packed) {
  with_generator(model, packed, [](auto &generator) {
    generator.pack();
    return generator.packed_size();
  });
}

size_t generate(const GenerationModel &model, void *packed, const GenerationRun &run, void *workspace) {
  return with_generator(model, packed, [&](auto &generator) { return generator.run(run, workspace); });
}

size_t descend(const DescentCall &call, void *workspace) { return run_descent(call, workspace); }

}  // namespace

extern const Kernels CHARLOOM_VARIANT;
const Kernels CHARLOOM_VARIANT = {CHARLOOM_TEXT(CHARLOOM_VARIANT),
                                  reserve_bytes,
                                  layer_workspace,
                                  layer_forward,
                                  layer_backward,
                                  language_model_workspace,
                                  language_model_step,
                                  generation_size,
                                  pack_for_generation,
                                  generate,
                                  descend};

}  // namespace charloom
