// Names and numbers as the pages show them.
export const NAMES = { " ": "space", "\n": "line end", "\t": "tab", "\r": "carriage return" };
export const nameOf = (text) => NAMES[text] ?? text;
export const quote = (text) => NAMES[text] ?? `\u201c${text}\u201d`;
export const percent = (p) => `${(100 * p).toPrecision(p < 0.1 ? 2 : 3)}%`;
export const find = (id) => document.getElementById(id);

// Returns the note on the characters of a prompt that are out of vocabulary; empty if there are none.
export function describeUnknown(characters) {
  return characters.length ? `Not known to the model, and skipped: ${characters.map(quote).join(" ")}` : "";
}

export const MAX_SHOWN = 20_000; // characters of a shaded text

// Runs a function after the last of several calls, with a function that is true once another run has started.
export function afterPause(work, milliseconds = 250) {
  let timer, run = 0;
  return () => {
    clearTimeout(timer);
    const mine = ++run;
    timer = setTimeout(() => work(() => mine !== run), milliseconds);
  };
}

// Returns the start of a text, without half a character at its end, and a note if the text is longer.
export function cutText(text) {
  if (text.length <= MAX_SHOWN) return { start: text, note: "" };
  const note = ` Only the first ${MAX_SHOWN.toLocaleString("en")} of ${text.length.toLocaleString("en")} characters are read.`;
  return { start: text.slice(0, MAX_SHOWN).replace(/[\ud800-\udbff]$/, ""), note };
}

// Returns the mean surprisal of characters in bits, and how many have one; null if none has.
export function summarize(characters) {
  const scored = characters.filter(({ bits }) => bits !== null);
  if (!scored.length) return null;
  return { mean: scored.reduce((sum, { bits }) => sum + bits, 0) / scored.length, count: scored.length };
}

// Returns the surprisal of a character, and what the model expected.
export function describeCharacter({ text, bits, expected }) {
  const surprisal = bits === null ? "not scored: nothing precedes it" : `${bits.toFixed(2)} bits`;
  const likely = expected.map((one) => `${quote(one.text)} ${percent(one.probability)}`);
  return `${quote(text)}: ${surprisal}${likely.length ? `. Expected: ${likely.join(", ")}` : ""}`;
}
