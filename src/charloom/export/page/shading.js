// A text whose characters are shaded by their surprisal, with a cursor that the pointer and the arrow keys move.
const STRONGEST = 10; // bits of the darkest shade
const STEPS_OF_KEYS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };

export class ShadedText {
  // moved: called with the place at which the user has put the cursor.
  constructor(element, moved) {
    Object.assign(this, { element, here: -1 });
    element.addEventListener("pointerover", (event) => {
      const place = Array.prototype.indexOf.call(element.children, event.target);
      if (place >= 0) moved(place);
    });
    element.addEventListener("keydown", (event) => {
      if (!STEPS_OF_KEYS[event.key] || !element.children.length) return;
      event.preventDefault();
      moved(Math.min(Math.max(this.here + STEPS_OF_KEYS[event.key], 0), element.children.length - 1));
    });
  }

  // marked: places of characters that are underlined.
  show(characters, marked = new Set()) {
    this.here = -1;
    this.element.replaceChildren(...characters.map(({ text, bits }, place) => {
      const span = document.createElement("span");
      span.textContent = text;
      span.style.setProperty("--bits", Math.min((bits ?? 0) / STRONGEST, 1) * 0.85);
      if (marked.has(place)) span.className = "marked";
      return span;
    }));
  }

  select(place) {
    this.element.children[this.here]?.classList.remove("here");
    this.here = place;
    this.element.children[place]?.classList.add("here");
  }
}
