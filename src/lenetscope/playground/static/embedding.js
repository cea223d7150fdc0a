/** The map of the test images: points that are near each other where the network finds the images similar. */
import { decodeBytes, paintPixels } from "../report/colours.js";
import { TestImages } from "../report/confusion.js";
import { button, element } from "../report/dom.js";
import { page } from "./page.js";
import { ask, base64 } from "./server.js";
import { shortened, TEXTS } from "./texts.js";

const texts = TEXTS.gallery.map;
const PAUSE = 120; // milliseconds after the last stroke until its neighbours are asked for
const REACH = 22; // CSS pixels from a point at which it is still meant
const MARGIN = 24; // CSS pixels around the points
const RADIUS = 3.2;
const SHORT = 2; // characters up to which the names of classes stand among the points

/** Images that the server sent, see `lenetscope.playground.answers.images`. */
export function received(found) {
  const { inputShape, classes } = page.facts;
  return new TestImages(found, inputShape, classes, decodeBytes(found.pixels));
}

/** Draw the mark of a class: its colour, and where colours repeat, another shape; a cross for mistakes. */
function mark(context, x, y, label, colours, isWrong, ink) {
  context.fillStyle = context.strokeStyle = colours[label % colours.length];
  context.beginPath();
  if (isWrong) {
    for (const side of [-1, 1]) {
      context.moveTo(x - 5, y - 5 * side);
      context.lineTo(x + 5, y + 5 * side);
    }
    context.lineWidth = 5.5;
    context.strokeStyle = ink;
    context.stroke();
    context.strokeStyle = context.fillStyle;
    context.lineWidth = 3;
    context.stroke();
    return;
  }
  const shape = Math.floor(label / colours.length) % 3;
  if (shape === 0) context.arc(x, y, RADIUS, 0, 7);
  else if (shape === 1) context.rect(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS);
  else for (const [dx, dy] of [[0, -1.4], [1.3, 1], [-1.3, 1]]) context.lineTo(x + dx * RADIUS, y + dy * RADIUS);
  context.fill();
  context.lineWidth = 0.6;
  context.strokeStyle = ink;
  context.globalAlpha *= 0.5;
  context.closePath();
  context.stroke();
  context.globalAlpha *= 2;
}

/** The map, with its legend, the point that is chosen and the neighbours of the drawing. */
export class EmbeddingMap {
  /** @param put is called with images and a place among them when that is to be put onto the pad */
  constructor(put) {
    this.put = put;
    this.element = element("section", "embedding");
    // computed when it comes into sight, because that takes seconds
    new IntersectionObserver((seen) => seen.some((each) => each.isIntersecting) && this.#open()).observe(this.element);
    page.on("run", () => this.#follow());
    page.on("view", () => this.#follow());
    new ResizeObserver(() => this.#paint()).observe(this.element);
    const repaint = () => this.#paint();
    new MutationObserver(repaint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  }

  /** Forget the run that was shown. */
  clear() {
    this.facts = this.found = this.isAsked = this.chosen = this.drawing = null;
    this.element.replaceChildren();
  }

  /** Show the map of a run as soon as it is in sight. */
  use(facts) {
    this.facts = facts;
    this.state = element("p", "say", texts.opening);
    this.element.replaceChildren(element("h3", "", texts.heading), this.state);
  }

  async #open() {
    const { facts } = this;
    if (!facts || this.isAsked) return;
    this.isAsked = true;
    try {
      const found = await ask("embedding", { run: facts.run });
      if (this.facts === facts) this.#build(found);
    } catch (error) {
      if (this.facts !== facts) return;
      this.isAsked = error.isLate ? null : true;
      this.state.textContent = error.message;
      this.state.className = "refusal";
    }
  }

  #build(found) {
    const { classes, inputShape } = this.facts;
    this.found = found;
    this.images = new TestImages(found, inputShape, classes, null);
    this.canvas = element("canvas", "map");
    Object.assign(this.canvas, { tabIndex: 0, role: "application", ariaLabel: texts.label });
    const help = element("p", "fine", texts.help);
    help.id = "map-help";
    this.canvas.setAttribute("aria-describedby", help.id);
    this.card = element("div", "point", element("p", "fine", texts.point));
    this.card.setAttribute("aria-live", "polite");
    this.near = element("div", "near-drawing", element("p", "fine", texts.nothing));
    const wrong = found.label.filter((label, i) => label !== found.predicted[i]).length;
    this.state.textContent = texts.about(found.index.length, found.total, wrong, found.layer);
    this.state.after(
      element(
        "div",
        "map-row",
        element("div", "", this.canvas, help),
        element("div", "", this.card, this.near, this.#legend()),
      ),
    );
    this.#listen();
    this.#paint();
    this.#follow();
  }

  /** Names of the classes with their marks; pressed, a class stands out. */
  #legend() {
    const { found } = this;
    const swatch = (label, isWrong) => {
      const canvas = element("canvas");
      Object.assign(canvas, { width: 32, height: 32 });
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      mark(context, 8, 8, label, found.colours, isWrong, "#888");
      return canvas;
    };
    this.alone = new Set();
    const items = [...new Set(found.label)].sort((a, b) => a - b).map((label) => {
      const press = () => {
        if (!this.alone.delete(label)) this.alone.add(label);
        made.setAttribute("aria-pressed", this.alone.has(label));
        this.#paint();
      };
      const name = this.facts.classes[label];
      const made = button("chip", press, swatch(label, false), shortened(name, 16));
      made.setAttribute("aria-pressed", "false");
      made.title = name;
      return made;
    });
    const wrong = element("span", "key", swatch(0, true), texts.wrong);
    const group = element("div", "legend", ...items, wrong);
    Object.assign(group, { role: "group", ariaLabel: texts.classes });
    return group;
  }

  /** Where a point is on the canvas, in CSS pixels. */
  #at([x, y]) {
    const side = this.canvas.clientWidth - 2 * MARGIN;
    return [MARGIN + side * x, MARGIN + side * (1 - y)];
  }

  #paint() {
    if (!this.found || !this.canvas.clientWidth) return;
    const { canvas, found, chosen, drawing, alone } = this;
    const side = canvas.clientWidth;
    const scale = devicePixelRatio || 1;
    const pixels = Math.round(side * scale);
    if (canvas.width !== pixels) Object.assign(canvas, { width: pixels, height: pixels });
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, side, side);
    const style = getComputedStyle(canvas);
    const [ink, accent, ground] = ["--ink", "--accent", "--ground"].map((name) => style.getPropertyValue(name));
    const wrong = (i) => found.label[i] !== found.predicted[i];
    for (const isWrong of [false, true])
      found.points.forEach((point, i) => {
        if (wrong(i) !== isWrong) return;
        context.globalAlpha = alone.size && !alone.has(found.label[i]) ? 0.08 : 0.9;
        mark(context, ...this.#at(point), found.label[i], found.colours, isWrong, ink);
      });
    context.globalAlpha = 1;
    this.#writeNames(context);
    context.strokeStyle = accent;
    context.lineWidth = 2.5;
    if (chosen !== null && chosen !== undefined) {
      context.beginPath();
      context.arc(...this.#at(found.points[chosen]), 9, 0, 7);
      context.stroke();
    }
    if (drawing) this.#paintDrawing(context, drawing, accent, ground);
  }

  /** Short names of classes stand at the median of their points, as in the report. */
  #writeNames(context) {
    const { found } = this;
    const { classes } = this.facts;
    if (classes.some((name) => name.length > SHORT)) return;
    const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
    context.font = "bold 15px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (const label of new Set(found.label)) {
      const points = found.points.filter((_, i) => found.label[i] === label);
      const [x, y] = this.#at([median(points.map((p) => p[0])), median(points.map((p) => p[1]))]);
      const colour = found.colours[label % found.colours.length];
      const [red, green, blue] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
      context.beginPath();
      context.arc(x, y, 12, 0, 7);
      context.fillStyle = colour;
      context.fill();
      context.strokeStyle = "#fff";
      context.lineWidth = 1.5;
      context.stroke();
      context.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? "#111" : "#fff";
      context.fillText(classes[label], x, y + 1);
    }
  }

  /** The drawing as a small picture, with lines to its neighbours. */
  #paintDrawing(context, { point, places, picture }, accent, ground) {
    const [x, y] = this.#at(point);
    context.lineWidth = 1.5;
    for (const place of places) {
      context.beginPath();
      context.moveTo(x, y);
      context.lineTo(...this.#at(this.found.points[place]));
      context.stroke();
    }
    const [width, height] = [picture.width, picture.height].map((n) => (n * 30) / Math.max(picture.width, picture.height));
    context.fillStyle = ground;
    context.fillRect(x - width / 2 - 5, y - height / 2 - 5, width + 10, height + 10);
    context.fillStyle = accent;
    context.fillRect(x - width / 2 - 3, y - height / 2 - 3, width + 6, height + 6);
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, x - width / 2, y - height / 2, width, height);
  }

  #listen() {
    const { canvas } = this;
    const meant = ({ offsetX, offsetY }) => {
      let [best, least] = [null, REACH ** 2];
      this.found.points.forEach((point, i) => {
        const [x, y] = this.#at(point);
        const distance = (x - offsetX) ** 2 + (y - offsetY) ** 2;
        if (distance < least) [best, least] = [i, distance];
      });
      return best;
    };
    for (const name of ["pointermove", "pointerdown"])
      canvas.addEventListener(name, (event) => {
        const place = meant(event);
        if (event.pointerType !== "touch" && place !== null) this.#choose(place);
      });
    canvas.addEventListener("click", (event) => {
      const place = meant(event);
      if (place === null) return;
      const isShown = event.pointerType !== "touch" || place === this.chosen;
      if (isShown) this.#load();
      else this.#choose(place);
    });
    canvas.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      if (event.key === "Enter") this.#load();
      else if (event.key in moves) this.#choose(this.#towards(...moves[event.key]));
      else return;
      event.preventDefault();
    });
  }

  /** The point next to the chosen one in a direction; the first time, the one that is nearest to the middle. */
  #towards(dx, dy) {
    const { points } = this.found;
    const from = points[this.chosen] ?? [0.5, 0.5];
    let [best, least] = [this.chosen ?? 0, Infinity];
    points.forEach(([x, y], i) => {
      if (i === this.chosen) return;
      const along = dx * (x - from[0]) + dy * (y - from[1]);
      const across = Math.abs(dx * (y - from[1]) - dy * (x - from[0]));
      const away = this.chosen === null ? Math.hypot(along, across) : along + 2 * across;
      if ((this.chosen === null || (along > 0 && across <= along)) && away < least) [best, least] = [i, away];
    });
    return best;
  }

  /** Show a point's image beside the map. */
  async #choose(place) {
    if (place === this.chosen) return;
    this.chosen = place;
    this.#paint();
    const { facts, images, card } = this;
    const slot = element("span", "slot");
    card.replaceChildren(slot, element("p", "", `${images.describe(place)}.`), button("", () => this.#load(), texts.put));
    this.single = this.#pixels(facts, this.found.index[place]);
    const single = await this.single;
    if (single && place === this.chosen) slot.replaceChildren(single.thumbnail(0, ""));
  }

  /** One test image; null where a newer request has overtaken this one. */
  async #pixels({ run }, number) {
    try {
      return received(await ask("images", { run, numbers: [number] }, "images point"));
    } catch (error) {
      if (!error.isLate) this.card.append(element("p", "refusal", error.message));
      return null;
    }
  }

  /** Put the chosen image onto the pad, when it is there. */
  async #load() {
    const { chosen } = this;
    const single = await this.single;
    if (single && chosen === this.chosen) this.put(single, 0);
  }

  /** Place what is on the pad, a moment after the last stroke. */
  #follow() {
    if (page.view !== "gallery" || !this.found) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#place(), PAUSE);
  }

  async #place() {
    const { facts, near } = this;
    if (facts !== page.facts || page.view !== "gallery") return;
    const { pixels } = page;
    if (page.empty) {
      this.drawing = null;
      near.replaceChildren(element("p", "fine", texts.nothing));
      return this.#paint();
    }
    try {
      const found = await ask("neighbours", { run: facts.run, pixels: base64(pixels) });
      if (this.facts !== facts || page.empty) return;
      const picture = element("canvas");
      paintPixels(picture, pixels, facts.inputShape);
      this.drawing = { ...found, picture };
      const images = received(found);
      const { classes } = facts;
      const thumbnails = found.label.map((label, i) =>
        images.thumbnail(i, shortened(classes[label]), () => this.put(images, i)),
      );
      near.replaceChildren(
        element("p", "fine", texts.near(thumbnails.length)),
        element("div", "thumbnails", ...thumbnails),
      );
    } catch (error) {
      if (error.isLate || this.facts !== facts) return;
      this.drawing = null;
      near.replaceChildren(element("p", "refusal", error.message));
    }
    this.#paint();
  }
}
