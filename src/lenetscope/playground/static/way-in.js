/** The drawing after each step that makes an input of it, and switches to leave steps out. */
import { largest, paint, paintPixels } from "../report/colours.js";
import { stepsFor } from "../report/draw.js";
import { element } from "../report/dom.js";
import { decimal } from "../report/numbers.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.input;
const LIGHT_ON_BLACK = ["box", "centre"]; // steps that are for such drawings

/** Start it. */
export function startWayIn(panel) {
  const find = (id) => document.getElementById(id);
  const canvas = () => element("canvas", "pixels");
  const pictures = { drawn: canvas(), box: canvas(), scaled: canvas(), placed: find("input"), normalised: canvas() };
  const slots = {};
  for (const [name, picture] of Object.entries(pictures)) {
    const caption = element("span", "", texts[name]);
    if (name !== "placed") picture.setAttribute("aria-hidden", "true");
    slots[name] = { item: element("li", "", picture, caption), picture, caption };
  }
  find("way-in").append(...Object.values(slots).map(({ item }) => item));

  const switches = Object.keys(panel.steps).map((name) => {
    const box = element("input");
    box.type = "checkbox";
    box.addEventListener("change", () => {
      panel.steps[name] = box.checked;
      panel.update();
    });
    const label = element("label", "check", box, element("span", "", texts.steps[name]));
    label.title = texts.about[name];
    return { name, box, label };
  });
  find("steps").append(...switches.map(({ label }) => label));

  let shown = null;
  page.on("network", () => {
    const { centred } = page.facts;
    if (shown !== centred) panel.steps = stepsFor(centred);
    shown = centred;
    const isColour = page.network.inputShape[0] >= 3;
    for (const { name, label } of switches) label.hidden = isColour && LIGHT_ON_BLACK.includes(name);
  });
  page.on("run", () => {
    const { steps } = panel;
    const { box, small } = panel.prepared;
    const isDrawing = !panel.pad.exact;
    for (const { name, box: input } of switches) input.checked = steps[name];
    const done = {
      box: isDrawing && steps.box,
      scaled: isDrawing && (steps.box || steps.centre),
      normalised: steps.normalise,
    };
    for (const [name, isDone] of Object.entries(done)) slots[name].item.hidden = !isDone;
    paintPad(pictures.drawn, panel.pad, null);
    if (done.box) paintPad(pictures.box, panel.pad, box);
    if (done.scaled && small) paintChannels(pictures.scaled, small);
    slots.scaled.caption.textContent = small ? texts.size(small.width, small.height) : texts.scaled;
    const moved = steps.centre ? texts.centred : steps.box ? texts.placed : texts.smaller;
    slots.placed.caption.textContent = isDrawing ? moved : texts.exact;
    slots.drawn.caption.textContent = isDrawing ? texts.drawn : texts.loaded;
    const [, height, width] = page.network.inputShape;
    const { input } = page.outputs;
    if (steps.normalise)
      paint(pictures.normalised, input, 0, width, height, page.scales.signed, true, largest(input));
    const [low, high] = [Math.min(...input), Math.max(...input)].map((value) => decimal(value, 2));
    find("range").textContent = texts.range(low, high, formula(page.network, steps.normalise));
  });
}

/** The pad, made smaller, with a frame around the ink. */
function paintPad(canvas, { canvas: pad, width, height }, box) {
  const scale = 112 / Math.max(width, height);
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  const context = canvas.getContext("2d");
  context.drawImage(pad, 0, 0, canvas.width, canvas.height);
  if (!box) return;
  context.strokeStyle = "#ffb454";
  context.lineWidth = 4;
  context.strokeRect(...[box.left, box.top, box.width, box.height].map((value) => value * scale));
}

function paintChannels(canvas, { channels, width, height }) {
  const pixels = new Uint8ClampedArray(channels.length * width * height);
  channels.forEach((values, c) => pixels.set(values, c * width * height));
  paintPixels(canvas, pixels, [channels.length, height, width]);
}

function formula({ mean, std }, isNormalised) {
  if (!isNormalised) return texts.plain;
  return mean.length === 1 ? texts.formula(decimal(mean[0], 2), decimal(std[0], 2)) : texts.perChannel;
}
