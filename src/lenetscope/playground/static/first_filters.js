/** The filters of a network's first convolution, as one picture that moves with its weights. */
import { largest, paint } from "../report/colours.js";
import { element } from "../report/dom.js";
import { tiled } from "../report/epochs.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.train;
const SIDE = 7; // of a weight, in CSS pixels

/** The picture, in `element`. */
export class FirstFilters {
  constructor() {
    this.canvas = element("canvas", "pixels");
    this.canvas.setAttribute("role", "img");
    this.caption = element("figcaption");
    this.element = element("figure", "first-filters", this.caption, this.canvas, element("p", "fine", texts.filtersHelp));
    this.element.hidden = true;
  }

  /** Paint the filters of what a page shows; null for nothing. */
  show(page) {
    const layer = page?.network?.layers.find(({ kind }) => kind === "Conv2d");
    this.element.hidden = !layer;
    if (!layer) return;
    const { network, scales } = page;
    const [count] = layer.shape;
    const [height, width] = layer.kernel;
    const input = layer.inputs[0] < 0 ? network.inputShape : network.layers[layer.inputs[0]].shape;
    const channels = input[0] / (layer.groups ?? 1);
    const columns = Math.min(count, 16);
    const weights = network.weights.subarray(layer.weight, layer.weight + count * channels * height * width);
    const picture = tiled(weights, 0, [count, channels, height, width], columns);
    paint(this.canvas, picture.values, 0, picture.width, picture.height, scales.signed, true, largest(picture.values));
    this.canvas.style.width = `${SIDE * picture.width}px`;
    this.caption.textContent = texts.filters(layer.name, count);
    this.canvas.setAttribute("aria-label", this.caption.textContent);
  }
}
