// A text whose characters are shaded by their surprisal, with a cursor that the pointer and keys move.
const STRONGEST = 10; // bits of the darkest shade
const STEPS_OF_KEYS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10 };
const SCREENFUL = 0.9; // share of the window's height

export class ShadedText {
  // moved: called with the place at which the user has put the cursor.
  constructor(element, moved) {
    Object.assign(this, { element, here: -1 });
    // Not pointerover, which a text that scrolls under the pointer causes, too: the cursor would leave the place of a key.
    for (const type of ["pointermove", "pointerdown"]) {
      element.addEventListener(type, ({ target }) => {
        if (target === element || target === element.children[this.here]) return;
        moved(Array.prototype.indexOf.call(element.children, target));
      });
    }
    element.addEventListener("keydown", (event) => {
      const place = this.findTarget(event);
      if (place === null || !element.children.length) return;
      event.preventDefault();
      moved(Math.min(Math.max(place, 0), element.children.length - 1));
      element.children[this.here].scrollIntoView({ block: "nearest" });
    });
  }

  // Returns the place to which a key moves the cursor, maybe beyond an end of the text; null for other keys.
  findTarget({ key, ctrlKey, altKey, metaKey }) {
    if (altKey || metaKey) return null; // of the browser
    if (STEPS_OF_KEYS[key]) return this.here + STEPS_OF_KEYS[key];
    const { length } = this.element.children, height = SCREENFUL * innerHeight;
    switch (key) {
      case "Home": return ctrlKey ? 0 : this.walk(-1, (distance) => distance === 0);
      case "End": return ctrlKey ? length - 1 : this.walk(1, (distance) => distance === 0);
      case "PageUp": return this.walk(-1, (distance) => distance > -height);
      case "PageDown": return this.walk(1, (distance) => distance < height);
      default: return null;
    }
  }

  // Returns the last place in a direction for which a condition of the distance in pixels to the cursor's line is true.
  walk(step, isWithin) {
    const { children } = this.element;
    const top = (place) => children[place].getBoundingClientRect().top;
    const start = Math.max(this.here, 0);
    let place = start;
    while (children[place + step] && isWithin(top(place + step) - top(start))) place += step;
    return place;
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
