/** The editor of one filter: what it is given, its numbers, and the map that it makes. */
import { largest, paint } from "../report/colours.js";
import { button, element } from "../report/dom.js";
import { decimal } from "../report/numbers.js";
import { colourCell } from "../report/tables.js";
import { firstChannel, paintStepMap } from "./kernels.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.filters;
const SCALE = { min: -2, max: 2, step: 0.05 };
const LARGEST = 1000; // the most that a number of a kernel may be
const DIGITS = 3; // decimals of its numbers
const GREYS = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));

/** The editor. */
export class FilterEditor {
  /** @param changes what it changes, see `Changes` */
  constructor(changes) {
    this.changes = changes;
    this.title = element("h4");
    this.off = button("", () => this.#scale(this.#change.scale === 0 ? 1 : 0));
    this.back = button("quiet", () => changes.reset(this.item, this.filter), texts.reset);
    this.back.setAttribute("aria-label", texts.resetThis);
    this.slider = Object.assign(element("input"), { type: "range", ...SCALE });
    this.slider.addEventListener("input", () => this.#scale(Number(this.slider.value)));
    this.number = element("output");
    this.kernel = element("div");
    this.given = element("canvas", "pixels");
    this.map = element("canvas", "pixels");
    this.channels = element("div");
    this.captions = [element("figcaption"), element("figcaption")];
    const [before, after] = [this.given, this.map].map((canvas, i) => element("figure", "", canvas, this.captions[i]));
    const sign = (text) => Object.assign(element("span", "sign", text), { ariaHidden: "true" });
    this.element = element(
      "section",
      "editor",
      element("div", "row", this.title, this.off, this.back),
      element("div", "grids", before, sign("×"), element("div", "scroll", this.kernel), sign("→"), after),
      this.channels,
      element("label", "scaling", element("span", "", texts.scale), this.slider, this.number),
    );
  }

  get #change() {
    return this.changes.of(this.item, this.filter);
  }

  /** Edit a filter; of its channels at first the one with the largest weights. */
  open(item, filter) {
    Object.assign(this, { item, filter });
    const sizes = Array.from({ length: item.channels }, (_, c) =>
      this.changes.kernel(item, filter, c).reduce((sum, value) => sum + value * value, 0),
    );
    this.channel = sizes.indexOf(Math.max(...sizes));
    this.element.setAttribute("aria-label", texts.name(filter + 1, item.name));
    this.title.textContent = texts.name(filter + 1, item.name);
    this.#offerChannels();
    this.#makeKernel();
    this.show();
  }

  #offerChannels() {
    const { item } = this;
    this.channels.replaceChildren();
    if (item.channels < 2) return;
    const first = firstChannel(item, this.filter);
    const options = Array.from({ length: item.channels }, (_, c) =>
      Object.assign(element("option", "", this.#inputName(first + c)), { value: c }),
    );
    const select = element("select", "", ...options);
    select.value = this.channel;
    select.addEventListener("change", () => {
      this.channel = Number(select.value);
      this.#makeKernel();
      this.show();
    });
    this.channels.append(element("label", "channel", texts.channels(item.channels), select));
  }

  /** What a channel of the input is called. */
  #inputName(channel) {
    const [number] = this.item.layer.inputs;
    if (number < 0) return texts.imageChannel(channel + 1, page.network.inputShape[0]);
    return texts.map(channel + 1, page.network.layers[number].name);
  }

  /** The numbers of the kernel, in a grid of its size. */
  #makeKernel() {
    const { item, filter, channel } = this;
    const body = element("tbody");
    this.inputs = Array.from({ length: item.area }, (_, i) => {
      const input = Object.assign(element("input"), { type: "number", step: 0.05, min: -LARGEST, max: LARGEST });
      input.setAttribute("aria-label", texts.weight(Math.floor(i / item.width) + 1, (i % item.width) + 1));
      input.addEventListener("input", () => {
        const value = input.valueAsNumber;
        if (!Number.isFinite(value)) return; // not finished
        const numbers = [...this.changes.kernel(item, filter, channel)];
        numbers[i] = Math.fround(Math.max(-LARGEST, Math.min(LARGEST, value)));
        this.changes.setKernel(item, filter, channel, numbers);
      });
      input.addEventListener("blur", () => this.#showKernel());
      if (i % item.width === 0) body.append(element("tr"));
      body.lastChild.append(element("td", "", input));
      return input;
    });
    this.kernel.replaceChildren(element("table", "grid", element("caption", "", texts.kernel), body));
  }

  #scale(scale) {
    this.changes.scale(this.item, this.filter, scale);
  }

  #showKernel() {
    const numbers = this.changes.kernel(this.item, this.filter, this.channel);
    const bound = largest(numbers);
    this.inputs.forEach((input, i) => {
      colourCell(input, page.scales.signed, numbers[i] / bound);
      if (input !== document.activeElement) input.value = numbers[i].toFixed(DIGITS);
    });
  }

  /** Show a map of a step, or, for -1, a channel of the image, in grey. */
  #showInput(number, map) {
    if (number >= 0) {
      const output = page.outputs.layers[number];
      paintStepMap(this.given, output, map, page.scales.signed, largest(output.values));
      return;
    }
    const [, height, width] = page.network.inputShape;
    paint(this.given, page.pixels, map * height * width, width, height, GREYS, false, 255);
  }

  /** Show the filter as it is now, and what it makes of the drawing. */
  show() {
    if (!page.outputs) return;
    const { item, filter, channel } = this;
    const { scale } = this.#change;
    this.off.textContent = scale === 0 ? texts.on : texts.off;
    this.back.hidden = !this.changes.isChanged(item, filter);
    this.slider.value = scale;
    this.number.textContent = `× ${decimal(scale, 2)}`;
    this.#showKernel();
    const taken = firstChannel(item, filter) + channel;
    this.#showInput(item.layer.inputs[0], taken);
    const output = page.outputs.layers[item.numbers[0]];
    paintStepMap(this.map, output, filter, page.scales.signed, largest(output.values));
    this.captions[0].textContent = this.#inputName(taken);
    this.captions[1].textContent = item.channels > 1 ? texts.summed(item.channels) : texts.made;
  }
}
