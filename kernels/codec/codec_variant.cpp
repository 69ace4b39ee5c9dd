// The codec's kernels of one instruction set: this file is compiled once for each, under its own name and flags.
#include "codec/mixing/mixer.h"
#include "codec/network/network_step.h"

#define CHARLOOM_TEXT_OF(name) #name
#define CHARLOOM_TEXT(name) CHARLOOM_TEXT_OF(name)

namespace charloom {
namespace {

template <class Cell>
constexpr NetworkFunctions kNetwork = {PackedNetwork<Cell>::pack, PackedNetwork<Cell>::begin,
                                       PackedNetwork<Cell>::step};

}  // namespace

extern const CodecKernels CHARLOOM_VARIANT;
const CodecKernels CHARLOOM_VARIANT = {
    CHARLOOM_TEXT(CHARLOOM_VARIANT),
    {kNetwork<RnnTanhCell>, kNetwork<RnnReluCell>, kNetwork<GruCell>, kNetwork<LstmCell>},
    mix,
    learn};

}  // namespace charloom
