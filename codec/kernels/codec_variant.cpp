// The codec's kernels of one instruction set. CMakeLists.txt compiles this file once for each, with other flags and
// another name in CHARLOOM_VARIANT.
#include "mixing/adaptation.h"
#include "mixing/feed_forward.h"
#include "mixing/mixer.h"
#include "network/network_step.h"

#define CHARLOOM_TEXT_OF(name) #name
#define CHARLOOM_TEXT(name) CHARLOOM_TEXT_OF(name)

namespace charloom {
namespace {

template <class Cell>
constexpr NetworkFunctions kNetwork = {PackedNetwork<Cell>::pack, PackedNetwork<Cell>::start,
                                       PackedNetwork<Cell>::step};

}  // namespace

extern const CodecKernels CHARLOOM_VARIANT;
const CodecKernels CHARLOOM_VARIANT = {
    CHARLOOM_TEXT(CHARLOOM_VARIANT),
    {kNetwork<RnnTanhCell>, kNetwork<RnnReluCell>, kNetwork<GruCell>, kNetwork<LstmCell>},
    mix,
    train,
    adapt,
    correct};

}  // namespace charloom
