/** Attribution maps of the drawing: painted over it, with their scale, and whether they can be believed. */
import { largest, paint } from "../report/colours.js";
import { button, element, roving } from "../report/dom.js";
import { decodeFloats } from "../report/network.js";
import { decimal } from "../report/numbers.js";
import { page } from "./page.js";
import { ask, base64 } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.why.maps;

/** The drawing in pale grey on white, or its colours made pale: 0 to 1 for each channel of red, green, blue. */
export function paled(pixels, [channels, height, width]) {
  const area = height * width;
  const grey = channels < 3;
  // light ink on dark paper is turned around, so that the colours of the map lie on white
  const dark = grey && pixels.subarray(0, area).reduce((sum, v) => sum + v, 0) < 127 * area;
  return Float32Array.from({ length: 3 * area }, (_, i) => {
    const value = pixels[(grey ? 0 : i % 3) * area + Math.floor(i / 3)] / 255;
    return 0.72 + 0.28 * (dark ? 1 - value : value);
  });
}

/** Paint a map over the drawing: a value of zero leaves it as it is; without signs, the upper half of the scale. */
export function paintOver(canvas, values, signed, pixels, shape) {
  const [, height, width] = shape;
  const bound = largest(values);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  paint(canvas, signed ? values : values.map(Math.abs), 0, width, height, page.scales.signed, true, bound);
  const picture = context.getImageData(0, 0, width, height);
  const below = paled(pixels, shape);
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] *= below[3 * i + c];
  context.putImageData(picture, 0, 0);
}

/** How a map fares against brightness and chance: a name of `TEXTS.why.maps.verdicts`. */
export function verdict(drop, ink, chance) {
  if (drop <= chance) return "chance";
  return drop > ink ? "faithful" : "ink";
}

/** The class that is explained, and a map by each method. */
export class AttributionMaps {
  constructor() {
    this.title = element("h3");
    this.classes = element("div", "row why-classes");
    this.classes.setAttribute("role", "group");
    this.classes.setAttribute("aria-label", texts.classes);
    this.cards = element("div", "why-maps");
    this.trouble = element("p", "refusal");
    this.trouble.hidden = true;
    const about = element("p", "say", texts.about);
    this.root = element("section", "", this.title, about, this.classes, this.trouble, this.cards);
  }

  /** Offer the classes of a network. */
  use() {
    this.chosen = null;
    this.shown = new Map();
    this.cards.replaceChildren();
    this.buttons = [null, ...page.network.classes.keys()].map((k) => {
      const made = button("chip", () => this.#choose(k), k === null ? texts.predicted(null) : page.network.classes[k]);
      return made;
    });
    roving(this.buttons, () => this.buttons.length);
    this.classes.replaceChildren(...this.buttons);
    this.#mark();
  }

  #choose(k) {
    this.chosen = k;
    this.#mark();
    this.follow();
  }

  #mark() {
    this.buttons.forEach((each, i) => each.setAttribute("aria-pressed", (i ? i - 1 : null) === this.chosen));
  }

  /** Ask for the maps of what is drawn now; while an answer is on its way, only the last drawing waits. */
  async follow() {
    const { probabilities } = page.outputs;
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.title.textContent = texts.heading(page.network.classes[this.chosen ?? best]);
    this.buttons[0].textContent = texts.predicted(page.network.classes[best]);
    this.waiting = { pixels: page.pixels, facts: page.facts, epoch: page.epoch, target: this.chosen ?? best };
    if (this.asking) return;
    this.asking = true;
    while (this.waiting) {
      const { pixels, facts, epoch, target } = this.waiting;
      this.waiting = null;
      try {
        const found = await ask("attribution", { run: facts.run, epoch, target, pixels: base64(pixels) });
        if (facts === page.facts) this.#show(found, pixels);
      } catch (error) {
        if (!error.isLate && facts === page.facts) this.#complain(error.message);
      }
    }
    this.asking = false;
  }

  #complain(message) {
    this.trouble.textContent = message;
    this.trouble.hidden = !message;
    this.cards.hidden = Boolean(message);
  }

  #show(found, pixels) {
    this.#complain("");
    const name = page.network.classes[found.target];
    const order = Object.keys(texts.methods);
    found.methods.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
    for (const method of found.methods) {
      if (!this.shown.has(method.name)) this.#add(method);
      this.#fill(this.shown.get(method.name), method, found, name, pixels);
    }
    for (const missing of found.missing)
      if (texts.missing[missing] && !this.shown.has(missing)) {
        this.shown.set(missing, null);
        this.cards.append(element("p", "fine why-map", texts.missing[missing]));
      }
  }

  #add({ name, signed }) {
    const [title, about] = texts.methods[name] ?? [name, ""];
    const canvas = element("canvas", "pixels why-over");
    canvas.setAttribute("role", "img");
    const ramp = element("canvas");
    ramp.setAttribute("aria-hidden", "true");
    const steps = Float32Array.from({ length: 64 }, (_, i) => (signed ? i / 31.5 - 1 : i / 63));
    paint(ramp, steps, 0, 64, 1, page.scales.signed, true, 1);
    const [low, high] = texts.ends[signed ? "signed" : "positive"];
    const scale = element("p", "scale", low, ramp, high);
    const [holds, drop, complete] = [element("p", "why-verdict"), element("p", "fine"), element("p", "fine")];
    const bars = Object.entries(texts.drops).map(([kind, text]) => {
      const [fill, value] = [element("i"), element("span", "probability")];
      return { kind, fill, value, item: element("li", "", element("span", "label", text), element("span", "bar", fill), value) };
    });
    const list = element("ol", "bars", ...bars.map(({ item }) => item));
    list.style.setProperty("--label", "4.8em");
    const head = [element("h4", "", title), element("p", "fine", about)];
    this.cards.append(element("article", "why-map", ...head, canvas, scale, holds, drop, list, complete));
    this.shown.set(name, { canvas, holds, drop, bars, complete, title });
  }

  #fill({ canvas, holds, drop, bars, complete, title }, method, found, name, pixels) {
    const { inputShape } = page.network;
    paintOver(canvas, decodeFloats(method.values), method.signed, pixels, inputShape);
    canvas.setAttribute("aria-label", texts.image(title, name));
    holds.dataset.verdict = verdict(method.drop, found.ink, found.chance);
    holds.textContent = texts.verdicts[holds.dataset.verdict];
    drop.textContent = texts.drop(Math.round(100 * found.fraction));
    const drops = { marked: method.drop, ink: found.ink, chance: found.chance };
    const most = Math.max(...found.methods.map((each) => each.drop), found.ink, found.chance, 1e-9);
    for (const { kind, fill, value, item } of bars) {
      item.classList.toggle("best", kind === "marked");
      fill.style.setProperty("--p", Math.max(0, drops[kind] / most).toFixed(4));
      value.textContent = decimal(drops[kind], 1);
    }
    if (method.gap === null) return;
    const [sum, rose, gap] = [method.sum, found.logit - found.blank, Math.abs(method.gap)];
    complete.textContent = texts.complete(...[sum, rose, gap].map((value) => decimal(value, 2)));
  }
}
