// The page: generation, surprise, and the next character. The model computes in this tab.
import { afterPause, cutText, describeCharacter, describeUnknown, find, nameOf, percent, summarize } from "./display.js";
import { Model } from "./model.js";
import { linkTemperature, readCount, readNumber } from "./sampling.js";
import { ShadedText } from "./shading.js";

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
  const form = find("generation"), { prompt, topK, topP, stopText } = form.elements;
  const readTemperature = linkTemperature(form.elements);
  let stopped = true;

  async function run() {
    const text = find("text"), status = find("status");
    const seed = form.elements.seed.value || String(crypto.getRandomValues(new Uint32Array(1))[0]);
    const sampling = { temperature: readTemperature() ?? 1, topK: readNumber(topK), topP: readNumber(topP) };
    const start = readText(model, prompt);
    const unknown = describeUnknown(model.vocabulary.findUnknown(start));
    const notes = unknown && ` ${unknown}`;
    text.textContent = "";
    const shown = document.createElement("span");
    shown.className = "prompt";
    shown.textContent = start;
    const added = document.createTextNode("");
    text.append(shown, added);
    status.textContent = `Generating …${notes}`;
    const started = performance.now();
    const options = { numChars: readCount(form.elements), stop: readText(model, stopText), seed, ...sampling };
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
  let characters = [];
  const shaded = new ShadedText(find("shaded"), (place) => {
    shaded.select(place);
    find("detail").textContent = describeCharacter(characters[place]);
  });

  find("scored").addEventListener("input", afterPause(async (isStopped) => {
    const text = readText(model, find("scored")), { start, note } = cutText(text);
    find("summary").textContent = text ? "Reading …" : "";
    const found = await model.score(start, 5, isStopped);
    if (isStopped()) return;
    characters = found;
    find("detail").textContent = "";
    shaded.show(characters);
    const summary = summarize(characters);
    if (!summary) {
      find("summary").textContent = text ? "Write at least two characters." : "";
      return;
    }
    find("summary").textContent =
      `${summary.mean.toFixed(3)} bits per character, perplexity ${(2 ** summary.mean).toFixed(3)}, ` +
      `${summary.count.toLocaleString("en")} characters scored.${note}`;
  }));
}

function setUpNext(model) {
  const { prompt } = find("generation").elements;
  const update = afterPause(async (isStopped) => {
    find("bars").ariaBusy = "true"; // a long prompt takes seconds: until then, the bars are those of another text
    const found = await model.predict(readText(model, prompt, prompt.selectionEnd), 12, isStopped);
    if (isStopped()) return;
    find("bars").ariaBusy = "false";
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
