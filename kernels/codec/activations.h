// Activations and weights as an instruction set multiplies them: pairs of 16-bit numbers, or planes of bytes.
#pragma once
#if defined(__AVX512VNNI__)
#include "byte_planes.h"
#else
#include "word_pairs.h"
#endif
