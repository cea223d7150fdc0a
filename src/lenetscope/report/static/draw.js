/** The drawing panel: a pad, the network's input, its prediction. */
import { paintPixels } from "./colours.js";
import { button, element } from "./dom.js";
import { marks, onlyDots, sideBySide } from "./marks.js";
import { percent } from "./numbers.js";
import { Pad } from "./pad.js";
import { brightest, prepare } from "./prepare.js";

const COLOURS = {
  ...{ white: "#ffffff", black: "#000000", red: "#d62728", orange: "#ff7f0e", yellow: "#ffd92f" },
  ...{ green: "#2ca02c", blue: "#1f77b4", brown: "#8c564b" },
};

const REST = 120; // milliseconds after which the pen rests
const AT_LEAST = 400; // milliseconds between two predictions in words, while it moves

/** Which steps make an input of a drawing, see `prepare`; `normalise` is the mean and the deviation. */
export const stepsFor = (centred) => ({ box: centred, centre: centred, smooth: true, normalise: true });

/** The panel; `steps` may be changed before `update`. */
export class DrawingPanel {
  /**
   * @param find returns the element of an id
   * @param onRun is called with the outputs of each run, the pixels that were given, and whether it is empty
   */
  constructor(find, onRun) {
    Object.assign(this, { find, onRun, steps: stepsFor(false) });
    this.pad = new Pad(
      find("pad"),
      find("pad-help"),
      () => this.#soon(),
      () => this.undo(),
    );
    const colour = find("pen-colour");
    colour.addEventListener("input", () => (this.pad.colour = colour.value));
    find("clear").addEventListener("click", () => this.clear());
    find("fill").addEventListener("click", () => {
      this.pad.fill(colour.value);
      this.update();
    });
  }

  /**
   * Draw for a network; what is on the pad stays there, if its images have the same shape.
   * @param familiar tells which runs are like those of the training images; null if nothing does
   */
  use(network, familiar) {
    const { inputShape } = network;
    const isAlike = this.network && String(this.network.inputShape) === String(inputShape);
    Object.assign(this, { network, familiar });
    this.#makeBars();
    if (!isAlike) {
      this.pad.fit(inputShape);
      this.#offerColours(inputShape[0] >= 3);
    }
    this.update();
  }

  /** Start again with an empty pad. */
  clear() {
    this.pad.fill("#000000");
    this.update();
  }

  /** Take back what was done last. */
  undo() {
    if (this.pad.undo()) this.update();
  }

  /** Show a test image until the first stroke, so that the page does not begin empty. */
  greet(pixels, text) {
    this.load(pixels, text);
    Object.assign(this.pad, { greeting: true, past: [] });
  }

  /** Put an image onto the pad, to be drawn on; the network is given exactly its pixels. */
  load(pixels, text) {
    this.pad.load(pixels, this.network.inputShape, text);
    this.update();
  }

  /** Let the pen have a colour, and fill the pad with it. */
  #offerColours(offered) {
    const chosen = this.find("pen-colour");
    const choose = (colour) => (this.pad.colour = chosen.value = colour);
    this.find("colours").hidden = !offered;
    this.find("swatches").replaceChildren();
    choose("#ffffff");
    if (!offered) return;
    const swatches = Object.entries(COLOURS).map(([name, colour]) => {
      const made = button("swatch", () => choose(colour));
      made.style.background = colour;
      made.setAttribute("aria-label", `${name} pen`);
      return made;
    });
    this.find("swatches").append(...swatches);
  }

  /** Run the network on what is on the pad now. */
  update() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const { exact, width, height } = this.pad;
    const drawn = exact ? null : this.#drawn();
    this.prepared = drawn
      ? prepare(drawn, width, height, this.network.inputShape, this.steps)
      : { pixels: exact.pixels, empty: false, box: null, small: null, seen: { left: 0, top: 0, width, height } };
    const { pixels, empty, seen } = this.prepared;
    this.seen = seen; // the part of the pad that the network's input shows
    paintPixels(this.find("input"), pixels, this.network.inputShape);
    this.find("prepared").textContent = this.#preparation(empty);
    const given = this.steps.normalise ? this.network.preprocess(pixels) : Float32Array.from(pixels, (p) => p / 255);
    const answer = (run) => {
      this.#show(run.probabilities, empty);
      this.onRun(run, pixels, empty);
      // whether it gets an answer takes as long to find out as all else: now and then, and when the pen rests
      clearTimeout(this.announcing);
      const tell = () => this.#announce(drawn, run, empty);
      if (performance.now() - (this.announced ?? 0) > AT_LEAST) tell();
      else this.announcing = setTimeout(tell, REST);
    };
    const run = this.network.run(given, pixels);
    if (run instanceof Promise) run.then(answer, () => {}); // it was overtaken by a newer drawing
    else answer(run);
  }

  #preparation(empty) {
    if (this.pad.exact) return this.pad.exact.text;
    if (empty) return "Nothing yet.";
    const { box, centre } = this.steps;
    if (box) return centre ? "Scaled into a box and centred by its mass." : "Scaled into a box, not centred.";
    return centre ? "Made smaller and centred by its mass." : "Made smaller, not moved.";
  }

  /** What is on the pad, one array per channel. */
  #drawn() {
    const { width, height } = this.pad;
    const { data } = this.pad.context.getImageData(0, 0, width, height);
    const [channels] = this.network.inputShape;
    return Array.from({ length: channels }, (_, c) => {
      const values = new Float32Array(width * height); // a loop: this runs at each stroke
      const colour = channels < 3 ? 0 : Math.min(c, 2);
      for (let i = 0; i < values.length; i++) values[i] = data[4 * i + colour];
      return values;
    });
  }

  /** Why what is drawn gets no answer, as [heading, reason]; null if it gets one. */
  #refusal(drawn, run) {
    if (!this.familiar) return null;
    const { digits, refused, images } = this.familiar;
    if (drawn && digits) {
      const boxes = marks(brightest(drawn), this.pad.width, this.pad.height);
      if (onlyDots(boxes, this.pad.pen)) return ["Only a dot", "A digit needs a longer stroke."];
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

  /** Run once before the next frame, however many strokes come until then. */
  #soon() {
    this.frame ??= requestAnimationFrame(() => this.update());
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

  #show(probabilities, empty) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.bars.forEach(({ item, fill, probability }, k) => {
      item.classList.toggle("best", !empty && k === best);
      fill.style.setProperty("--p", empty ? 0 : probabilities[k].toFixed(4));
      probability.textContent = empty ? "" : percent(probabilities[k]);
    });
  }

  /** Say what the prediction is, or why there is none; a screen reader reads the last, not each on the way. */
  #announce(drawn, run, empty) {
    this.announced = performance.now();
    const refusal = empty ? null : this.#refusal(drawn, run);
    const { probabilities } = run;
    const best = probabilities.indexOf(Math.max(...probabilities));
    this.find("bars").classList.toggle("muted", refusal !== null);
    const answer = `${this.network.classes[best]}, with ${percent(probabilities[best])}`;
    const [heading, reason] = empty ? ["Draw something.", ""] : (refusal ?? [answer, ""]);
    this.find("prediction").textContent = heading;
    this.find("refused").textContent = reason && `${reason} If it had to choose: ${answer}.`;
  }
}
