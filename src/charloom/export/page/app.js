// The page: generation, surprise, and the next character. The model computes in this tab.
import { Model } from "./model.js";

const find = (id) => document.getElementById(id);
const NAMES = { " ": "space", "\n": "line end", "\t": "tab", "\r": "carriage return" };
const nameOf = (text) => NAMES[text] ?? text;
const quote = (text) => NAMES[text] ?? `\u201c${text}\u201d`;
const percent = (p) => `${(100 * p).toPrecision(p < 0.1 ? 2 : 3)}%`;
const MAX_SHOWN = 20_000; // characters of the shaded text
const STRONGEST = 10; // bits of the darkest shade

// Runs a function after the last of several calls, with a function that is true once another run has started.
function afterPause(work, milliseconds = 250) {
  let timer, run = 0;
  return () => {
    clearTimeout(timer);
    const mine = ++run;
    timer = setTimeout(() => work(() => mine !== run), milliseconds);
  };
}

// Returns the text of a field. Browsers change its line ends to "\n"; a model that knows "\r" has learned "\r\n".
function readText({ vocabulary }, field, end = field.value.length) {
  const text = field.value.slice(0, end);
  return vocabulary.unit === "char" && vocabulary.ids.has("\r") ? text.replaceAll("\n", "\r\n") : text;
}

function describe({ shape, parameters, training, precision }) {
  const cell = shape.cell.replace("_TANH", "").replace("_RELU", " with ReLU");
  const layers = shape.layers > 1 ? `${shape.layers} layers of ` : "";
  const parts = [`${cell}, ${layers}${shape.hidden} units, ${parameters.toLocaleString("en")} parameters`];
  if (training.name) parts.push(`trained on ${training.name}`);
  if (training.num_chars) parts.push(`${training.num_chars.toLocaleString("en")} characters`);
  if (training.validation_perplexity) parts.push(`validation perplexity ${training.validation_perplexity.toFixed(2)}`);
  if (precision === "int8") parts.push("weights rounded to 8 bits");
  return parts.join("; ");
}

function setUpGeneration(model) {
  const form = find("generation"), { prompt } = form.elements;
  let stopped = true;
  const number = (name) => (form.elements[name].value === "" ? null : Number(form.elements[name].value));

  async function run() {
    const text = find("text"), status = find("status");
    const seed = form.elements.seed.value || String(crypto.getRandomValues(new Uint32Array(1))[0]);
    const sampling = { temperature: number("temperature") ?? 1, topK: number("topK"), topP: number("topP") };
    const start = readText(model, prompt);
    const unknown = model.vocabulary.findUnknown(start);
    const notes = unknown.length ? ` Not known to the model, and skipped: ${unknown.map(quote).join(" ")}` : "";
    text.textContent = "";
    const shown = document.createElement("span");
    shown.className = "prompt";
    shown.textContent = start;
    const added = document.createTextNode("");
    text.append(shown, added);
    status.textContent = `Generating …${notes}`;
    const started = performance.now();
    const options = { numChars: number("numChars") ?? 500, stop: readText(model, form.elements.stopText), seed, ...sampling };
    for await (const part of model.generate(start, options, () => stopped)) added.data += part;
    const seconds = (performance.now() - started) / 1000;
    const count = Array.from(added.data).length;
    const seedNote = sampling.temperature ? `, seed ${seed}` : "";
    status.textContent =
      `${count.toLocaleString("en")} characters, ${Math.round(count / seconds).toLocaleString("en")} per second` +
      `${seedNote}${stopped ? ", stopped" : ""}.${notes}`;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!stopped) return;
    stopped = false;
    find("start").disabled = true;
    find("stop").disabled = false;
    try {
      await run();
    } catch (error) {
      find("status").textContent = error.message;
    }
    stopped = true;
    find("start").disabled = false;
    find("stop").disabled = true;
  });
  find("stop").addEventListener("click", () => { stopped = true; });
  find("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(find("text").textContent);
      find("status").textContent = "Copied.";
    } catch { // not allowed for files in some browsers
      getSelection().selectAllChildren(find("text"));
      find("status").textContent = "Selected: copy it with Ctrl+C.";
    }
  });
  prompt.value = model.description.prefix;
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function setUpSurprise(model) {
  const shaded = find("shaded");
  let characters = [], here = -1;

  function show(place) {
    shaded.children[here]?.classList.remove("here");
    here = Math.min(Math.max(place, 0), characters.length - 1);
    const one = characters[here];
    if (!one) return;
    shaded.children[here].classList.add("here");
    const bits = one.bits === null ? "not scored: nothing precedes it" : `${one.bits.toFixed(2)} bits`;
    const expected = one.expected.map(({ text, probability }) => `${quote(text)} ${percent(probability)}`);
    find("detail").textContent = `${quote(one.text)}: ${bits}${expected.length ? `. Expected: ${expected.join(", ")}` : ""}`;
  }

  const update = afterPause(async (isStopped) => {
    const text = readText(model, find("scored"));
    find("summary").textContent = text ? "Reading …" : "";
    characters = await model.score(text.slice(0, MAX_SHOWN), 5, isStopped);
    if (isStopped()) return;
    here = -1;
    find("detail").textContent = "";
    shaded.replaceChildren(...characters.map(({ text: character, bits }) => {
      const span = document.createElement("span");
      span.textContent = character;
      span.style.setProperty("--bits", Math.min((bits ?? 0) / STRONGEST, 1) * 0.85);
      return span;
    }));
    const scored = characters.filter(({ bits }) => bits !== null);
    if (!scored.length) {
      find("summary").textContent = text ? "Write at least two characters." : "";
      return;
    }
    const mean = scored.reduce((sum, { bits }) => sum + bits, 0) / scored.length;
    const cut = text.length > MAX_SHOWN ? ` Only the first ${MAX_SHOWN.toLocaleString("en")} characters are shown.` : "";
    find("summary").textContent =
      `${mean.toFixed(3)} bits per character, perplexity ${(2 ** mean).toFixed(3)}, ` +
      `${scored.length.toLocaleString("en")} characters scored.${cut}`;
  });

  find("scored").addEventListener("input", update);
  shaded.addEventListener("pointerover", (event) => {
    const place = Array.prototype.indexOf.call(shaded.children, event.target);
    if (place >= 0) show(place);
  });
  shaded.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(here + step);
  });
}

function setUpNext(model) {
  const { prompt } = find("generation").elements;
  const update = afterPause(async () => {
    const found = await model.predict(readText(model, prompt, prompt.selectionEnd), 12);
    const largest = found[0]?.probability ?? 1;
    find("bars").tBodies[0].replaceChildren(...found.map(({ text, probability }) => {
      const row = document.createElement("tr"), name = document.createElement("th");
      name.scope = "row";
      name.textContent = nameOf(text);
      const share = document.createElement("td"), cell = document.createElement("td"), bar = document.createElement("div");
      share.textContent = percent(probability);
      bar.className = "bar";
      bar.style.width = `${(100 * probability) / largest}%`;
      cell.append(bar);
      row.append(name, share, cell);
      return row;
    }));
  }, 120);
  for (const event of ["input", "keyup", "click", "focus"]) prompt.addEventListener(event, update);
  update();
}

async function start() {
  const description = JSON.parse(find("description").textContent);
  const wasmBytes = Uint8Array.from(atob(find("products").textContent), (character) => character.charCodeAt(0));
  try {
    const model = await Model.create(description, find("weights").textContent, wasmBytes);
    globalThis.charloomModel = model; // for the console, and for tests
    find("about").textContent = describe(description);
    find("weights").remove(); // megabytes of text
    setUpGeneration(model);
    setUpSurprise(model);
    setUpNext(model);
    document.querySelector("main").hidden = false;
  } catch (error) {
    find("about").textContent = `The model cannot be run: ${error.message}`;
  }
}

if (globalThis.document) start();
