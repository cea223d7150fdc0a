/** The dialog that shows how any value of a layer's output comes about. */
import { explainValue, position } from "./arithmetic.js";
import { button, element } from "./dom.js";
import { paintMap } from "./maps.js";
import { decimal, decimals, plainNumber } from "./numbers.js";
import { DESCRIBE } from "./terms.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const GREYS = Uint8Array.from({ length: 3 * 256 }, (_, i) => Math.floor(i / 3));

/** The dialog. */
export class Explainer {
  /** @param find returns the element of an id */
  constructor(find) {
    this.dialog = find("large");
    this.title = find("large-title");
    this.canvas = find("large-map");
    this.frame = find("large-place");
    this.about = find("large-text");
    this.value = find("large-value");
    this.terms = find("large-terms");
    this.turns = [find("previous-map"), find("next-map")];
    this.turns.forEach((each, i) => each.addEventListener("click", () => this.#turn(2 * i - 1)));
    find("large-close").addEventListener("click", () => this.dialog.close());
    this.#listen();
  }

  /** Explain a network; @param rows how each layer is drawn, see `LayerMaps` */
  use(network, rows, scales) {
    Object.assign(this, { network, rows, scales });
    if (this.dialog.open) this.dialog.close();
  }

  /** Show a place of a layer's output; by default that of the largest value of one map. */
  open(number, map, index = null) {
    const area = this.rows[number].width * this.rows[number].height;
    const sizes = Array.from(this.run.layers[number].values.subarray(map * area, (map + 1) * area), Math.abs);
    Object.assign(this, { number, chosen: null });
    this.index = index ?? map * area + sizes.indexOf(Math.max(...sizes));
    this.#render();
    if (!this.dialog.open) this.dialog.showModal();
    this.canvas.focus();
  }

  /** Take the outputs for another image. */
  show(run) {
    this.run = run;
    if (this.dialog.open) this.#render();
  }

  /** What a layer returned, or, for -1, the image: {name, shape, values}. */
  #outputs(number) {
    if (number >= 0) return this.run.layers[number];
    return { name: "the image", shape: this.network.inputShape, values: this.run.input };
  }

  /** The map of the place, and the place in it as it is drawn. */
  #here() {
    const { width, height } = this.rows[this.number];
    const rest = this.index % (width * height);
    return { map: Math.floor(this.index / (width * height)), x: rest % width, y: Math.floor(rest / width) };
  }

  #moveTo(map, x, y) {
    const { count, width, height } = this.rows[this.number];
    const within = (value, size) => Math.max(0, Math.min(size - 1, value));
    const place = ((map + count) % count) * height + within(y, height);
    const index = place * width + within(x, width);
    if (index === this.index || index >= this.run.layers[this.number].values.length) return;
    this.index = index;
    this.#render();
  }

  /** To the next map, or, with -1, to the one before; the place in it stays. */
  #turn(step) {
    const { map, x, y } = this.#here();
    this.chosen = null;
    this.#moveTo(map + step, x, y);
  }

  #listen() {
    const point = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const { width, height } = this.rows[this.number];
      const x = Math.floor(((event.clientX - box.left) * width) / box.width);
      const y = Math.floor(((event.clientY - box.top) * height) / box.height);
      this.#moveTo(this.#here().map, x, y);
    };
    for (const name of ["pointerdown", "pointermove"]) this.canvas.addEventListener(name, point);
    this.canvas.addEventListener("keydown", (event) => {
      const { map, x, y } = this.#here();
      if (event.key in STEPS) this.#moveTo(map, x + STEPS[event.key][0], y + STEPS[event.key][1]);
      else if (event.key === "PageUp") this.#turn(-1);
      else if (event.key === "PageDown") this.#turn(1);
      else return;
      event.preventDefault();
    });
  }

  #render() {
    const row = this.rows[this.number];
    const { layer, count, width, height } = row;
    const { map, x, y } = this.#here();
    const { values } = this.run.layers[this.number];
    const isMap = layer.shape.length === 3;
    const which = isMap || count > 1 ? `map ${map + 1} of ${count}` : "its values in rows";
    this.title.textContent = `${layer.name}: ${which}`;
    paintMap(this.canvas, row, values, map);
    this.canvas.parentElement.style.setProperty("--shape", width / height);
    placeFrame(this.frame, row, x, y, 1, 1);
    for (const each of this.turns) each.hidden = count < 2;
    this.about.textContent =
      `Point at a value or use the arrow keys${count > 1 ? "; Page Up and Page Down change the map" : ""}. ` +
      `The colour scale ends at ${plainNumber(row.bound)}.`;
    const inputs = layer.inputs.map((number) => this.#outputs(number));
    const found = explainValue(layer, inputs, this.index, this.network.weights);
    const parts =
      found.channels?.map((part) => part.sum) ??
      found.terms?.map((term) => term.product ?? term.input) ??
      found.operands?.map((operand) => operand.value) ??
      [];
    const digits = decimals([found.value, found.input ?? 0, ...parts]);
    this.value.replaceChildren(`${this.#title()}: `, element("strong", "", decimal(found.value, digits)));
    const { nodes, from, source = 0, ways = [{ from, source }] } = DESCRIBE[layer.kind]({
      ...{ layer, input: inputs[0], found, digits },
      ...{ network: this.network, colours: this.scales.signed, chosen: this.chosen },
      choose: (channel) => this.#choose(channel),
      inputMap: (channel, ...place) => this.#inputMap(channel, ...place),
      nameOf: (index, input = 0) => this.#nameOf(layer.inputs[input], index),
    });
    const back = ways.flatMap((way) => this.#goOn(layer.inputs[way.source], way.from));
    this.terms.replaceChildren(...nodes, ...back);
    this.dialog.dispatchEvent(new Event("place"));
  }

  #title() {
    const { shape } = this.run.layers[this.number];
    if (shape.length === 3) return placeName(shape, this.index, 2);
    const { classes } = this.network;
    const last = this.number >= this.rows.length - 2 && shape[0] === classes.length;
    const count = shape.reduce((a, b) => a * b);
    return `Value ${this.index + 1} of ${count}${last ? ` (class ${classes[this.index]})` : ""}`;
  }

  /** What a place of a layer's output is called, counted from 1. */
  #nameOf(number, index) {
    const { name, shape } = this.#outputs(number);
    if (shape.length !== 3) return `value ${index + 1} of ${name}`;
    return `${placeName(shape, index, 3).toLowerCase()} of ${name}`;
  }

  #choose(channel) {
    this.chosen = channel;
    this.#render();
    this.terms.querySelector("[aria-pressed=true]").focus();
  }

  /** A picture of one input map, with a frame around what the kernel covers. */
  #inputMap(channel, ...place) {
    const canvas = element("canvas", "pixels");
    canvas.setAttribute("aria-hidden", "true");
    const [number] = this.rows[this.number].layer.inputs;
    const { shape, values } = this.#outputs(number);
    const row = this.rows[number] ?? this.#imageRow(shape, channel);
    paintMap(canvas, row, row.shown?.(values) ?? values, channel);
    const frame = element("i", "frame");
    placeFrame(frame, row, ...place);
    return element("div", "framed small", canvas, frame);
  }

  /** How one channel of the image is drawn: in grey, as it was before normalisation. */
  #imageRow([, height, width], channel) {
    const { mean, std } = this.network;
    const shown = (values) => values.map((value) => value * (std[channel] ?? 1) + (mean[channel] ?? 0));
    return { width, height, colours: GREYS, signed: false, bound: 1, shown };
  }

  /** A button that shows how the input that matters most came about; none where that is the image. */
  #goOn(number, from) {
    if (number < 0 || from === undefined) return [];
    const { width, height } = this.rows[number];
    const go = () => this.open(number, Math.floor(from / (width * height)), from);
    return [button("quiet", go, `Go back to ${this.#nameOf(number, from)}`)];
  }
}

/** Put a frame around some columns and rows of a map; it may reach beyond the edge. */
function placeFrame(frame, { width, height }, x, y, columns, rows) {
  const part = (value) => `${(100 * value).toFixed(3)}%`;
  Object.assign(frame.style, { left: part(x / width), top: part(y / height) });
  Object.assign(frame.style, { width: part(columns / width), height: part(rows / height) });
}

/** "Map 2, row 3, column 4", or the last parts of that. */
function placeName(shape, index, parts) {
  const { channel, row, column } = position(index, shape);
  const text = [`map ${channel + 1}`, `row ${row + 1}`, `column ${column + 1}`].slice(-parts).join(", ");
  return text[0].toUpperCase() + text.slice(1);
}
