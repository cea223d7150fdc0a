/** The outputs of each layer as small maps, one row per layer, each a button. */
import { largest, paint } from "./colours.js";
import { button, element, roving } from "./dom.js";
import { plainNumber } from "./numbers.js";

const DOES = {
  Conv2d: (l) => `${l.shape[0]} filters of ${l.kernel.join("×")}, applied at every position`,
  MaxPool2d: (l) => `the largest value of each ${l.kernel.join("×")}`,
  AvgPool2d: (l) => `the mean of each ${l.kernel.join("×")}`,
  BatchNorm2d: () => "normalises each map",
  ReLU: () => "sets negative values to zero",
  Tanh: () => "squeezes values between −1 and 1",
  Sigmoid: () => "squeezes values between 0 and 1",
  Softmax: () => "turns outputs into probabilities",
  Linear: (l) => `${l.shape[0]} weighted sums of all values before`,
  Flatten: () => "puts all values into one row",
  Dropout: () => "changes nothing here: it sets values to 0 in training only",
  Identity: () => "changes nothing",
};

/** Whether each layer's values can be negative. */
export function signs(layers) {
  let signed = true; // of an image, after preprocessing
  return layers.map(({ kind }) => {
    if (["ReLU", "Sigmoid", "Softmax"].includes(kind)) signed = false;
    else if (["Conv2d", "Linear", "BatchNorm2d", "Tanh"].includes(kind)) signed = true;
    return signed;
  });
}

/** How an output is drawn: [count, height, width] of its maps; a vector in rows, the more the wider. */
function drawnShape(shape) {
  if (shape.length === 3) return shape;
  const width = Math.min(shape[0], Math.max(32, Math.ceil(Math.sqrt(4 * shape[0]))));
  return [1, Math.ceil(shape[0] / width), width];
}

/** Paint one map of a row; `bound` is the value at the end of its colour scale. */
export function paintMap(canvas, { width, height, colours, signed, bound }, values, map) {
  paint(canvas, values, map * width * height, width, height, colours, signed, bound);
}

/** The rows of layers, and how to fill them. */
export class LayerMaps {
  /** @param open is called with the number of a layer and of its map when that is chosen */
  constructor(place, { layers }, scales, open) {
    const signed = signs(layers);
    this.rows = layers.map((layer, number) => {
      const [count, height, width] = drawnShape(layer.shape);
      const colours = signed[number] ? scales.signed : scales.positive;
      return { layer, number, count, height, width, colours, signed: signed[number] };
    });
    for (const row of this.rows) place.append(this.#element(row, open));
  }

  #element(row, open) {
    const { layer, count, width, height } = row;
    const [low, high] = [element("span"), element("span")];
    Object.assign(row, { low, high });
    const scale = element("p", "scale", low, this.#ramp(row), high);
    const does = element("p", "fine", DOES[layer.kind](layer));
    const about = element("div", "", element("h4", "", layer.name), does, scale);
    const isMap = layer.shape.length === 3;
    row.buttons = Array.from({ length: count }, (_, k) => {
      const canvas = element("canvas", "pixels");
      Object.assign(canvas, { width, height });
      const made = button("", () => open(row.number, k), canvas);
      made.setAttribute("aria-label", `${isMap ? `map ${k + 1}` : "output"} of ${layer.name}: how it comes about`);
      return made;
    });
    roving(row.buttons, () => {
      const top = row.buttons[0].offsetTop;
      const next = row.buttons.findIndex((each) => each.offsetTop > top);
      return next < 0 ? row.buttons.length : next;
    });
    const maps = element("div", "maps", ...row.buttons);
    maps.setAttribute("role", "group");
    maps.setAttribute("aria-label", `${count === 1 ? "output" : `${count} maps`} of ${layer.name}`);
    const side = isMap ? Math.max(36, Math.min(64, 20 + 2 * width)) : Math.min(16 * width, 672);
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
  show({ layers }) {
    for (const row of this.rows) {
      const { values } = layers[row.number];
      row.bound = largest(values);
      row.low.textContent = row.signed ? plainNumber(-row.bound) : "0";
      row.high.textContent = plainNumber(row.bound);
      row.buttons.forEach((each, k) => paintMap(each.firstChild, row, values, k));
    }
  }
}
