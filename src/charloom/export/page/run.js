// A training run while it trains: the page asks the server for its state while it is visible.
const find = (id) => document.getElementById(id);
const INTERVAL = 2000; // milliseconds
let timer, shown = "";

function makeSample({ steps, text }) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  const content = document.createElement("pre");
  caption.textContent = `After ${steps.toLocaleString("en")} steps`;
  content.textContent = text;
  content.tabIndex = 0;
  figure.append(caption, content);
  return figure;
}

function show({ status, has_model: hasModel, curves, note, samples }) {
  find("status").textContent = status;
  find("model").hidden = !hasModel;
  find("curves").innerHTML = curves; // drawn by the server from numbers only
  const picture = find("curves").querySelector("svg");
  picture?.setAttribute("role", "img");
  picture?.setAttribute("aria-label", "Training and validation perplexity by epoch");
  find("note").textContent = note;
  find("no-samples").hidden = samples.length > 0;
  // Only new samples are added, so that a screen reader reads each once.
  const places = find("samples"), last = Number(places.firstElementChild?.dataset.steps ?? -1);
  if (samples.length && samples[0].steps < last) places.replaceChildren();
  for (const sample of samples.filter(({ steps }) => steps > last).reverse()) {
    const figure = makeSample(sample);
    figure.dataset.steps = sample.steps;
    places.prepend(figure);
  }
}

async function update() {
  clearTimeout(timer);
  try {
    // The browser sends the tag of the last answer, so that an unchanged state is not transferred again.
    const response = await fetch(find("run").dataset.address, { cache: "no-cache" });
    const text = await response.text();
    if (!response.ok) throw new Error(JSON.parse(text).error.message);
    if (text !== shown) show(JSON.parse(text));
    shown = text;
  } catch (error) {
    shown = "";
    find("status").textContent = `No answer (${error.message}). The page tries again.`;
  }
  if (!document.hidden) timer = setTimeout(update, INTERVAL);
}

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : update()));
update();
