// The kernels of one instruction set. CMakeLists.txt compiles this file once for each, with other flags and another
// name in CHARLOOM_VARIANT.
#include "language_model/descent.h"
#include "language_model/generate.h"
#include "language_model/language_model_step.h"
#include "language_model/logits.h"
#include "layer/inference.h"

#define CHARLOOM_TEXT_OF(name) #name
#define CHARLOOM_TEXT(name) CHARLOOM_TEXT_OF(name)

namespace charloom {
namespace {

// Calls work(Cell{}, Number{}) with the types of the call's cell and precision.
template <class Call, class Work>
size_t for_call(const Call &call, Work work) {
  return call.precision == Precision::bfloat16 ? for_cell(call.cell, bfloat16{}, work)
                                               : for_cell(call.cell, float{}, work);
}
template <class Work>
size_t for_inference_call(const LayerCall &call, Work work) {
  return call.precision == Precision::int8 ? for_cell(call.cell, int8_t{}, work) : for_call(call, work);
}
// The same for a model to generate from.
template <class Work>
size_t for_model(const GenerationModel &model, Work work) {
  return model.int8 ? for_cell(model.cell, int8_t{}, work) : for_cell(model.cell, float{}, work);
}

size_t layer_forward(const LayerCall &call, void *workspace) {
  if (call.reserve) return for_call(call, [&](auto... types) { return run_layer_forward(types..., call, workspace); });
  return for_inference_call(call, [&](auto... types) { return run_layer_inference(types..., call, workspace); });
}

size_t layer_backward(const LayerCall &call, void *workspace) {
  return for_call(call, [&](auto... types) { return run_layer_backward(types..., call, workspace); });
}

size_t pack_layer(const LayerCall &call, void *packed) {
  return for_inference_call(call, [&](auto... types) { return run_pack_layer(types..., call, packed); });
}

size_t reserve_bytes(const LayerCall &call) {
  return for_call(call, [&](auto... types) { return reserve_size(types..., call); });
}

size_t language_model_step(const LanguageModelCall &call, void *workspace) {
  return for_call(call, [&](auto... types) { return run_language_model(types..., call, workspace); });
}

size_t pack_for_generation(const GenerationModel &model, void *packed) {
  return for_model(model, [&](auto cell, auto number) {
    Generator<decltype(cell), decltype(number)> generator(model, packed);
    if (packed) generator.pack();
    return generator.packed_size();
  });
}

size_t generate(const GenerationModel &model, void *packed, const GenerationRun &run, void *workspace) {
  return for_model(model, [&](auto cell, auto number) {
    return Generator<decltype(cell), decltype(number)>(model, packed).run(run, workspace);
  });
}

}  // namespace

extern const Kernels CHARLOOM_VARIANT;
const Kernels CHARLOOM_VARIANT = {CHARLOOM_TEXT(CHARLOOM_VARIANT),
                                  layer_forward,
                                  layer_backward,
                                  pack_layer,
                                  language_model_step,
                                  pack_for_generation,
                                  generate,
                                  run_logits,
                                  run_descent,
                                  reserve_bytes};

}  // namespace charloom
