/** The dialog that shows how any value of a layer's output comes about. */
import { explainValue, position } from "./arithmetic.js";
import { button, element } from "./dom.js";
import { imageRow, paintMap } from "./maps.js";
import { decimal, decimals, plainNumber } from "./numbers.js";
import { markingTape, Replay } from "./replay.js";
import { DESCRIBE } from "./terms.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

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
    this.replay = new Replay();
    this.replay.onSlide = () => this.slide(!this.sliding);
    this.terms.before(this.replay.element);
    this.isFirst = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.turns = [find("previous-map"), find("next-map")];
    this.turns.forEach((each, i) => each.addEventListener("click", () => this.#turn(2 * i - 1)));
    find("large-close").addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => this.replay.pause());
    this.#listen();
  }

  /** Explain a network; @param rows how each layer is drawn, see `LayerMaps` */
  use(network, rows, scales) {
    Object.assign(this, { network, rows, scales, image: imageRow(network) });
    if (this.dialog.open) this.dialog.close();
  }

  /** Show a place of a layer's output; by default that of the largest value of one map. */
  open(number, map, index = null) {
    Object.assign(this, { number, chosen: null, sliding: false });
    const area = this.row.width * this.row.height;
    const sizes = Array.from(this.#outputs(number).values.subarray(map * area, (map + 1) * area), Math.abs);
    this.index = index ?? map * area + sizes.indexOf(Math.max(...sizes));
    this.#render();
    if (!this.dialog.open) this.dialog.showModal();
    this.canvas.focus();
    if (this.isFirst && !this.replay.element.hidden) {
      this.isFirst = false; // once by itself, so that one sees that it can be replayed
      this.replay.play();
    }
  }

  /** How the layer that is shown is drawn. */
  get row() {
    return this.rows[this.number] ?? this.image;
  }

  /** Let the window of a layer move over its input, and fill its map place by place; or stop that. */
  slide(sliding) {
    this.sliding = sliding;
    this.#render();
    if (!sliding) return;
    const { width, height } = this.row;
    const first = this.#here().map * width * height;
    this.replay.use({ length: width * height, show: (at) => this.#fillTo(first + at), clear() {} });
    this.replay.play();
  }

  #fillTo(index) {
    this.index = index;
    this.#render();
    const { x, y } = this.#here();
    return { text: `row ${y + 1}, column ${x + 1}`, total: this.value.querySelector("strong").textContent };
  }

  /** Take the outputs for another image. */
  show(run) {
    this.run = run;
    this.sliding = false;
    if (this.dialog.open) this.#render();
  }

  /** What a layer returned, or, for -1, the image: {name, shape, values}. */
  #outputs(number) {
    if (number >= 0) return this.run.layers[number];
    return { name: "the image", shape: this.network.inputShape, values: this.run.input };
  }

  /** The map of the place, and the place in it as it is drawn. */
  #here() {
    const { width, height } = this.row;
    const rest = this.index % (width * height);
    return { map: Math.floor(this.index / (width * height)), x: rest % width, y: Math.floor(rest / width) };
  }

  #moveTo(map, x, y) {
    const { count, width, height } = this.row;
    const within = (value, size) => Math.max(0, Math.min(size - 1, value));
    const place = ((map + count) % count) * height + within(y, height);
    const index = place * width + within(x, width);
    if (index === this.index || index >= this.#outputs(this.number).values.length) return;
    this.index = index;
    this.sliding = false;
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
      const { width, height } = this.row;
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
    const { row } = this;
    const { layer, count, width, height } = row;
    const { map, x, y } = this.#here();
    const { values } = this.#outputs(this.number);
    const isMap = layer.shape.length === 3;
    const word = row === this.image ? "channel" : "map";
    const which = isMap || count > 1 ? `${word} ${map + 1} of ${count}` : "its values in rows";
    this.title.textContent = `${layer.name}: ${which}`;
    paintMap(this.canvas, row, row.shown?.(values) ?? values, map);
    if (this.sliding) {
      const context = this.canvas.getContext("2d");
      context.clearRect(x + 1, y, width, 1); // what the window has not come to
      context.clearRect(0, y + 1, width, height);
    }
    this.canvas.parentElement.style.setProperty("--shape", width / height);
    placeFrame(this.frame, row, x, y, 1, 1);
    for (const each of this.turns) each.hidden = count < 2;
    this.about.textContent =
      `Point at a value or use the arrow keys${count > 1 ? "; Page Up and Page Down change the map" : ""}. ` +
      `The colour scale ends at ${row === this.image ? 255 : plainNumber(row.bound)}.`;
    const inputs = layer.inputs.length ? layer.inputs.map((number) => this.#outputs(number)) : [{ values }];
    const found = explainValue(layer, inputs, this.index, this.network.weights);
    const parts =
      found.channels?.map((part) => part.sum) ??
      found.terms?.map((term) => term.product ?? term.input) ??
      found.operands?.map((operand) => operand.value) ??
      [];
    const digits = decimals([found.value, found.input ?? 0, ...parts]);
    this.value.replaceChildren(`${this.#title()}: `, element("strong", "", decimal(found.value, digits)));
    const { nodes, from, source = 0, ways = [{ from, source }], steps = [] } = DESCRIBE[layer.kind]({
      ...{ layer, input: inputs[0], found, digits },
      ...{ network: this.network, colours: this.scales.signed, chosen: this.chosen },
      choose: (channel) => this.#choose(channel),
      inputMap: (channel, ...place) => this.#inputMap(channel, ...place),
      nameOf: (index, input = 0) => this.#nameOf(layer.inputs[input], index),
    });
    const back = ways.flatMap((way) => this.#goOn(layer.inputs[way.source], way.from));
    this.terms.replaceChildren(...nodes, ...back);
    this.dialog.dispatchEvent(new Event("place"));
    this.dialog.classList.toggle("sliding", this.sliding);
    this.replay.slide.hidden = !layer.kernel || width * height < 2;
    this.replay.slide.setAttribute("aria-pressed", this.sliding);
    if (!this.sliding) this.replay.use(markingTape(steps));
  }

  #title() {
    const { shape } = this.#outputs(this.number);
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
    if (number < 0 && shape[0] === 1) return `${placeName(shape, index, 2).toLowerCase()} of ${name}`;
    return `${placeName(shape, index, 3, number < 0 ? "channel" : "map").toLowerCase()} of ${name}`;
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
    const { values } = this.#outputs(number);
    const row = this.rows[number] ?? this.image;
    paintMap(canvas, row, row.shown?.(values) ?? values, channel);
    const frame = element("i", "frame");
    placeFrame(frame, row, ...place);
    return element("div", "framed small", canvas, frame);
  }

  /** A button that shows how the input that matters most came about. */
  #goOn(number, from) {
    if (from === undefined) return [];
    const { width, height } = this.rows[number] ?? this.image;
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
function placeName(shape, index, parts, word = "map") {
  const { channel, row, column } = position(index, shape);
  const text = [`${word} ${channel + 1}`, `row ${row + 1}`, `column ${column + 1}`].slice(-parts).join(", ");
  return text[0].toUpperCase() + text.slice(1);
}
