/** The outputs of each layer as small maps, one row per layer, that can be enlarged. */
import { largest, paint } from "./colours.js";
import { roving } from "./theme.js";

const HIDDEN = ["Flatten", "Dropout", "Identity"]; // they change no value
const WIDE = 32; // values of a vector in one row

const DOES = {
  Conv2d: (l) => `${l.shape[0]} filters of ${l.kernel.join("×")}, applied at every position`,
  MaxPool2d: (l) => `the largest value of each ${l.kernel.join("×")}`,
  AvgPool2d: (l) => `the mean of each ${l.kernel.join("×")}`,
  BatchNorm2d: () => "normalises each map",
  ReLU: () => "sets negative values to zero",
  Tanh: () => "squeezes values between −1 and 1",
  Sigmoid: () => "squeezes values between 0 and 1",
  Softmax: () => "turns logits into probabilities",
  Linear: (l) => `${l.shape[0]} weighted sums of all values before`,
};

/** A number with two or three digits. */
export function plainNumber(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(digits).replace("-", "−");
}

/** Whether each layer's values can be negative. */
export function signs(layers) {
  let signed = true; // of an image, after preprocessing
  return layers.map(({ kind }) => {
    if (["ReLU", "Sigmoid", "Softmax"].includes(kind)) signed = false;
    else if (["Conv2d", "Linear", "BatchNorm2d", "Tanh"].includes(kind)) signed = true;
    return signed;
  });
}

/** The rows of layers, and how to fill them. */
export class LayerMaps {
  constructor(place, dialog, network, scales) {
    this.scales = scales;
    this.dialog = dialog;
    const signed = signs(network.layers);
    this.rows = network.layers
      .map((layer, number) => this.#row(layer, number, signed[number]))
      .filter(Boolean);
    place.append(...this.rows.map((row) => row.element));
  }

  #row(layer, number, signed) {
    if (HIDDEN.includes(layer.kind)) return null;
    const [count, height, width] =
      layer.shape.length === 3
        ? layer.shape
        : [1, Math.ceil(layer.shape[0] / WIDE), Math.min(WIDE, layer.shape[0])];
    const element = document.createElement("div");
    element.className = "layer";
    const about = document.createElement("div");
    const title = document.createElement("h4");
    title.textContent = layer.name;
    const does = document.createElement("p");
    does.className = "fine";
    does.textContent = DOES[layer.kind](layer);
    const scale = document.createElement("p");
    scale.className = "scale";
    const bar = document.createElement("canvas");
    const colours = signed ? this.scales.signed : this.scales.positive;
    const ramp = Float32Array.from({ length: 64 }, (_, i) => (signed ? i / 31.5 - 1 : i / 63));
    paint(bar, ramp, 0, 64, 1, colours, signed, 1);
    bar.setAttribute("aria-hidden", "true");
    const [low, high] = [document.createElement("span"), document.createElement("span")];
    scale.append(low, bar, high);
    about.append(title, does, scale);
    const maps = document.createElement("div");
    maps.className = "maps";
    maps.setAttribute("role", "group");
    maps.setAttribute("aria-label", `${count === 1 ? "output" : `${count} maps`} of ${layer.name}`);
    const side = layer.shape.length === 3 ? Math.max(36, Math.min(64, 20 + 2 * width)) : 16 * width;
    maps.style.setProperty("--side", `min(${side}px, 100%)`);
    const buttons = Array.from({ length: count }, (_, k) => {
      const button = document.createElement("button");
      button.type = "button";
      const name = layer.shape.length === 3 ? `map ${k}` : "output";
      button.setAttribute("aria-label", `${name} of ${layer.name}, enlarge`);
      const canvas = document.createElement("canvas");
      canvas.className = "pixels";
      Object.assign(canvas, { width, height });
      button.append(canvas);
      button.addEventListener("click", () => this.#enlarge(row, k));
      return button;
    });
    maps.append(...buttons);
    roving(buttons, () => {
      const top = buttons[0].offsetTop;
      const next = buttons.findIndex((button) => button.offsetTop > top);
      return next < 0 ? buttons.length : next;
    });
    element.append(about, maps);
    const row = { element, layer, number, signed, count, width, height, colours, low, high, buttons };
    return row;
  }

  /** Show the outputs of a run. */
  show(run) {
    this.run = run;
    for (const row of this.rows) {
      const { values } = run.layers[row.number];
      row.bound = largest(values);
      row.low.textContent = row.signed ? plainNumber(-row.bound) : "0";
      row.high.textContent = plainNumber(row.bound);
      row.buttons.forEach((button, k) => this.#paint(button.firstChild, row, values, k));
    }
    if (this.dialog.open) this.#enlarge(this.open.row, this.open.map);
  }

  #paint(canvas, { width, height, colours, signed, bound }, values, map) {
    paint(canvas, values, map * width * height, width, height, colours, signed, bound);
  }

  #enlarge(row, map) {
    if (!this.run) return;
    this.open = { row, map };
    const { values } = this.run.layers[row.number];
    const part = values.subarray(map * row.width * row.height, (map + 1) * row.width * row.height);
    const canvas = this.dialog.querySelector("canvas");
    this.#paint(canvas, row, values, map);
    const name = row.layer.shape.length === 3 ? `map ${map} of ${row.count}` : "its values in rows";
    const title = `${row.layer.name}: ${name}`;
    this.dialog.querySelector("h3").textContent = title;
    canvas.setAttribute("aria-label", title);
    this.dialog.querySelector("p").textContent =
      `${row.layer.shape.join("×")} values in this layer; here from ${plainNumber(Math.min(...part))} ` +
      `to ${plainNumber(Math.max(...part))}, the scale ends at ${plainNumber(row.bound)}.`;
    if (!this.dialog.open) this.dialog.showModal();
  }
}
