/** What would change the prediction: the strokes that the server finds, drawn one after the other. */
import { decodeBytes, paintPixels } from "../report/colours.js";
import { button, element } from "../report/dom.js";
import { decimal, percent } from "../report/numbers.js";
import { page } from "./page.js";
import { ask, base64 } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.why.change;
const SECONDS = 1.1; // per stroke, with the moment before the next
const DRAWING = 0.7; // of that, the stroke itself
const MOST_BARS = 12; // classes that have a bar; of more, the most likely
const SIDE = 280; // of the layer on which strokes are marked, in its pixels

/** Where along a stroke each pixel of an image is nearest to it, from 0 to 1. */
export function along(points, width, height) {
  const pieces = points.slice(1).map(([x1, y1], i) => [...points[i], x1 - points[i][0], y1 - points[i][1]]);
  return Float32Array.from({ length: width * height }, (_, pixel) => {
    const [x, y] = [pixel % width, Math.floor(pixel / width)];
    let [nearest, place] = [Infinity, 0];
    pieces.forEach(([x0, y0, dx, dy], i) => {
      const t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
      const distance = (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2;
      if (distance < nearest) [nearest, place] = [distance, (i + t) / pieces.length];
    });
    return place;
  });
}

/** The image when a stroke is drawn to some fraction: what lies behind the pen is as after it. */
export function partly(before, after, places, fraction) {
  const area = places.length;
  return before.map((value, i) => (places[i % area] <= fraction ? after[i] : value));
}

/** The search, and what it found. */
export class ChangeOfMind {
  constructor() {
    this.target = element("select");
    this.target.addEventListener("change", () => this.#forget());
    this.find = button("", () => this.#search(), texts.find);
    this.said = element("p", "why-said");
    this.said.setAttribute("role", "status");
    const label = element("label", "check", texts.target, this.target);
    this.result = this.#makeResult();
    const head = [element("h3", "", texts.heading), element("p", "say", texts.about)];
    this.root = element("section", "", ...head, element("div", "row", label, this.find), this.said, this.result);
  }

  #makeResult() {
    this.canvas = element("canvas", "pixels");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", texts.canvas);
    this.marks = element("canvas", "why-marks");
    this.marks.setAttribute("aria-hidden", "true");
    this.slider = element("input");
    Object.assign(this.slider, { type: "range", min: 0, step: 0.1 });
    this.slider.setAttribute("aria-label", texts.steps);
    this.slider.addEventListener("input", () => {
      this.#stop();
      this.#draw(Number(this.slider.value));
    });
    this.play = button("", () => (this.frame ? this.#stop() : this.#play()), texts.play);
    this.marked = element("input");
    Object.assign(this.marked, { type: "checkbox", checked: true });
    this.marked.addEventListener("change", () => (this.marks.hidden = !this.marked.checked));
    this.keep = button("", () => page.load(this.found.images.at(-1), texts.kept), texts.keep);
    this.bars = element("ol", "bars");
    this.bars.setAttribute("aria-label", texts.bars);
    const key = ["added", "erased"].map((kind) => element("span", `why-key ${kind}`, texts[kind]));
    return element(
      "div",
      "why-change",
      element(
        "div",
        "",
        element("div", "why-stage", this.canvas, this.marks),
        element("p", "fine row", ...key, element("label", "check", this.marked, texts.marked)),
      ),
      element("div", "", this.bars, element("div", "row why-play", this.play, this.slider, this.keep)),
    );
  }

  /** Offer the classes of a network. */
  use() {
    this.#forget();
    this.second = new Option("", "");
    const others = page.network.classes.map((name, k) => new Option(name, k));
    this.target.replaceChildren(this.second, ...others);
  }

  /** Name the second choice of what is drawn now; what was found for another drawing is out of date. */
  follow() {
    const order = [...page.network.classes.keys()].sort(
      (a, b) => page.outputs.probabilities[b] - page.outputs.probabilities[a],
    );
    this.second.textContent = texts.second(page.network.classes[order[1]]);
    [...this.target.options].forEach((each, i) => (each.disabled = i - 1 === order[0]));
    const { found } = this;
    if (found && !found.images.some((image) => same(image, page.pixels))) {
      this.#forget();
      this.said.textContent = texts.stale;
    }
  }

  #forget() {
    this.#stop();
    this.found = null;
    this.result.hidden = true;
    this.said.textContent = "";
    this.late = {}; // an answer that is on its way is to another question
  }

  async #search() {
    this.#forget();
    const question = this.late;
    this.said.textContent = texts.searching;
    const target = this.target.value === "" ? null : Number(this.target.value);
    const { facts, epoch, pixels } = page;
    try {
      const found = await ask("counterfactual", { run: facts.run, epoch, target, pixels: base64(pixels) });
      if (question === this.late) this.#show(found);
    } catch (error) {
      if (!error.isLate && question === this.late) this.said.textContent = error.message;
    }
  }

  #show(found) {
    const [, height, width] = page.network.inputShape;
    this.found = found;
    found.images = found.steps.map(decodeBytes);
    found.places = found.strokes.map(({ points }) => along(points, width, height));
    this.said.textContent = this.#words(found);
    if (!found.strokes.length) return;
    this.result.hidden = false;
    this.slider.max = found.strokes.length;
    this.#makeBars();
    const fits = SIDE / Math.max(width, height);
    Object.assign(this.marks, { width: Math.round(width * fits), height: Math.round(height * fits) });
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) this.#draw(found.strokes.length);
    else this.#play();
  }

  #words({ strokes, found, predicted, target, added, erased, ink, tried, probabilities }) {
    const { classes } = page.network;
    const to = classes[target];
    const count = strokes.length;
    tried = tried.toLocaleString("en");
    if (!found) return texts.none({ to, tried, chance: percent(probabilities.at(-1)[target]) });
    if (!count) return texts.already(to);
    const amounts = { added: added && decimal(added, 1), erased: erased && decimal(erased, 1) };
    const relative = `${decimal((100 * (added + erased)) / ink, 0)} %`;
    return texts.found({ count, from: classes[predicted], to, tried, percent: relative, ...amounts });
  }

  #makeBars() {
    const { classes } = page.network;
    const last = this.found.probabilities.at(-1);
    const { predicted, target } = this.found;
    const likely = [...classes.keys()].sort((a, b) => last[b] - last[a]);
    const chosen = new Set([predicted, target, ...likely].slice(0, MOST_BARS));
    const longest = Math.max(...classes.map((name) => name.length));
    this.bars.style.setProperty("--label", `${(0.65 * Math.min(longest, 14) + 0.3).toFixed(2)}em`);
    this.shown = [...chosen].sort((a, b) => a - b).map((k) => {
      const [fill, probability] = [element("i"), element("span", "probability")];
      const name = element("span", "label", classes[k]);
      return { k, fill, probability, item: element("li", "", name, element("span", "bar", fill), probability) };
    });
    this.bars.replaceChildren(...this.shown.map(({ item }) => item));
  }

  #play() {
    const { length } = this.found.strokes;
    const begin = performance.now();
    const go = (now) => {
      const done = Math.min(length, (now - begin) / 1000 / SECONDS);
      this.#draw(Math.floor(done) + Math.min(1, (done % 1) / DRAWING));
      if (done < length) this.frame = requestAnimationFrame(go);
      else this.#stop();
    };
    this.play.textContent = texts.pause;
    this.frame = requestAnimationFrame(go);
  }

  #stop() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.play.textContent = texts.play;
  }

  /** Show so many strokes, of which the last may be in the middle, and what the network makes of it. */
  #draw(done) {
    const { images, places, strokes } = this.found;
    const { network } = page;
    const [whole, part] = [Math.floor(done), done % 1];
    const pixels = part ? partly(images[whole], images[whole + 1], places[whole], part) : images[whole];
    paintPixels(this.canvas, pixels, network.inputShape);
    this.#mark(strokes, done);
    this.slider.value = done;
    this.slider.setAttribute("aria-valuetext", texts.step(decimal(done, part ? 1 : 0), strokes.length));
    const chances = network.predict(pixels);
    const best = chances.indexOf(Math.max(...chances));
    for (const { k, fill, probability, item } of this.shown) {
      item.classList.toggle("best", k === best);
      fill.style.setProperty("--p", chances[k].toFixed(4));
      probability.textContent = percent(chances[k]);
    }
  }

  #mark(strokes, done) {
    const context = this.marks.getContext("2d");
    const scale = this.marks.width / page.network.inputShape[2];
    const style = getComputedStyle(this.root);
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    Object.assign(context, { lineCap: "round", lineJoin: "round", globalAlpha: 0.6 });
    strokes.forEach(({ points, width, added }, i) => {
      const last = Math.min(1, done - i) * (points.length - 1);
      if (last <= 0) return;
      context.strokeStyle = style.getPropertyValue(added ? "--drawn" : "--erased");
      context.lineWidth = width * scale;
      context.beginPath();
      for (let at = 0; at <= Math.ceil(last); at++) {
        const t = Math.min(at, last);
        const [from, to] = [points[Math.floor(t)], points[Math.ceil(t)]];
        const place = [0, 1].map((c) => (from[c] + (t % 1) * (to[c] - from[c]) + 0.5) * scale);
        context.lineTo(...place);
      }
      context.stroke();
    });
  }
}

function same(a, b) {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
