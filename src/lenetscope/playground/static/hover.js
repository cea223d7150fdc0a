/** Point at a value of a map: what it is, which part of the drawing it sees, and what feeds it. */
import { drawn, element } from "../report/dom.js";
import { decimal, decimals } from "../report/numbers.js";
import { MOST, receptiveField, sourcesOf } from "./fields.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.hover;

/** The tooltip, and the frames and lines that lie over the page. */
export class Hover {
  #shown = null;
  #maps = new Map();
  #finger = false;
  /** Whether what is shown stays, whatever the pointer does. */
  pinned = false;

  /** @param find returns the element of an id */
  constructor(find) {
    this.layers = find("layers");
    [this.pad, this.input] = [find("pad"), find("input")];
    this.overlay = drawn("svg", { class: "overlay", "aria-hidden": "true" });
    this.place = element("span", "place");
    this.value = element("b", "value");
    this.sees = element("span", "sees");
    this.hint = element("span", "hint");
    this.tip = element("div", "tip", this.place, this.value, this.sees, this.hint);
    this.tip.id = "tip";
    this.tip.setAttribute("role", "tooltip");
    this.hide();
    document.body.append(this.overlay, this.tip);
    this.#listen();
    page.on("view", () => this.hide());
  }

  /** Point at the maps of a network. */
  use(maps) {
    this.hide();
    this.maps = maps;
    this.#maps.clear();
    for (const row of [maps.image, ...maps.rows])
      row.buttons?.forEach((button, map) => this.#maps.set(button, { row, button, map }));
  }

  /** Show the same place of another run. */
  update() {
    if (this.#shown) this.show(this.#shown.row.number, this.#shown.index);
  }

  /** The value that is shown in a map of a layer; null if none is. */
  indexIn(number, map) {
    const shown = this.#shown;
    return shown?.row.number === number && shown.map === map ? shown.index : null;
  }

  /** Show a value of a layer; -1 is the image. */
  show(number, index) {
    const row = this.#row(number);
    const map = Math.floor(index / (row.width * row.height));
    const button = row.buttons[map];
    if (this.#shown?.button !== button) {
      this.#shown?.button.removeAttribute("aria-describedby");
      button.setAttribute("aria-describedby", "tip");
    }
    this.#shown = { row, map, index, button };
    const { network, outputs } = page;
    this.field = receptiveField(network, number, index);
    this.sources = [];
    if (number >= 0 && row.layer.kind !== "Opaque") {
      const { layer } = row;
      const inputs = layer.inputs.map((each) => outputs.layers[each] ?? { shape: network.inputShape, values: outputs.input });
      this.sources = sourcesOf(layer, inputs, index, network.weights);
    }
    this.#tell();
    this.#draw();
  }

  hide() {
    this.#shown?.button.removeAttribute("aria-describedby");
    this.#shown = null;
    this.tip.hidden = true;
    this.overlay.replaceChildren();
  }

  #row(number) {
    return number < 0 ? this.maps.image : this.maps.rows[number];
  }

  /** The place on the screen of some columns and rows of a map. */
  #box(row, map, x, y, width = 1, height = 1) {
    const box = row.buttons[map].firstChild.getBoundingClientRect();
    const [sx, sy] = [box.width / row.width, box.height / row.height];
    return { x: box.left + x * sx, y: box.top + y * sy, width: width * sx, height: height * sy };
  }

  #boxOf(row, index) {
    const { width, height } = row;
    const rest = index % (width * height);
    return this.#box(row, Math.floor(index / (width * height)), rest % width, Math.floor(rest / width));
  }

  #tell() {
    const { row, map, index } = this.#shown;
    const { layer, width, height } = row;
    const values = row === this.maps.image ? page.outputs.input : row.values;
    const value = values[index];
    const { classes } = page.network;
    const rest = index % (width * height);
    const [y, x] = [Math.floor(rest / width) + 1, (rest % width) + 1];
    const isClass = row.number >= this.maps.rows.length - 2 && layer.shape[0] === classes.length;
    if (isClass) this.place.textContent = texts.ofClass(layer.name, classes[index]);
    else if (layer.shape.length === 1) this.place.textContent = texts.ofValue(layer.name, index + 1, layer.shape[0]);
    else this.place.textContent = texts.ofMap(layer.name, row.count > 1 ? map + 1 : null, y, x, row === this.maps.image);
    const digits = Math.max(2, decimals([value]));
    this.value.textContent = row === this.maps.image ? texts.pixel(page.pixels[index], decimal(value, 2)) : decimal(value, digits);
    const { field } = this;
    const [, rows, columns] = page.network.inputShape;
    this.sees.hidden = row === this.maps.image;
    if (field === null) this.sees.textContent = texts.seesNothing;
    else if (field.width === columns && field.height === rows) this.sees.textContent = texts.seesAll;
    else this.sees.textContent = texts.sees(field.height, field.width);
    this.hint.textContent = this.#finger ? texts.tap : texts.click;
  }

  /** Draw frames and lines, and put the tooltip beside the value. */
  #draw() {
    const { row, index } = this.#shown;
    const own = this.#boxOf(row, index);
    const [thin, frames, lines] = [[], [], []];
    const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
    const largest = Math.max(...this.sources.map(({ amount }) => Math.abs(amount ?? 0))) || 1;
    const { inputs } = row.layer;
    this.sources.forEach((source, i) => {
      const from = this.#row(inputs[source.input]);
      if (!from.buttons) return; // inside of a layer: it is not on the page
      const box = source.map === undefined
        ? this.#boxOf(from, source.from)
        : this.#box(from, source.map, source.x, source.y, source.width, source.height);
      if (i >= MOST) return void thin.push(box);
      const strength = source.amount === null ? 0.6 : Math.abs(source.amount) / largest;
      const sign = source.amount === null ? "same" : source.amount < 0 ? "minus" : "plus";
      frames.push(frame("source", box));
      const winner = source.map !== undefined && source.from !== undefined ? this.#boxOf(from, source.from) : box;
      if (winner !== box) frames.push(frame("source", winner));
      lines.push(line(sign, middle(winner), middle(own), strength));
    });
    const outline = thin.map(({ x, y, width, height }) => `M${x} ${y}h${width}v${height}h${-width}z`).join("");
    const seen = this.#seen().map((box) => frame("seen", box));
    this.overlay.innerHTML = [`<path class="thin" d="${outline}"/>`, ...lines, ...frames, ...seen, frame("own", own)].join("");
    this.#putTip(own);
  }

  /** The receptive field in the drawing, and in what the network is given. */
  #seen() {
    if (!this.field) return [];
    const { left, top, width, height } = this.field;
    const [, rows, columns] = page.network.inputShape;
    const within = (canvas, x, y, w, h) => {
      const box = canvas.getBoundingClientRect();
      const [x0, y0] = [Math.max(0, x), Math.max(0, y)];
      const [x1, y1] = [Math.min(1, x + w), Math.min(1, y + h)];
      return { x: box.left + x0 * box.width, y: box.top + y0 * box.height, width: (x1 - x0) * box.width, height: (y1 - y0) * box.height };
    };
    const found = [within(this.input, left / columns, top / rows, width / columns, height / rows)];
    const { seen } = page; // the part of the pad that the input shows
    if (seen) {
      const [w, h] = [this.pad.width, this.pad.height];
      const [sx, sy] = [seen.width / columns / w, seen.height / rows / h];
      found.push(within(this.pad, seen.left / w + left * sx, seen.top / h + top * sy, width * sx, height * sy));
    }
    return found.filter((box) => box.width > 0 && box.height > 0);
  }

  #putTip(own) {
    this.tip.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.tip;
    const { clientWidth, clientHeight } = document.documentElement;
    const x = Math.max(4, Math.min(clientWidth - width - 4, own.x + own.width + 12));
    const under = own.y + own.height + 12; // the lines come from above
    const y = under + height < clientHeight - 4 ? under : Math.max(4, own.y - height - 12);
    this.tip.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
  }

  #listen() {
    const { layers } = this;
    const at = (event) => {
      const found = this.#maps.get(event.target.closest?.("button"));
      if (!found) return null;
      const { row, button, map } = found;
      const box = button.firstChild.getBoundingClientRect();
      const part = (value, start, size, count) => Math.max(0, Math.min(count - 1, Math.floor(((value - start) * count) / size)));
      const x = part(event.clientX, box.left, box.width, row.width);
      const y = part(event.clientY, box.top, box.height, row.height);
      const index = (map * row.height + y) * row.width + x;
      return index < row.layer.shape.reduce((a, b) => a * b) ? { ...found, index } : null;
    };
    const leave = () => this.pinned || this.hide();
    const point = (event) => {
      if (this.pinned) return;
      const found = at(event);
      if (!found) this.hide();
      else if (found.index !== this.#shown?.index || found.row !== this.#shown.row) this.show(found.row.number, found.index);
    };
    layers.addEventListener("pointerdown", (event) => (this.#finger = event.pointerType === "touch"));
    layers.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch") return;
      this.#finger = false;
      point(event);
    });
    layers.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && leave());
    layers.addEventListener("focusin", (event) => {
      const found = this.#maps.get(event.target);
      if (this.pinned || !found || !event.target.matches(":focus-visible")) return;
      this.#finger = false;
      this.show(found.row.number, strongestOf(found));
    });
    layers.addEventListener("focusout", () => !this.#finger && leave());
    // a finger's first tap shows, its second opens the dialog
    layers.addEventListener("click", (event) => {
      if (!this.#finger || this.pinned) return;
      const found = at(event);
      if (!found || found.button === this.#shown?.button) return;
      event.stopPropagation();
      event.preventDefault();
      this.show(found.row.number, found.index);
    }, true);
    addEventListener("keydown", (event) => event.key === "Escape" && leave());
    addEventListener("pointerdown", (event) => !layers.contains(event.target) && leave());
    const follow = () => this.#shown && this.#draw();
    addEventListener("scroll", follow, { capture: true, passive: true });
    addEventListener("resize", follow);
  }
}

/** The place of the largest value of a map, which the dialog opens as well. */
export function strongestOf({ row, map }) {
  const area = row.width * row.height;
  const sizes = Array.from((row.number < 0 ? page.outputs.input : row.values).subarray(map * area, (map + 1) * area), Math.abs);
  return map * area + sizes.indexOf(Math.max(...sizes));
}

/** A frame of light in dark, which is seen on any colour. */
function frame(kind, { x, y, width, height }) {
  const place = `x="${(x - 1).toFixed(1)}" y="${(y - 1).toFixed(1)}" width="${(width + 2).toFixed(1)}" height="${(height + 2).toFixed(1)}"`;
  return `<rect class="${kind} around" ${place}/><rect class="${kind}" ${place}/>`;
}

/** A curve from a source to the value, the thicker the more it adds. */
function line(sign, [x0, y0], [x1, y1], strength) {
  const bend = Math.max(24, Math.abs(y1 - y0) / 2);
  const width = (1 + 3 * strength).toFixed(2);
  const path = `M${x0.toFixed(1)} ${y0.toFixed(1)}C${x0.toFixed(1)} ${(y0 + bend).toFixed(1)} ${x1.toFixed(1)} ${(y1 - bend).toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`;
  return `<path class="feeds around" d="${path}" stroke-width="${(Number(width) + 2).toFixed(2)}"/><path class="feeds ${sign}" d="${path}" stroke-width="${width}"/>`;
}
