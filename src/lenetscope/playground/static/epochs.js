/** The view "epochs": the same drawing, seen by the network after every epoch that the run has kept. */
import { largest } from "../report/colours.js";
import { button, element } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { Ages } from "./ages.js";
import { Curves, lineSign } from "./curves.js";
import { paintFilter, paintStepMap, pictureBound, scaleBar, weightedLayers } from "./kernels.js";
import { page } from "./page.js";
import { ask } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.epochs;
const STEP = 700; // milliseconds per epoch while it plays
const PATIENCE = 150; // milliseconds without a stroke until the curves are computed again
const CLASSES = 5; // curves of so many classes
const VIEW = "epochs";

/** See the view's heading. */
class Epochs extends HTMLElement {
  connectedCallback() {
    this.#makeBar();
    page.on("network", () => this.#restart());
    page.on("weights", () => this.#follow());
    page.on("run", () => this.#isOpen && this.#showRun());
    page.on("view", () => this.#open());
  }

  get #isOpen() {
    return page.view === VIEW && this.ages?.areSeveral;
  }

  /** The way through the epochs; the other views have it in sight while an old epoch is shown. */
  #makeBar() {
    this.play = button("", () => this.#playOrStop());
    this.slider = Object.assign(element("input"), { type: "range", min: 0 });
    this.slider.setAttribute("aria-label", texts.slider);
    this.slider.addEventListener("input", () => {
      this.#stop();
      this.#choose(this.ages.epochs[this.slider.value]);
    });
    this.number = element("strong", "epoch-number");
    this.back = button("", () => {
      this.#stop();
      this.#choose(this.ages.last);
    });
    this.bar = element("div", "notice epoch-bar", this.play, this.slider, this.number, this.back);
    this.bar.hidden = true;
    document.getElementById("notices").append(this.bar);
  }

  /** Begin with another network. */
  #restart() {
    this.#stop();
    this.ages = new Ages();
    Object.assign(this, { probabilities: null, history: null, image: null, base: null, asking: null });
    this.replaceChildren();
    if (!this.ages.areSeveral) {
      const { refusal, live, run } = page.facts;
      this.append(element("p", "say", refusal ? texts.opaque(refusal) : live ? texts.live : texts.none(run)));
      return;
    }
    this.#build();
    this.#open();
  }

  #build() {
    const { epochs, kept } = this.ages;
    this.scores = element("p", "fine");
    this.trouble = element("p", "refusal");
    this.trouble.hidden = true;
    const follow = (epoch) => {
      this.#stop();
      this.#choose(epochs[this.ages.nearest(epoch)]);
    };
    this.chart = new Curves(follow);
    this.legend = element("ul", "curve-legend blank");
    this.chart.element.classList.add("blank");
    this.answer = element("p", "fine");
    this.histories = ["accuracy", "loss"].map((what) => ({ what, chart: new Curves(follow) }));
    this.past = element("div", "columns");
    this.past.hidden = true;
    for (const { what, chart } of this.histories)
      this.past.append(element("div", "", element("h3", "", texts[what]), chart.element, this.#partsLegend()));
    this.filters = element("div", "ages");
    this.append(
      element("p", "say", texts.about),
      this.scores,
      this.trouble,
      element("h3", "", texts.probabilities),
      this.answer,
      this.chart.element,
      this.legend,
      this.filters,
      this.past,
    );
    if (epochs.length < kept) this.scores.before(element("p", "fine", texts.some(epochs.length, kept)));
    this.#buildFilters();
  }

  #partsLegend() {
    const item = (name) => element("li", "", lineSign(name), texts[name]);
    return element("ul", "curve-legend", item("valid"), item("train"));
  }

  /** The filters of the first convolution, each above its map. */
  #buildFilters() {
    this.first = weightedLayers(page.network).find(({ kind }) => kind === "Conv2d") ?? null;
    if (!this.first) return;
    const { name, filters, channels } = this.first;
    this.pairs = Array.from({ length: filters }, () => {
      const [kernel, map] = [element("canvas", "pixels"), element("canvas", "pixels")];
      return { pair: element("div", "pair-of", kernel, map), kernel, map };
    });
    this.scale = element("div");
    const grid = element("div", "pairs-of", ...this.pairs.map(({ pair }) => pair));
    grid.setAttribute("role", "img");
    grid.setAttribute("aria-label", texts.pairs(filters, name));
    this.filters.append(element("h3", "", texts.filters(name)), element("p", "fine", texts.above(channels)), this.scale, grid);
    Object.assign(this, { bound: 0, measured: new WeakSet() });
  }

  /** The view was chosen, or left. */
  #open() {
    this.#follow();
    if (!this.#isOpen) return;
    this.#showRun();
    this.#askHistory();
  }

  /** Show the network after an epoch. */
  async #choose(epoch) {
    this.#tell("");
    try {
      await this.ages.show(epoch);
    } catch (error) {
      if (!error.isLate) this.#tell(error.message);
    }
  }

  #tell(trouble) {
    if (!this.trouble) return;
    this.trouble.textContent = trouble;
    this.trouble.hidden = !trouble;
  }

  /** The weights have changed, perhaps to those of another epoch. */
  #follow() {
    const { ages, bar, slider } = this;
    if (!ages) return;
    if (page.base !== this.base) this.base = page.base;
    else this.image = null; // the same epoch: a filter was changed, and with it every curve
    bar.hidden = !ages.isOld && !this.#isOpen;
    bar.classList.toggle("plain", !ages.isOld);
    this.back.textContent = texts.back(ages.last);
    this.number.textContent = texts.epoch(ages.shown, Math.max(...ages.epochs, ages.last));
    if (!ages.areSeveral) return;
    slider.max = ages.epochs.length - 1;
    slider.value = ages.nearest(ages.shown);
    slider.setAttribute("aria-valuetext", this.number.textContent);
    if (this.#isOpen) this.#showScores();
  }

  /** The network ran. */
  #showRun() {
    if (!page.outputs) return;
    this.#showFilters();
    this.#showCurves();
    const { pixels } = page;
    if (this.image && this.image.length === pixels.length && this.image.every((value, i) => value === pixels[i])) return;
    this.image = pixels;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#compute(), this.probabilities ? PATIENCE : 0);
  }

  /** Run the network after each epoch on the drawing; a newer drawing ends it. */
  async #compute() {
    const { ages, image } = this;
    const { input } = page.outputs;
    const network = Object.create(page.network);
    const found = new Map();
    try {
      for (const epoch of ages.epochs) {
        const weights = await ages.load(epoch);
        await new Promise((goOn) => setTimeout(goOn)); // the pad goes first
        if (this.image !== image || this.ages !== ages) return;
        if (!this.#isOpen) {
          this.image = null;
          return;
        }
        network.weights = page.edits.size ? weights.slice() : weights;
        for (const edit of page.edits.values()) edit(network.weights, network);
        found.set(epoch, network.run(input).probabilities);
      }
    } catch (error) {
      if (!error.isLate) this.#tell(error.message);
      return;
    }
    this.probabilities = found;
    this.#showFilters();
    this.#showCurves();
  }

  #showCurves() {
    const { ages, probabilities } = this;
    const drawn = probabilities && !page.empty;
    for (const each of [this.chart.element, this.legend]) each.classList.toggle("blank", !drawn);
    if (!drawn) {
      this.answer.textContent = page.empty ? texts.empty : texts.waiting;
      return;
    }
    const { classes } = page.network;
    const { epochs, shown } = ages;
    const at = (epoch, k) => probabilities.get(epoch)[k];
    const most = (k) => Math.max(...epochs.map((epoch) => at(epoch, k)));
    const chosen = classes.map((_, k) => k).sort((a, b) => most(b) - most(a)).slice(0, CLASSES);
    chosen.sort((a, b) => at(ages.last, b) - at(ages.last, a));
    const now = epochs[ages.nearest(shown)];
    this.chart.show({
      ...{ label: texts.curves(now, chosen.map((k) => `${classes[k]} ${percent(at(now, k), 0)}`)) },
      ...{ low: 0, high: 1, format: (value) => `${100 * value} %`, epochs, shown: now },
      lines: chosen.map((k, i) => ({ name: `class-${i}`, points: epochs.map((epoch) => [epoch, at(epoch, k)]) })),
    });
    const items = chosen.map((k, i) => {
      const name = element("span", "name", classes[k]);
      name.title = classes[k];
      return element("li", "", lineSign(`class-${i}`), name, element("b", "", percent(at(now, k))));
    });
    this.legend.replaceChildren(...items);
    const best = epochs.map((epoch) => probabilities.get(epoch).indexOf(Math.max(...probabilities.get(epoch))));
    const final = best[epochs.indexOf(ages.last)];
    const others = epochs.filter((_, i) => best[i] !== final);
    const since = epochs.find((epoch) => epoch > Math.max(...others)) ?? ages.last;
    this.answer.textContent = texts.answer(classes[final], others.length ? since : null, ages.last);
  }

  #showFilters() {
    if (!this.first || !page.outputs) return;
    const { pairs, first, ages } = this;
    const [number] = first.numbers;
    const { weights } = page.network;
    // one scale for all epochs, so that the filters can be seen to grow
    const fresh = [...ages.weights.values(), page.base].filter((each) => !this.measured.has(each));
    for (const each of fresh) this.measured.add(each);
    const bound = Math.max(this.bound, ...fresh.map((each) => pictureBound(each, first)));
    if (bound > this.bound) this.scale.replaceChildren(scaleBar(bound, page.scales.signed));
    this.bound = bound;
    const output = page.outputs.layers[number];
    const most = largest(output.values);
    pairs.forEach(({ kernel, map }, f) => {
      paintFilter(kernel, weights, first, f, null, this.bound, page.scales.signed);
      paintStepMap(map, output, f, page.scales.signed, most);
    });
  }

  async #askHistory() {
    const { ages } = this;
    if (this.history || this.asking === ages) return;
    this.asking = ages;
    try {
      const { history } = await ask("epochs", { run: page.facts.run });
      if (this.ages !== ages) return;
      this.history = history;
      this.#showScores();
    } catch (error) {
      if (!error.isLate) this.#tell(error.message);
      this.asking = null;
    }
  }

  /** What the run recorded of the epoch that is shown, and of all. */
  #showScores() {
    const { history, ages } = this;
    if (!history) return;
    this.scores.textContent = texts.scores(ages.shown, history[ages.shown - 1]);
    this.past.hidden = history.length < 2;
    for (const { what, chart } of this.histories) {
      const upper = what[0].toUpperCase() + what.slice(1);
      const lines = ["valid", "train"].map((name) => {
        const points = history.map((row) => [row.epoch, row[name + upper]]);
        return { name, points: points.filter(([, value]) => value !== null) };
      });
      const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
      chart.element.parentElement.hidden = !values.length;
      if (!values.length) continue;
      const low = what === "loss" ? 0 : Math.floor(10 * Math.min(...values)) / 10;
      const high = what === "loss" ? Math.max(...values) : 1;
      const format = what === "loss" ? (value) => value.toFixed(2) : (value) => `${(100 * value).toFixed(0)} %`;
      const epochs = history.map((row) => row.epoch);
      const shown = ages.shown > 0 && ages.shown <= history.length ? ages.shown : null;
      chart.show({ label: texts.history(texts[what]), lines, low, high, format, epochs, shown });
    }
  }

  #playOrStop() {
    if (this.timer) return this.#stop();
    const { ages } = this;
    const next = () => ages.epochs[ages.nearest(ages.shown) + 1];
    if (isStill()) return this.#choose(next() ?? ages.epochs[0]);
    this.#choose(next() === undefined ? ages.epochs[0] : next());
    this.play.textContent = texts.stop;
    this.timer = setInterval(() => {
      if (next() === undefined) return this.#stop();
      this.#choose(next());
    }, STEP);
  }

  #stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = isStill() ? texts.next : texts.play;
  }
}

/** Whether nothing may move by itself. */
const isStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

customElements.define("play-epochs", Epochs);
