// The tensors in the page: base-93 text of a compressed file, see docs/how-to/html.md.

const DIGITS = 93; // characters from "!" to "~" without "<": two of them are 13 bits

// Returns the bytes of a base-93 text; line breaks are ignored.
export function decodeBase93(text) {
  const bytes = new Uint8Array(Math.floor((text.length / 2) * 13 / 8));
  let used = 0, bits = 0, count = 0, first = -1;
  for (let i = 0; i < text.length; i++) {
    let digit = text.charCodeAt(i) - 33;
    if (digit < 0) continue;
    if (digit > 27) digit--; // "<"
    if (first < 0) {
      first = digit;
      continue;
    }
    bits |= (first * DIGITS + digit) << count;
    first = -1;
    for (count += 13; count >= 8; count -= 8, bits >>>= 8) bytes[used++] = bits & 255;
  }
  return bytes.subarray(0, used);
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Puts the bytes of numbers together: the file has the first bytes of all numbers, then the second bytes, and so on.
function joinPlanes(bytes, size) {
  const count = bytes.length / size, joined = new Uint8Array(bytes.length);
  for (let plane = 0, at = 0; plane < size; plane++)
    for (let i = 0; i < count; i++) joined[i * size + plane] = bytes[at++];
  return joined;
}

function fromFloat16(half) {
  const exponent = (half >> 10) & 31, fraction = half & 1023, sign = half >> 15 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const READERS = {
  float32: (bytes) => new Float32Array(joinPlanes(bytes, 4).buffer),
  float16: (bytes) => Float32Array.from(new Uint16Array(joinPlanes(bytes, 2).buffer), fromFloat16),
  int8: (bytes, rows) => { // a scale for each row, then the rows
    const scales = new Float32Array(bytes.slice(0, 4 * rows).buffer);
    const values = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * rows, bytes.length - 4 * rows);
    const columns = values.length / rows, floats = new Float32Array(values.length);
    for (let r = 0, at = 0; r < rows; r++)
      for (let k = 0; k < columns; k++, at++) floats[at] = values[at] * scales[r];
    return floats;
  },
};

// Returns a function that reads a tensor by its name; null for one that the model does not have.
// tensors: name, type, number of rows and of bytes of each, in the order of the file.
// numBytes: size of the compressed file. The text may have a byte more, since its digits stand for 13 bits.
export async function openWeights(text, numBytes, tensors) {
  const bytes = await inflate(decodeBase93(text).subarray(0, numBytes));
  const places = new Map();
  let at = 0;
  for (const tensor of tensors) {
    places.set(tensor.name, { ...tensor, at });
    at += tensor.bytes;
  }
  if (at !== bytes.length) throw new Error("the weights in this file are incomplete: get the file again");
  return (name) => {
    const tensor = places.get(name);
    if (!tensor) return null;
    return READERS[tensor.type](bytes.subarray(tensor.at, tensor.at + tensor.bytes), tensor.rows);
  };
}
