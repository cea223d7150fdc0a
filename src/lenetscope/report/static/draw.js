/** The drawing panel: a pad for mouse, finger, pen and keyboard, the network's input, its prediction. */
import { paintPixels } from "./colours.js";
import { button, element } from "./dom.js";
import { marks, onlyDots, sideBySide } from "./marks.js";
import { percent } from "./numbers.js";
import { brightest, prepare } from "./prepare.js";

const PEN = 0.08; // width, as a fraction of the pad's side
const COLOURS = {
  ...{ white: "#ffffff", black: "#000000", red: "#d62728", orange: "#ff7f0e", yellow: "#ffd92f" },
  ...{ green: "#2ca02c", blue: "#1f77b4", brown: "#8c564b" },
};
const KEY_STEP = 0.03; // the same, per key press

/** The panel. */
export class DrawingPanel {
  /**
   * @param find returns the element of an id
   * @param onRun is called with the outputs of each run
   */
  constructor(find, onRun) {
    Object.assign(this, { find, onRun });
    this.pad = find("pad");
    this.context = this.pad.getContext("2d", { willReadFrequently: true });
    this.#listen();
  }

  /**
   * Draw for a network, on an empty pad.
   * @param familiar tells which runs are like those of the training images; null if nothing does
   */
  use(network, familiar) {
    Object.assign(this, { network, familiar });
    const [channels, height, width] = network.inputShape;
    const longest = Math.max(width, height);
    this.pad.width = Math.round((280 * width) / longest);
    this.pad.height = Math.round((280 * height) / longest);
    this.pad.style.aspectRatio = `${width} / ${height}`;
    this.pad.style.setProperty("--shape", width / height);
    this.#offerColours(channels >= 3);
    this.#makeBars();
    this.clear();
  }

  /** Start again with an empty pad. */
  clear() {
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.pad.width, this.pad.height);
    this.exact = null;
    this.place = null;
    this.greeting = false;
    this.update();
  }

  /** Show a test image until the first stroke, so that the page does not begin empty. */
  greet(pixels, text) {
    this.load(pixels, text);
    this.greeting = true;
  }

  /** Put a test image onto the pad, to be drawn on; the network is given exactly its pixels. */
  load(pixels, text) {
    const small = document.createElement("canvas");
    paintPixels(small, pixels, this.network.inputShape);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, this.pad.width, this.pad.height);
    this.exact = { pixels, text };
    this.greeting = false;
    this.update();
  }

  /** Let the pen have a colour, and fill the pad with it: centring is for what is light on black. */
  #offerColours(offered) {
    const chosen = this.find("pen-colour");
    this.find("colours").hidden = !offered;
    this.find("centre").parentElement.hidden = offered;
    this.find("swatches").replaceChildren();
    chosen.value = "#ffffff";
    if (!offered) return;
    this.find("centre").checked = false;
    const swatches = Object.entries(COLOURS).map(([name, colour]) => {
      const made = button("swatch", () => (chosen.value = colour));
      made.style.background = colour;
      made.setAttribute("aria-label", `${name} pen`);
      return made;
    });
    this.find("swatches").append(...swatches);
  }

  #fill(colour) {
    this.#begin();
    this.context.fillStyle = colour;
    this.context.fillRect(0, 0, this.pad.width, this.pad.height);
    this.update();
  }

  /** Run the network on what is on the pad now. */
  update() {
    this.waiting = false;
    const drawn = this.exact ? null : this.#drawn();
    const { width, height } = this.pad;
    const whole = { left: 0, top: 0, width, height };
    const { pixels, empty, seen } = drawn
      ? prepare(drawn, width, height, this.network.inputShape, this.find("centre").checked)
      : { ...this.exact, empty: false, seen: whole };
    this.seen = seen; // the part of the pad that the network's input shows
    paintPixels(this.find("input"), pixels, this.network.inputShape);
    this.find("prepared").textContent = this.#preparation(empty);
    const run = this.network.run(this.network.preprocess(pixels));
    this.#show(run.probabilities, empty, empty ? null : this.#refusal(drawn, run));
    this.onRun(run, pixels, empty);
  }

  #preparation(empty) {
    if (this.exact) return this.exact.text;
    if (empty) return "Nothing yet.";
    return this.find("centre").checked
      ? "Scaled into a box and centred by its mass."
      : "Made smaller, not moved.";
  }

  /** What is on the pad, one array per channel. */
  #drawn() {
    const { width, height } = this.pad;
    const { data } = this.context.getImageData(0, 0, width, height);
    const [channels] = this.network.inputShape;
    return Array.from({ length: channels }, (_, c) =>
      Float32Array.from({ length: width * height }, (_, i) => data[4 * i + (channels < 3 ? 0 : Math.min(c, 2))]),
    );
  }

  /** Why what is drawn gets no answer, as [heading, reason]; null if it gets one. */
  #refusal(drawn, run) {
    if (!this.familiar) return null;
    const { digits, refused, images } = this.familiar;
    if (drawn && digits) {
      const boxes = marks(brightest(drawn), this.pad.width, this.pad.height);
      if (onlyDots(boxes, this.#pen)) return ["Only a dot", "A digit needs a longer stroke."];
      const count = sideBySide(boxes);
      if (count > 1) return ["More than one digit?", `${count} marks stand side by side. The network reads one digit.`];
    }
    if (this.familiar.knows(run)) return null;
    return [
      digits ? "No digit that this network knows" : "Nothing that this network knows",
      "The outputs of its layers are farther from those of every class than for " +
        `${percent(1 - refused)} of ${images.toLocaleString("en")} validation images.`,
    ];
  }

  get #pen() {
    return PEN * Math.max(this.pad.width, this.pad.height);
  }

  #soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => this.update());
  }

  #makeBars() {
    const { classes } = this.network;
    this.find("bars").replaceChildren();
    this.find("panel").classList.toggle("many", classes.length > 14);
    const longest = Math.max(...classes.map((name) => name.length));
    this.find("bars").classList.toggle("wordy", longest > 3);
    this.find("bars").style.setProperty("--label", `${(0.65 * Math.min(longest, 14) + 0.3).toFixed(2)}em`);
    this.bars = classes.map((name) => {
      const fill = element("i");
      const label = element("span", "label", name);
      label.title = name;
      const probability = element("span", "probability");
      const item = element("li", "", label, element("span", "bar", fill), probability);
      this.find("bars").append(item);
      return { item, fill, probability };
    });
  }

  #show(probabilities, empty, refusal) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.bars.forEach(({ item, fill, probability }, k) => {
      item.classList.toggle("best", !empty && k === best);
      fill.style.setProperty("--p", empty ? 0 : probabilities[k].toFixed(4));
      probability.textContent = empty ? "" : percent(probabilities[k]);
    });
    this.find("bars").classList.toggle("muted", refusal !== null);
    const answer = `${this.network.classes[best]}, with ${percent(probabilities[best])}`;
    const [heading, reason] = empty ? ["Draw something.", ""] : (refusal ?? [answer, ""]);
    clearTimeout(this.announcing); // a screen reader reads the last prediction, not each on the way
    this.announcing = setTimeout(() => {
      this.find("prediction").textContent = heading;
      this.find("refused").textContent = reason && `${reason} If it had to choose: ${answer}.`;
    }, 120);
  }

  /** Draw a line through places, [x, y] from 0 to 1 each. */
  trace(places) {
    const points = places.map(([x, y]) => [x * this.pad.width, y * this.pad.height]);
    points.slice(1).forEach((point, i) => this.#stroke(points[i], point));
    this.update();
  }

  /** From now on it is a drawing, and no test image. */
  #begin() {
    if (this.greeting) this.clear();
    this.exact = null;
  }

  #stroke(from, to) {
    const { context } = this;
    this.#begin();
    context.strokeStyle = this.find("pen-colour").value;
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = this.#pen;
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(to[0] + 0.01, to[1]);
    context.stroke();
    this.#soon();
  }

  #listen() {
    const { pad } = this;
    const at = (event) => {
      const box = pad.getBoundingClientRect();
      return [
        ((event.clientX - box.left) * pad.width) / box.width,
        ((event.clientY - box.top) * pad.height) / box.height,
      ];
    };
    let last = null;
    pad.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      event.preventDefault();
      pad.focus({ preventScroll: true });
      pad.setPointerCapture(event.pointerId);
      last = at(event);
      this.#stroke(last, last);
    });
    pad.addEventListener("pointermove", (event) => {
      if (!last) return;
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        const next = at(each);
        this.#stroke(last, next);
        last = next;
      }
    });
    for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => (last = null));
    pad.addEventListener("keydown", (event) => this.#key(event));
    this.find("clear").addEventListener("click", () => this.clear());
    this.find("fill").addEventListener("click", () => this.#fill(this.find("pen-colour").value));
    this.find("centre").addEventListener("change", () => this.update());
  }

  /** Arrow keys move the pen; Space lowers and lifts it. */
  #key(event) {
    const step = KEY_STEP * this.pad.width;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const here = this.place ?? { at: [this.pad.width / 2, this.pad.height / 4], down: false };
    if (event.key === " ") {
      here.down = !here.down;
      if (here.down) this.#stroke(here.at, here.at);
    } else if (event.key in moves) {
      const [dx, dy] = moves[event.key];
      const next = [
        Math.max(0, Math.min(this.pad.width, here.at[0] + dx)),
        Math.max(0, Math.min(this.pad.height, here.at[1] + dy)),
      ];
      if (here.down) this.#stroke(here.at, next);
      here.at = next;
    } else return;
    event.preventDefault();
    this.place = here;
    const x = Math.round((100 * here.at[0]) / this.pad.width);
    const y = Math.round((100 * here.at[1]) / this.pad.height);
    this.find("pad-help").textContent =
      `Pen ${here.down ? "down" : "up"}, ${x} % from the left, ${y} % from the top. ` +
      "Arrow keys move it, Space lowers and lifts it.";
  }
}
