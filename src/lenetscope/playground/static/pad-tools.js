/** The tools of the pad: undo, eraser, the width of the pen; and what is on the pad at the beginning. */
import { button, element } from "../report/dom.js";
import { page } from "./page.js";
import { ask } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.pad;
const WIDTHS = { thin: 0.6, medium: 1, thick: 1.6 };
const SECONDS = 1.5;
/** The way of a pen that writes a 2, from 0 to 1. */
const TWO = [
  ...[[0.31, 0.36], [0.35, 0.24], [0.48, 0.17], [0.62, 0.21], [0.68, 0.33], [0.63, 0.47]],
  ...[[0.5, 0.61], [0.36, 0.74], [0.29, 0.82], [0.44, 0.81], [0.6, 0.81], [0.72, 0.82]],
];

/** Start the tools. */
export function startPadTools(panel) {
  const { pad } = panel;
  const find = (id) => document.getElementById(id);
  const [undo, eraser] = [find("undo"), find("eraser")];
  undo.addEventListener("click", () => panel.undo());
  eraser.addEventListener("click", () => {
    pad.erases = !pad.erases;
    eraser.setAttribute("aria-pressed", pad.erases);
  });
  const buttons = Object.entries(WIDTHS).map(([name, size]) => {
    const dot = element("i");
    dot.style.setProperty("--size", size);
    const made = button("width", () => choose(size), dot);
    made.setAttribute("aria-label", texts[name]);
    made.title = texts[name];
    return made;
  });
  const choose = (size) => {
    pad.size = size;
    buttons.forEach((each, i) => each.setAttribute("aria-pressed", Object.values(WIDTHS)[i] === size));
  };
  find("widths").append(...buttons);
  choose(1);
  page.on("run", () => (undo.disabled = !pad.canUndo));
  addEventListener("keydown", (event) => {
    const isUndo = event.key === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey;
    if (!isUndo || event.target.closest("input, textarea, select, dialog")) return;
    event.preventDefault();
    panel.undo();
  });
}

/** Put something onto an empty pad, which the first stroke wipes off: a digit is written, or an image shown. */
export async function greet(panel) {
  const { facts } = page;
  if (facts.digits) {
    write(panel, TWO);
    return;
  }
  const image = await ask("example", { run: facts.run }).catch(() => null); // the data may not be there
  const isEmpty = page.empty && !panel.pad.canUndo;
  if (image && isEmpty && page.facts === facts) panel.greet(new Uint8Array(image), texts.example);
}

function write(panel, way) {
  const { pad } = panel;
  const places = spline(way).map(([x, y]) => [x * pad.width, y * pad.height]);
  let drawn = 0;
  const drawTo = (end) => {
    for (; drawn < end; drawn++) pad.line(places[drawn], places[drawn + 1]);
  };
  pad.greeting = true;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    drawTo(places.length - 1);
    panel.update();
    return;
  }
  const begin = performance.now();
  const go = (now) => {
    if (!pad.greeting) return; // somebody draws
    const part = Math.min(1, Math.max(0, (now - begin) / (1000 * SECONDS)));
    drawTo(Math.round((places.length - 1) * part * (2 - part)));
    if (part < 1) requestAnimationFrame(go);
  };
  requestAnimationFrame(go);
}

/** A smooth curve through some places (E. Catmull and R. Rom, 1974), as many short lines. */
function spline(places, steps = 10) {
  const at = (i) => places[Math.max(0, Math.min(places.length - 1, i))];
  const curve = [places[0]];
  for (let i = 0; i + 1 < places.length; i++)
    for (let step = 1; step <= steps; step++) {
      const t = step / steps;
      const [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
      const through = (k) =>
        b[k] +
        0.5 * t * (c[k] - a[k] + t * (2 * a[k] - 5 * b[k] + 4 * c[k] - d[k] + t * (3 * (b[k] - c[k]) + d[k] - a[k])));
      curve.push([through(0), through(1)]);
    }
  return curve;
}
