// Two models on the same prompt, and on the same text. The server computes.
import { afterPause, cutText, describeCharacter, describeUnknown, find, quote, summarize } from "./display.js";
import { linkTemperature, readCount, readNumber } from "./sampling.js";
import { ShadedText } from "./shading.js";

const SIDES = ["first", "second"];
const NUM_EXPECTED = 5;
const NUM_DIFFERENCES = 10;
const CONTEXT = 20; // characters before a difference in the table

const MAX_ATTEMPTS = 5;

class ModelReplaced extends Error {}

// Returns the response to a request. Throws an Error with the server's message, or ModelReplaced.
async function request(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) {
    const { message } = (await response.json()).error;
    throw response.status === 412 ? new ModelReplaced(message) : new Error(message);
  }
  return response;
}

// Calls a function with the server's description of a model, again if the model is replaced before it answers.
async function withDescription(model, signal, use) {
  for (let attempt = 1; ; attempt++) {
    const description = await (await request(`/v1/models/${encodeURIComponent(model)}`, { signal })).json();
    try {
      return await use(description);
    } catch (error) {
      if (!(error instanceof ModelReplaced) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

// Returns the response to a request with a body of JSON.
function post(address, body, signal, headers = {}) {
  return request(address, { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body, signal });
}

// Returns the response to a request for a completion by the model of a description.
function complete(fields, { id, system_fingerprint: fingerprint }, signal, seed = 0) {
  // A seed may have more than the 53 bits of a number in JavaScript.
  const body = JSON.stringify({ ...fields, model: id }).replace("{", `{"seed": ${BigInt(seed)}, `);
  return post("/v1/completions", body, signal, { "If-Match": `"${fingerprint}"` });
}

// Returns the distinct characters of a prompt that are out of the vocabulary of the model of a description.
async function findUnknown(prompt, { id: model }, signal) {
  return (await (await post("/tokenize", JSON.stringify({ model, prompt }), signal)).json()).unknown;
}

// Yields the text of a completion as it is generated.
async function* streamText(fields, description, signal, seed) {
  const response = await complete({ ...fields, stream: true }, description, signal, seed);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the server ended before the text was complete");
    const events = (held + value).split("\n\n");
    held = events.pop(); // incomplete
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const { error, choices } = JSON.parse(data);
      if (error) throw new Error(error.message);
      yield choices[0].text;
    }
  }
}

// Returns the characters of a text with their surprisal and the most likely ones, from the tokens of an answer.
function readCharacters(text, { tokens, token_logprobs: logprobs, top_logprobs: tops }) {
  const encoder = new TextEncoder(), decoder = new TextDecoder("utf-8", { ignoreBOM: true }), characters = [];
  const source = Array.from(text); // of which the answer has no unknown characters
  let part = null;
  for (const [place, token] of tokens.entries()) {
    const top = Object.entries(tops[place] ?? {}).sort((a, b) => b[1] - a[1]).slice(0, NUM_EXPECTED);
    const expected = top.map(([name, logprob]) => ({ text: name, probability: Math.exp(logprob) }));
    part ??= { text: "", bits: null, expected, isUnknown: token === "<unk>" };
    if (logprobs[place] !== null) part.bits = (part.bits ?? 0) - logprobs[place] / Math.LN2;
    const byte = /^bytes:\\x(..)$/.exec(token);
    const known = part.isUnknown && source.length === tokens.length ? source[place] : token;
    part.text += decoder.decode(byte ? Uint8Array.of(parseInt(byte[1], 16)) : encoder.encode(known), { stream: true });
    if (!part.text) continue; // the first bytes of a character
    characters.push(part);
    part = null;
  }
  return characters;
}

// Returns the places of the characters on which the models differ most, the largest difference first; null if they have
// read different characters, because of their normalization.
function findDifferences([first, second]) {
  const isSame = ({ text }, place) => text.toLowerCase() === second[place].text.toLowerCase();
  if (first.length !== second.length || !first.every(isSame)) return null;
  const size = (place) => Math.abs(first[place].bits - second[place].bits);
  const places = first.map((_, place) => place).filter((place) => size(place) > 0);
  return places.sort((a, b) => size(b) - size(a)).slice(0, NUM_DIFFERENCES);
}

// Returns a text of the page for a model: browsers change all line ends of a field to "\n".
function adaptText(text, { line_end: lineEnd }) {
  return text.replaceAll("\n", lineEnd ?? "\n");
}

// Returns the characters of a text of the page as a model reads them, with their surprisal.
function score(text, model, signal) {
  return withDescription(model, signal, async (description) => {
    const prompt = adaptText(text, description);
    const fields = { prompt, echo: true, logprobs: NUM_EXPECTED, max_tokens: 0, unknown: "unk" };
    const { choices } = await (await complete(fields, description, signal)).json();
    return readCharacters(prompt, choices[0].logprobs);
  });
}

function setUpGeneration() {
  const form = find("generation"), { prompt: typed, stopText, topK, topP } = form.elements;
  const readTemperature = linkTemperature(form.elements);
  let controller = null;

  async function generate(side, settings, seed) {
    const { signal } = controller, { prompt: start, stop: end } = settings;
    await withDescription(find(side).value, signal, async (description) => {
      const prompt = adaptText(start, description), stop = adaptText(end, description) || undefined;
      const shown = document.createElement("span"), added = document.createTextNode("");
      shown.className = "prompt";
      shown.textContent = prompt;
      find(`text-${side}`).replaceChildren(shown, added);
      // Before the completion, which is refused if the model has been replaced: the characters are that model's.
      find(`unknown-${side}`).textContent = describeUnknown(await findUnknown(prompt, description, signal));
      const fields = { ...settings, prompt, stop };
      for await (const part of streamText(fields, description, signal, seed)) added.data += part;
    });
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (controller) return;
    controller = new AbortController();
    find("start").disabled = true;
    find("stop").disabled = false;
    find("status").textContent = "Generating …";
    const seed = form.elements.seed.value || String(crypto.getRandomValues(new Uint32Array(1))[0]);
    const sampling = { temperature: readTemperature(), top_k: readNumber(topK), top_p: readNumber(topP) };
    const settings = {
      prompt: typed.value, stop: stopText.value, max_tokens: readCount(form.elements), unknown: "skip", ...sampling,
    };
    const results = await Promise.allSettled(SIDES.map((side) => generate(side, settings, seed)));
    const errors = results.filter(({ reason }) => reason && reason.name !== "AbortError").map(({ reason }) => reason.message);
    const end = controller.signal.aborted ? "Stopped" : "Complete";
    find("status").textContent = errors.length ? [...new Set(errors)].join("; ") : `${end}, seed ${seed}.`;
    controller = null;
    find("start").disabled = false;
    find("stop").disabled = true;
  });
  find("stop").addEventListener("click", () => controller?.abort());
  typed.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function setUpSurprise() {
  const shaded = SIDES.map((side, index) => new ShadedText(find(`shaded-${side}`), (place) => select(place, index)));
  let characters = [[], []], areAligned = false, controller = null;

  function select(place, index) {
    const shown = areAligned ? [0, 1] : [index];
    for (const one of shown) shaded[one].select(place);
    find("detail").replaceChildren(...shown.map((one) => {
      const line = document.createElement("div");
      line.textContent = `${find(SIDES[one]).value}: ${describeCharacter(characters[one][place])}`;
      return line;
    }));
  }

  function showDifferences(places) {
    const [first, second] = characters;
    find("differences").tBodies[0].replaceChildren(...places.map((place) => {
      const row = document.createElement("tr"), difference = first[place].bits - second[place].bits;
      const before = first.slice(Math.max(place - CONTEXT, 0), place).map(({ text }) => text).join("");
      const bits = [first, second].map((one) => one[place].bits.toFixed(2));
      const signed = `${difference > 0 ? "+" : "\u2212"}${Math.abs(difference).toFixed(2)}`;
      for (const text of [quote(first[place].text), ...bits, signed, before]) row.insertCell().textContent = text;
      return row;
    }));
    find("differences").parentElement.hidden = !places.length;
  }

  // numTyped: characters of the text as it was typed. Models that normalize it differently read other numbers of
  // characters, so that only their bits for the same text can be compared.
  function describeBits({ mean, count }, numTyped) {
    if (areAligned) return `${mean.toFixed(3)} bits per character, ${count.toLocaleString("en")} characters scored`;
    return `${((mean * count) / Math.max(numTyped - 1, 1)).toFixed(3)} bits per character of the text as typed`;
  }

  function show(note, numTyped) {
    const places = findDifferences(characters);
    areAligned = places !== null;
    for (const [index, side] of SIDES.entries()) {
      shaded[index].show(characters[index], new Set(places));
      const summary = summarize(characters[index]);
      const numUnknown = characters[index].filter(({ isUnknown }) => isUnknown).length;
      const unknown = numUnknown ? `, ${numUnknown.toLocaleString("en")} of them not known to the model` : "";
      find(`bits-${side}`).textContent = summary ? `${describeBits(summary, numTyped)}${unknown}` : "";
    }
    const differ = "The models normalize the text differently, so that its characters cannot be compared one by one.";
    find("summary").textContent = `${areAligned ? "" : differ}${note}`;
    find("detail").textContent = "";
    showDifferences(places ?? []);
  }

  const update = afterPause(async (isStopped) => {
    controller?.abort();
    const { signal } = (controller = new AbortController());
    const { start, note } = cutText(find("scored").value);
    find("summary").textContent = start ? "Reading …" : "";
    try {
      const found = start ? await Promise.all(SIDES.map((side) => score(start, find(side).value, signal))) : [[], []];
      if (isStopped()) return;
      characters = found;
      show(note, Array.from(start).length);
    } catch (error) {
      if (error.name !== "AbortError") find("summary").textContent = error.message;
    }
  });
  find("scored").addEventListener("input", update);
  return update;
}

function start() {
  const update = setUpSurprise();
  const showNames = () => {
    for (const side of SIDES) {
      for (const heading of document.getElementsByClassName(side)) heading.textContent = find(side).value;
    }
    update();
  };
  find("second").selectedIndex = 1;
  for (const side of SIDES) find(side).addEventListener("change", showNames);
  setUpGeneration();
  showNames();
}

start();
