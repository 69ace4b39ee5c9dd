// Products of a few rows with a matrix in PyTorch's own layout, which is transposed in registers as it is read. For
// calls that read each weight once or twice: packing it first would cost more than it saves, and a packed copy that is
// kept between calls could differ from the weights.
//
// Sums run over k in ascending order from the result, as those of matmul.h: both give the same bits.
#pragma once
#include "products/packing.h"

namespace {

constexpr int kUnpackedRows = 4;  // rows of a micro-kernel: 4 x 2 sums beside a block of 16 vectors

template <int ROWS>
static void unpacked_micro_kernel(long depth, Left<float> left, const float *matrix, long columns, Result result) {
  Vector sum[ROWS][2];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < 2; v++) sum[r][v] = load(result.from(r, 0).data + v * kLanes);
  const long whole = columns >= kPanel ? depth / kLanes * kLanes : 0;
  ColumnAddresses half[2] = {{matrix, depth}, {matrix + kLanes * depth, depth}};
  for (const float *x = left.data, *end = x + whole; x < end; x += kLanes)
#pragma GCC unroll 2
    for (int v = 0; v < 2; v++) {
      Vector row[kLanes];
      load_transposed(half[v], row);
      half[v].advance(kLanes);
#pragma GCC unroll 16
      for (long i = 0; i < kLanes; i++)
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) sum[r][v] += x[r * left.row_stride + i] * row[i];
    }
  for (long k = whole; k < depth; k += kLanes)
    for (int v = 0; v < 2; v++) {
      Vector row[kLanes];
      load_transposed_edge(matrix + v * kLanes * depth + k, depth, columns - v * kLanes, depth - k, row);
      for (long i = 0; i < min(kLanes, depth - k); i++)
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) sum[r][v] += left.data[r * left.row_stride + k + i] * row[i];
    }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++)
    for (int v = 0; v < 2; v++) store(result.from(r, 0).data + v * kLanes, sum[r][v]);
}

// result(0, i) += left(i, :) times the transpose of `columns` rows of the matrix, at most kPanel, for up to
// kUnpackedRows rows. Columns of the result beyond them stay finite only if the left-hand side is.
static void multiply_unpacked(long rows, long depth, Left<float> left, const float *matrix, long columns,
                              Result result) {
  using MicroKernel = void (*)(long, Left<float>, const float *, long, Result);
  static constexpr MicroKernel kernels[kUnpackedRows] = {unpacked_micro_kernel<1>, unpacked_micro_kernel<2>,
                                                         unpacked_micro_kernel<3>, unpacked_micro_kernel<4>};
  kernels[rows - 1](depth, left, matrix, columns, result);
}

}  // namespace
