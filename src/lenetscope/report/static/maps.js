/** The outputs of each layer as small maps, one row per layer, each a button. */
import { largest, paint } from "./colours.js";
import { button, element, roving } from "./dom.js";
import { plainNumber } from "./numbers.js";
import { ALONG, FORMULAS } from "./terms.js";

const DOES = {
  Image: ({ shape: [channels, height, width] }) => `what the network is given: ${channels > 1 ? `${channels} channels of ` : ""}${height}×${width} pixels`,
  Conv2d: (l) => `${l.shape[0]} filters of ${l.kernel.join("×")}, applied at every position`,
  MaxPool2d: (l) => `the largest value of each ${l.kernel.join("×")}`,
  AvgPool2d: (l) => `the mean of each ${l.kernel.join("×")}`,
  BatchNorm: (l) => `normalises each ${l.shape.length === 3 ? "map" : "value"}`,
  ReLU: () => "sets negative values to zero",
  Tanh: () => "squeezes values between −1 and 1",
  Sigmoid: () => "squeezes values between 0 and 1",
  Softmax: () => "turns outputs into probabilities",
  Linear: (l) => `${l.shape.at(-1)} weighted sums of all values before`,
  Flatten: () => "puts all values into one row",
  Reshape: () => "gives the values another shape",
  Move: (l) => MOVED[l.what] ?? "puts values elsewhere",
  Add: (l) => (l.inputs.length > 1 ? "the sum of two outputs" : "adds a constant"),
  Sub: (l) => (l.inputs.length > 1 ? "the difference of two outputs" : "the difference from a constant"),
  Mul: (l) => (l.inputs.length > 1 ? "the product of two outputs" : "multiplies by a constant"),
  Div: (l) => (l.inputs.length > 1 ? "the quotient of two outputs" : "the quotient with a constant"),
  Maximum: () => "the larger of two values",
  Minimum: () => "the smaller of two values",
  Dropout: () => "changes nothing here: it sets values to 0 in training only",
};

const MOVED = {
  pad: "adds a frame",
  cat: "puts several outputs together",
  concat: "puts several outputs together",
  stack: "puts several outputs together",
  index: "chooses and repeats parts",
  index_select: "chooses and repeats parts",
  slice: "keeps a part",
  select: "keeps a part",
  chunk: "keeps a part",
  split: "keeps a part",
};

/** What a layer does, in a few words. */
function does(layer) {
  if (layer.kind === "Opaque") return layer.of;
  const step =
    DOES[layer.kind]?.(layer) ??
    (ALONG[layer.kind] ? `${ALONG[layer.kind]} of ${layer.count} values each` : FORMULAS[layer.kind](layer.args));
  return layer.steps ? `${layer.of}: ${layer.steps} steps, the last ${step}` : step;
}

const POSITIVE = ["ReLU", "Sigmoid", "Hardsigmoid", "Softplus", "Softmax", "Exp", "Abs", "Sqrt", "Square", "Norm"];
const AS_BEFORE = ["MaxPool2d", "AvgPool2d", "Flatten", "Reshape", "Dropout", "Move", "Sum", "Mean", "Max", "Min"];

/** Whether each layer's values can be negative. */
export function signs(layers) {
  const signed = [];
  for (const { kind, inputs, filling = 0, args = [], operands } of layers) {
    const before = inputs.some((number) => signed[number] ?? true); // an image's are, after preprocessing
    if (POSITIVE.includes(kind) || (kind === "Clamp" && args[0] !== null && args[0] >= 0)) signed.push(false);
    else if (AS_BEFORE.includes(kind)) signed.push(before || filling < 0);
    else signed.push(before || kind !== "Add" || inputs.length < operands.length);
  }
  return signed;
}

/** How an output is drawn: [count, height, width] of its maps; a vector in rows, the more the wider. */
function drawnShape(shape) {
  if (shape.length === 2) return [1, ...shape];
  if (shape.length > 2) return [shape.slice(0, -2).reduce((a, b) => a * b), ...shape.slice(-2)];
  const width = Math.min(shape[0], Math.max(32, Math.ceil(Math.sqrt(4 * shape[0]))));
  return [1, Math.ceil(shape[0] / width), width];
}

const GREYS = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));

/** How the image is drawn: each channel in grey, as it was before normalisation; its number is -1. */
export function imageRow({ inputShape, mean, std }) {
  const [count, height, width] = inputShape;
  const layer = { name: "the image", kind: "Image", shape: inputShape, inputs: [], mean, std };
  const channelOf = (i) => Math.floor(i / (height * width));
  const shown = (values) => values.map((value, i) => value * (std[channelOf(i)] ?? 1) + (mean[channelOf(i)] ?? 0));
  return { layer, number: -1, count, height, width, colours: GREYS, signed: false, bound: 1, shown };
}

/** Paint one map of a row; `bound` is the value at the end of its colour scale. */
export function paintMap(canvas, { width, height, colours, signed, bound }, values, map) {
  paint(canvas, values, map * width * height, width, height, colours, signed, bound);
}

/** The rows of layers, and how to fill them. */
export class LayerMaps {
  /** @param open is called with the number of a layer (-1: the image) and of its map when that is chosen */
  constructor(place, network, scales, open) {
    const { layers } = network;
    const signed = signs(layers);
    this.rows = layers.map((layer, number) => {
      const [count, height, width] = drawnShape(layer.shape);
      const colours = signed[number] ? scales.signed : scales.positive;
      return { layer, number, count, height, width, colours, signed: signed[number] };
    });
    this.waiting = new Map();
    this.seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.#see(target, isIntersecting);
    });
    this.image = imageRow(network);
    // what goes on inside of a layer is not listed: the dialog leads to it
    for (const row of [this.image, ...this.rows.filter(({ layer }) => !layer.inside)]) {
      const made = this.#element(row, open);
      place.append(made);
      this.waiting.set(made, row);
      this.seen.observe(made);
    }
    addEventListener("beforeprint", () => this.waiting.forEach((row) => this.#paint(row)));
  }

  /** Paint a row when it comes into view; those out of view wait, because a network may have thousands of maps. */
  #see(element, isVisible) {
    const row = this.waiting.get(element);
    row.visible = isVisible;
    if (isVisible && row.stale) this.#paint(row);
  }

  #element(row, open) {
    const { layer, count, width, height } = row;
    const [low, high] = [element("span"), element("span")];
    Object.assign(row, { low, high });
    const scale = element("p", "scale", low, this.#ramp(row), high);
    const about = element("div", "", element("h4", "", layer.name), element("p", "fine", does(layer)), scale);
    const isMap = layer.shape.length === 3;
    const word = row === this.image ? "channel" : "map";
    row.buttons = Array.from({ length: count }, (_, k) => {
      const canvas = element("canvas", "pixels");
      Object.assign(canvas, { width, height });
      const made = button("", () => open(row.number, k), canvas);
      made.setAttribute("aria-label", `${isMap ? `${word} ${k + 1}` : "output"} of ${layer.name}: how it comes about`);
      return made;
    });
    roving(row.buttons, () => {
      const top = row.buttons[0].offsetTop;
      const next = row.buttons.findIndex((each) => each.offsetTop > top);
      return next < 0 ? row.buttons.length : next;
    });
    const maps = element("div", "maps", ...row.buttons);
    maps.setAttribute("role", "group");
    maps.setAttribute("aria-label", `${count === 1 ? "output" : `${count} ${word}s`} of ${layer.name}`);
    const side = row === this.image ? 84 : isMap ? Math.max(36, Math.min(64, 20 + 2 * width)) : Math.min(16 * width, 672);
    maps.style.setProperty("--side", `min(${side}px, 100%)`);
    return element("div", "layer", about, maps);
  }

  #ramp({ signed, colours }) {
    const bar = element("canvas");
    const ramp = Float32Array.from({ length: 64 }, (_, i) => (signed ? i / 31.5 - 1 : i / 63));
    paint(bar, ramp, 0, 64, 1, colours, signed, 1);
    bar.setAttribute("aria-hidden", "true");
    return bar;
  }

  /** Show the outputs of a run. */
  show({ layers, input }) {
    Object.assign(this.image, { values: this.image.shown(input), stale: true });
    for (const row of this.rows) {
      row.values = layers[row.number].values;
      row.bound = largest(row.values);
      row.stale = true;
    }
    for (const row of this.waiting.values()) if (row.visible) this.#paint(row);
  }

  #paint(row) {
    row.stale = false;
    row.low.textContent = row.signed ? plainNumber(-row.bound) : "0";
    row.high.textContent = row === this.image ? "255" : plainNumber(row.bound);
    row.buttons.forEach((each, k) => paintMap(each.firstChild, row, row.values, k));
  }
}
