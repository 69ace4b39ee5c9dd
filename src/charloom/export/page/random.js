// The random streams of charloom: NumPy's SeedSequence and Philox4x64-10, so that a seed gives the same text in both.
// Sources: numpy/random/bit_generator.pyx; Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.

// Returns the key of the stream that SeedSequence(seed, spawn_key=(0,)) seeds, as two 64-bit integers.
function makeKey(seed) {
  const POOL = 4;
  const words = [];
  for (let rest = BigInt(seed); rest > 0n || !words.length; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  // With a spawn key, the entropy is padded to the size of the pool.
  while (words.length < POOL) words.push(0);
  words.push(0); // the spawn key: the first sequence
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const result = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) >>> 0;
    return (result ^ (result >>> 16)) >>> 0;
  };
  const pool = words.slice(0, POOL).map(hash);
  for (let from = 0; from < POOL; from++)
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const word of words.slice(POOL)) for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(word));
  let factor = 0x8b51f9dd;
  const state = pool.map((value) => {
    value = (value ^ factor) >>> 0;
    factor = Math.imul(factor, 0x58f38ded) >>> 0;
    value = Math.imul(value, factor) >>> 0;
    return BigInt((value ^ (value >>> 16)) >>> 0);
  });
  return [state[0] | (state[1] << 32n), state[2] | (state[3] << 32n)];
}

const MASK = 0xffffffffffffffffn;

function philox(counter, key) {
  let [a, b, c, d] = counter, [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    if (round) {
      k0 = (k0 + 0x9e3779b97f4a7c15n) & MASK;
      k1 = (k1 + 0xbb67ae8584caa73bn) & MASK;
    }
    const left = a * 0xd2e7470ee14c6c93n, right = c * 0xca5a826395121157n;
    [a, b, c, d] = [(right >> 64n) ^ b ^ k0, right & MASK, (left >> 64n) ^ d ^ k1, left & MASK];
  }
  return [a, b, c, d];
}

// A stream of random numbers, uniform in [0, 1).
export class RandomStream {
  // seed: a nonnegative integer, as a BigInt or a string of digits.
  constructor(seed) {
    this.key = makeKey(seed);
    this.counter = 0n;
    this.numbers = [];
  }

  next() {
    if (!this.numbers.length) {
      this.counter += 1n; // NumPy increments before each block
      this.numbers = philox([this.counter, 0n, 0n, 0n], this.key);
    }
    return Number(this.numbers.shift() >> 11n) / 2 ** 53;
  }
}
