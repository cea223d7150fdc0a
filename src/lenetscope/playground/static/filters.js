/** The view "filters": switch filters off, scale them, or change their numbers, and see what becomes of the answer. */
import { largest } from "../report/colours.js";
import { button, element, roving } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { colourCell } from "../report/tables.js";
import { Changes } from "./changes.js";
import { FilterEditor } from "./editor.js";
import { paintFilter, pictureBound, scaleBar, weightedLayers } from "./kernels.js";
import { page } from "./page.js";
import { ask } from "./server.js";
import { keep } from "./share.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.filters;
const VIEW = "filters";
const PATIENCE = 350; // milliseconds without a change until the images are counted again

/** See the view's heading. */
class Filters extends HTMLElement {
  connectedCallback() {
    this.changes = new Changes();
    this.summary = element("strong");
    this.prediction = element("span", "drawn");
    this.counted = element("p", "counted");
    this.counted.setAttribute("aria-live", "polite");
    const reset = button("", () => this.changes.resetAll(), texts.resetAll);
    this.bar = element("div", "notice", this.summary, this.prediction, reset, this.counted);
    this.bar.hidden = true;
    document.getElementById("notices").append(this.bar);
    page.on("network", () => this.#restart());
    const items = () => [...this.rows, ...this.unitRows].map(({ item }) => item);
    keep(VIEW, () => this.changes.asText(), (text) => this.changes.restore(text, items()));
    page.on("weights", () => this.#follow());
    page.on("run", () => {
      if (!this.bar.hidden) this.#showPrediction();
      if (this.#isOpen) this.#showRun();
    });
    page.on("view", () => this.#open());
  }

  get #isOpen() {
    return page.view === VIEW && Boolean(this.rows);
  }

  get #isEmpty() {
    return this.rows.length + this.unitRows.length === 0;
  }

  /** Begin with another network. */
  #restart() {
    this.changes.forget();
    clearTimeout(this.waiting);
    const found = weightedLayers(page.network);
    const last = found.findLast(({ kind }) => kind === "Linear");
    const isHidden = (item) => item.kind === "Linear" && item !== last && item.layer.shape.length === 1;
    this.rows = found.filter((item) => item.isModule && item.kind === "Conv2d").map((item) => this.#filterRow(item));
    this.unitRows = found.filter((item) => item.isModule && isHidden(item)).map((item) => this.#unitRow(item));
    this.counted.textContent = texts.counting;
    this.asked = this.chosen = this.base = null;
    this.editor = new FilterEditor(this.changes);
    const others = found.filter((item) => !item.isModule && item.kind === "Conv2d").length;
    const { refusal } = page.facts;
    const none = refusal ? texts.opaque(refusal) : texts.none(this.unitRows.length > 0);
    this.replaceChildren(
      element("h3", "unseen", texts.tab),
      element("p", "say", this.rows.length ? texts.about : none),
      ...[...this.rows, ...this.unitRows].map((row) => row.element),
      ...(others ? [element("p", "fine", texts.others(others))] : []),
    );
    if (this.rows.length) this.#choose(this.rows[0], 0);
    this.#open();
  }

  /** A convolution: its filters as pictures, each a button. */
  #filterRow(item) {
    const row = { item, channel: null };
    row.buttons = Array.from({ length: item.filters }, (_, f) => {
      const canvas = element("canvas", "pixels");
      canvas.setAttribute("aria-hidden", "true");
      return button("", () => this.#choose(row, f), canvas);
    });
    roving(row.buttons, () => columnsOf(row.buttons));
    row.grid = element("div", "kernels", ...row.buttons);
    row.grid.setAttribute("role", "group");
    row.grid.setAttribute("aria-label", texts.grid(item.filters, item.name));
    row.bar = element("div");
    const about = element("div", "", element("h4", "", item.name), element("p", "fine", texts.filters(item)));
    if (item.numbers.length > 1) about.append(element("p", "fine", texts.shared(item.numbers.length)));
    if (item.channels > 1) {
      row.select = channelSelect(item.channels, texts.mean(item.channels), (channel) => {
        row.channel = channel;
        this.#paintRow(row);
      });
      about.append(element("label", "channel", texts.shown, row.select));
    }
    about.append(row.bar);
    row.place = element("div", "", row.grid);
    row.element = element("div", "layer", about, row.place);
    return row;
  }

  /** A hidden linear layer: a button per unit, which switches it off and on again. */
  #unitRow(item) {
    const row = { item };
    row.buttons = Array.from({ length: item.filters }, (_, k) =>
      button("", () => this.changes.scale(item, k, this.changes.of(item, k).scale === 0 ? 1 : 0)),
    );
    roving(row.buttons, () => columnsOf(row.buttons));
    const grid = element("div", "hidden-units", ...row.buttons);
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", texts.units(item.filters, item.name));
    const about = element("div", "", element("h4", "", item.name), element("p", "fine", texts.aboutUnits(item.filters)));
    row.element = element("div", "layer", about, grid);
    return row;
  }

  #choose(row, filter) {
    Object.assign(this, { chosen: row });
    for (const each of this.rows)
      each.buttons.forEach((one, f) => one.setAttribute("aria-pressed", each === row && f === filter));
    row.place.append(this.editor.element);
    this.editor.open(row.item, filter);
  }

  /** The view was chosen, or left. */
  #open() {
    if (!this.rows) return;
    this.#summarize();
    if (!this.#isOpen) return;
    this.#paint();
    this.#showRun();
    if (this.failed) this.asked = null;
    this.#count(0);
  }

  /** Say what is changed, in sight of every view. */
  #summarize() {
    const [filters, units] = this.changes.counts;
    const isChanged = filters + units > 0;
    this.bar.hidden = !isChanged && (!this.#isOpen || this.#isEmpty);
    this.bar.classList.toggle("plain", !isChanged);
    this.summary.textContent = texts.changed(filters, units);
  }

  /** The weights have changed, by this view or by another. */
  #follow() {
    if (!this.rows) return;
    this.#summarize();
    if (!this.#isOpen) return;
    this.#paint();
    this.#count(PATIENCE);
  }

  #paint() {
    for (const row of this.rows) this.#paintRow(row);
    for (const { item, buttons } of this.unitRows)
      buttons.forEach((each, k) => {
        const isOff = this.changes.isChanged(item, k);
        each.setAttribute("aria-pressed", isOff);
        each.setAttribute("aria-label", texts.unit(k + 1, isOff));
      });
  }

  #paintRow(row) {
    const { item, channel, buttons } = row;
    const bound = pictureBound(page.base, item, channel);
    if (row.bound !== bound) {
      row.bound = bound;
      row.bar.replaceChildren(scaleBar(bound, page.scales.signed));
    }
    buttons.forEach((each, f) => {
      paintFilter(each.firstChild, page.network.weights, item, f, channel, bound, page.scales.signed);
      const isOff = this.changes.of(item, f).scale === 0;
      const isChanged = this.changes.isChanged(item, f);
      each.className = isOff ? "off" : isChanged ? "changed" : "";
      each.setAttribute("aria-label", texts.filter(f + 1, item.name, isOff, isChanged));
    });
  }

  #showRun() {
    if (!page.outputs) return;
    this.#showPrediction();
    if (this.chosen) this.editor.show();
    for (const { item, buttons } of this.unitRows) {
      const { values } = page.outputs.layers[item.numbers[0]];
      const bound = largest(values);
      buttons.forEach((each, k) => colourCell(each, page.scales.signed, values[k] / bound));
    }
  }

  /** The prediction stands in sight of what changes it: on a phone the drawing is far away. */
  #showPrediction() {
    const said = (probabilities) => {
      const best = probabilities.indexOf(Math.max(...probabilities));
      return texts.says(page.network.classes[best], percent(probabilities[best]));
    };
    const [before, now] = [said(this.#unedited()), said(page.outputs.probabilities)];
    this.prediction.textContent = page.empty ? "" : texts.prediction(before, now);
  }

  /** What the network says of the drawing without any change; it runs again for another drawing only. */
  #unedited() {
    const { base, pixels, network, outputs } = page;
    if (network.weights === base) return outputs.probabilities;
    if (this.base !== base || !this.pixels?.every((value, i) => value === pixels[i])) {
      const trained = Object.assign(Object.create(network), { weights: base });
      Object.assign(this, { base, pixels, probabilities: trained.run(outputs.input).probabilities });
    }
    return this.probabilities;
  }

  /** Let the server count what the edited network classifies correctly, after a while without changes. */
  #count(patience) {
    if (this.#isEmpty) return;
    const edits = this.changes.asPlain();
    const fields = { run: page.facts.run, epoch: page.epoch, edits };
    const asked = JSON.stringify(fields);
    if (asked === this.asked) return;
    this.asked = asked;
    this.counted.classList.add("stale");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(async () => {
      let text;
      this.failed = false;
      try {
        text = texts.counted(await ask("accuracy", fields));
      } catch (error) {
        if (error.isLate) return;
        text = [error.message];
        this.failed = true;
      }
      if (this.asked !== asked) return;
      this.counted.replaceChildren(...text.map((part, i) => (i % 2 ? element("strong", "", part) : part)));
      this.counted.classList.remove("stale");
    }, patience);
  }
}

/** How many of some elements stand in the first row. */
function columnsOf(elements) {
  const next = elements.findIndex((each) => each.offsetTop > elements[0].offsetTop);
  return next < 0 ? elements.length : next;
}

/** A choice among channels; `mean`, if given, stands for all of them: null. */
function channelSelect(count, mean, choose) {
  const option = (value, text) => Object.assign(element("option", "", text), { value });
  const channels = Array.from({ length: count }, (_, c) => option(c, texts.channel(c + 1)));
  const select = element("select", "", ...(mean ? [option("", mean)] : []), ...channels);
  select.addEventListener("change", () => choose(select.value === "" ? null : Number(select.value)));
  return select;
}

customElements.define("play-filters", Filters);
