// Products of matrices and vectors in one block of memory: by WebAssembly with SIMD or, without it, by plain JavaScript.

const LANES = 16; // columns of a matrix are padded to a multiple of these

export const padded = (count) => Math.ceil(count / LANES) * LANES;

// An arena of float32 arrays, and the product on them. Arrays are allocated once, after all sizes are known.
export class Products {
  // numFloats: total size of all arrays, each rounded up to a multiple of LANES.
  static async create(numFloats, wasmBytes) {
    const numBytes = 4 * numFloats;
    try {
      const { instance } = await WebAssembly.instantiate(wasmBytes);
      const { memory, multiplyAdd } = instance.exports;
      memory.grow(Math.ceil(numBytes / 65536));
      return new Products(memory.buffer, multiplyAdd);
    } catch {
      return new Products(new ArrayBuffer(numBytes), null); // no WebAssembly, or none with SIMD
    }
  }

  constructor(buffer, multiplyAdd) {
    this.buffer = buffer;
    this.native = multiplyAdd;
    this.used = 0;
  }

  allocate(count) {
    const array = new Float32Array(this.buffer, this.used, count);
    this.used += 4 * padded(count);
    return array;
  }

  // result[r] += sum over k of weights[r * columns + k] * x[k]; columns is a multiple of LANES.
  multiplyAdd(weights, x, result, rows, columns) {
    if (this.native) {
      this.native(weights.byteOffset, x.byteOffset, result.byteOffset, rows, columns);
      return;
    }
    for (let r = 0, at = 0; r < rows; r++) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let k = 0; k < columns; k += 4, at += 4) {
        a += weights[at] * x[k];
        b += weights[at + 1] * x[k + 1];
        c += weights[at + 2] * x[k + 2];
        d += weights[at + 3] * x[k + 3];
      }
      result[r] += a + b + (c + d);
    }
  }
}
