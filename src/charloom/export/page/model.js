// A language model: text to tokens and back, generation, and the surprisal of a text, with the results of charloom.
import { Network } from "./network.js";
import { RandomStream } from "./random.js";
import { openWeights } from "./weights.js";

const PAUSE_AFTER = 12; // milliseconds of computation after which the page may respond to its user

// What Python's \s matches, except the space.
const WHITESPACE = /[\t-\r\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g;

class Vocabulary {
  constructor({ unit, characters, clean_up }) {
    Object.assign(this, { unit, characters, cleanUp: clean_up });
    this.size = unit === "byte" ? 256 : characters.length + 1;
    this.forbidden = unit === "byte" ? -1 : 0; // <unk>, which is never generated
    if (unit === "char") this.ids = new Map(characters.map((character, i) => [character, i + 1]));
  }

  normalize(text) {
    if (this.cleanUp.lowercase) {
      if (this.unit === "byte") text = text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
      else text = text.replaceAll("Σ", "σ").toLowerCase();
    }
    if (this.cleanUp.collapse_whitespace)
      text = text.replace(this.unit === "byte" ? /[\t-\r]/g : WHITESPACE, " ").replace(/ {2,}/g, " ");
    return text;
  }

  // Returns the tokens of a text, 0 for characters out of vocabulary.
  encode(text) {
    const normalized = this.normalize(text);
    if (this.unit === "byte") return [...new TextEncoder().encode(normalized)];
    return Array.from(normalized, (character) => this.ids.get(character) ?? 0);
  }

  // Returns the distinct characters of a text that are out of vocabulary.
  findUnknown(text) {
    if (this.unit === "byte") return [];
    return [...new Set(Array.from(this.normalize(text)).filter((character) => !this.ids.has(character)))];
  }

  // Returns a function from a token to its text; bytes that do not yet form a character give an empty text. At the end,
  // it is called without a token.
  makeDecoder() {
    if (this.unit === "char") return (token) => (token === undefined ? "" : this.describe(token));
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return (token) => (token === undefined ? decoder.decode() : decoder.decode(Uint8Array.of(token), { stream: true }));
  }

  // Returns a name for a token in a list.
  describe(token) {
    if (this.unit === "char") return token ? this.characters[token - 1] : "<unk>";
    return token >= 32 && token < 127 ? String.fromCharCode(token) : `0x${token.toString(16).padStart(2, "0")}`;
  }
}

// Returns the probabilities of the tokens in float64, with the temperature and truncation of the sampling settings.
function computeProbabilities(logits, forbidden, { temperature = 1, topK = null, topP = null }) {
  const scores = Array.from(logits, (logit, token) => (token === forbidden ? -Infinity : logit));
  const largest = Math.max(...scores);
  const exponent = 1 / temperature;
  const weights = scores.map((score) => Math.exp((score - largest) * exponent));
  if (topK !== null || topP !== null) {
    const order = scores.map((_, token) => token).sort((a, b) => scores[b] - scores[a]); // stable
    const kept = order.slice(0, topK ?? order.length);
    const total = kept.reduce((sum, token) => sum + weights[token], 0);
    let before = 0;
    const chosen = new Set(kept.filter((token) => {
      const isKept = topP === null || before < topP || before === 0; // the first always stays
      before += weights[token] / total;
      return isKept;
    }));
    weights.forEach((_, token) => { if (!chosen.has(token)) weights[token] = 0; });
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function choose(logits, forbidden, sampling, random) {
  if (!Number.isFinite(1 / sampling.temperature)) { // 0, or so small that the exponent is infinite
    let best = -1;
    logits.forEach((logit, token) => { if (token !== forbidden && (best < 0 || logit > logits[best])) best = token; });
    return best;
  }
  const target = random.next();
  let below = 0, chosen = -1;
  for (const [token, p] of computeProbabilities(logits, forbidden, sampling).entries()) {
    if (!p) continue;
    chosen = token;
    below += p;
    if (target < below) break;
  }
  return chosen;
}

// Lets the page respond to its user. Not setTimeout, which waits for 4 ms, and for a second in a hidden tab.
function yieldToPage() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

function makePause() {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < PAUSE_AFTER) return;
    await yieldToPage();
    last = performance.now();
  };
}

export class Model {
  // description: what charloom knows of the model, see html.py. weights: text of its tensors.
  static async create(description, weights, wasmBytes) {
    const vocabulary = new Vocabulary(description.vocabulary);
    const shape = { ...description.shape, vocabulary: vocabulary.size };
    const read = await openWeights(weights, description.bytes, description.tensors);
    const network = await Network.create(shape, read, wasmBytes);
    return new Model(description, vocabulary, network);
  }

  constructor(description, vocabulary, network) {
    Object.assign(this, { description, vocabulary, network });
  }

  // Yields the new text after a prompt, in parts. Characters of the prompt that are out of vocabulary are skipped.
  async *generate(prompt, { numChars, stop = "", seed, ...sampling }, isStopped = () => false) {
    const { vocabulary, network } = this;
    const ids = vocabulary.encode(prompt).filter((token) => token !== vocabulary.forbidden);
    if (!ids.length) throw new Error("Write a prompt: at least one character that the model knows.");
    const state = network.beginState(), pause = makePause();
    let logits;
    for (const token of ids) {
      if (isStopped()) return;
      logits = network.step(token, state);
      await pause();
    }
    const random = new RandomStream(seed), decode = vocabulary.makeDecoder();
    let held = "";
    for (let i = 0; i <= numChars && !isStopped(); i++) {
      const token = i < numChars ? choose(logits, vocabulary.forbidden, sampling, random) : undefined;
      held += decode(token);
      const end = stop ? held.indexOf(stop) : -1;
      if (end >= 0) {
        if (end) yield held.slice(0, end);
        return;
      }
      // Text that may be the start of the stop text waits.
      let matched = Math.min(stop.length - 1, held.length);
      while (matched > 0 && !held.endsWith(stop.slice(0, matched))) matched--;
      if (held.length > Math.max(0, matched)) yield held.slice(0, held.length - Math.max(0, matched));
      held = matched > 0 ? held.slice(held.length - matched) : "";
      if (i + 1 < numChars) logits = network.step(token, state); // the last token need not be read
      await pause();
    }
    if (held) yield held;
  }

  // Returns the surprisal of each character in bits, null for the first one, which nothing precedes; and, for each, the
  // most likely characters before it was read.
  async score(text, numExpected = 5, isStopped = () => false) {
    const { vocabulary, network } = this;
    const ids = vocabulary.encode(text), state = network.beginState(), pause = makePause();
    const decode = vocabulary.makeDecoder(), characters = [];
    const read = vocabulary.unit === "char" ? Array.from(vocabulary.normalize(text)) : null;
    let part = null, probabilities = null;
    for (const [place, token] of ids.entries()) {
      if (isStopped()) break;
      part ??= { text: "", bits: null, expected: probabilities ? this.rank(probabilities, numExpected) : [] };
      if (probabilities) part.bits = (part.bits ?? 0) - Math.log2(probabilities[token]);
      part.text += read ? read[place] : decode(token);
      if (part.text) { // a character of several bytes is complete
        characters.push(part);
        part = null;
      }
      probabilities = computeProbabilities(network.step(token, state), -1, {});
      await pause();
    }
    return characters;
  }

  // Returns the most likely next tokens after a text, or at its start, with their probabilities.
  async predict(text, count, isStopped = () => false) {
    const { vocabulary, network } = this;
    const state = network.beginState(), pause = makePause();
    let logits = null;
    for (const token of vocabulary.encode(text)) {
      if (isStopped()) return [];
      logits = network.step(token, state);
      await pause();
    }
    return logits ? this.rank(computeProbabilities(logits, -1, {}), count) : [];
  }

  rank(probabilities, count) {
    const order = probabilities.map((_, token) => token).sort((a, b) => probabilities[b] - probabilities[a]);
    return order.slice(0, count).map((token) => ({
      text: this.vocabulary.describe(token),
      probability: probabilities[token],
    }));
  }
}
