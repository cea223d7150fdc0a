/** Line charts over the epochs, with a mark at the one that is shown. */
import { drawn, element } from "../report/dom.js";

const [HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [190, 46, 12, 12, 26]; // pixels
const NEAR = 34; // pixels between two numbers on the axis


/** The sign of a line in a legend. */
export function lineSign(name) {
  const line = drawn("line", { class: `curve ${name}`, x1: 0, x2: 22, y1: 6, y2: 6 });
  return drawn("svg", { class: "line-sign", width: 22, height: 12, "aria-hidden": "true" }, line);
}

/** A chart; its width is that of its place. */
export class Curves {
  /** @param choose is called with the epoch that is pointed at; without it the chart is only looked at */
  constructor(choose = null) {
    this.svg = drawn("svg", { class: "curves", role: "img" });
    this.element = element("div", choose ? "chart pointed" : "chart", this.svg);
    new ResizeObserver(() => this.#draw()).observe(this.element);
    if (choose) this.#listen(choose);
  }

  /**
   * Show lines.
   * @param content.label what a screen reader says
   * @param content.lines [{name, points: [epoch, value][]}]; the name is a class of the style sheet
   * @param content.low, content.high the ends of the axis of values, `content.format` makes texts of them
   * @param content.epochs that have a number on their axis
   * @param content.shown the epoch with the mark; null for none
   */
  show(content) {
    this.content = content;
    this.#draw();
  }

  #draw() {
    const width = this.element.clientWidth;
    if (!this.content || !width) return;
    const { label, lines, low, high, format, epochs, shown } = this.content;
    const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
    const x = (epoch) => LEFT + ((width - LEFT - RIGHT) * (epoch - first)) / (last - first || 1);
    const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low || 1));
    this.toEpoch = (place) => first + ((place - LEFT) * (last - first)) / (width - LEFT - RIGHT);
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      const value = low + part * (high - low);
      parts.push(drawn("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
      parts.push(drawn("text", { class: "value", x: LEFT - 7, y: y(value) + 4 }, format(value)));
    }
    const named = [];
    for (const epoch of [shown, ...[...epochs].reverse()])
      if (epoch !== null && named.every((other) => Math.abs(x(other) - x(epoch)) >= NEAR)) named.push(epoch);
    for (const epoch of named)
      parts.push(drawn("text", { class: epoch === shown ? "epoch now" : "epoch", x: x(epoch), y: HEIGHT - 8 }, `${epoch}`));
    if (shown !== null) parts.push(drawn("line", { class: "mark", x1: x(shown), x2: x(shown), y1: TOP, y2: HEIGHT - BOTTOM }));
    for (const { name, points } of [...lines].reverse()) {
      const places = points.map(([epoch, value]) => `${x(epoch).toFixed(1)},${y(value).toFixed(1)}`);
      parts.push(drawn("polyline", { class: `curve ${name}`, points: places.join(" ") }));
      for (const [epoch, value] of points)
        if (epoch === shown || points.length === 1)
          parts.push(drawn("circle", { class: `dot ${name}`, cx: x(epoch), cy: y(value), r: 4.5 }));
    }
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("height", HEIGHT);
    this.svg.setAttribute("aria-label", label);
    this.svg.replaceChildren(...parts);
  }

  #listen(choose) {
    const point = (event) => {
      if (event.buttons) choose(this.toEpoch(event.clientX - this.svg.getBoundingClientRect().left));
    };
    for (const name of ["pointerdown", "pointermove"]) this.svg.addEventListener(name, point);
  }
}
