/** The slider through the epochs: filters and predictions as they were. */
import { largest, paint } from "./colours.js";
import { decodeFloats } from "./network.js";
import { percent } from "./numbers.js";

const STEP = 700; // milliseconds per epoch while it plays

/** Lay filters (F, C, H, W) out as one picture, with a gap of one pixel between them. */
export function tiled(values, start, [filters, channels, height, width], columns) {
  const rows = Math.ceil(filters / columns);
  const [w, h] = [columns * (width + 1) - 1, rows * (height + 1) - 1];
  const out = new Float32Array(w * h);
  for (let f = 0; f < filters; f++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        let sum = 0; // over channels: the filter as a grey image meets it
        for (let c = 0; c < channels; c++)
          sum += values[start + ((f * channels + c) * height + y) * width + x];
        const row = Math.floor(f / columns) * (height + 1) + y;
        out[row * w + (f % columns) * (width + 1) + x] = sum;
      }
  return { values: out, width: w, height: h };
}

/**
 * Make the slider work.
 * @param data what the question "snapshots" gives to the page
 */
export function startEpochs(find, data, images, scales) {
  const slider = find("epoch");
  const play = find("play-epochs");
  const filters = data.filters ? decodeFloats(data.filters) : null;
  const size = filters ? filters.length / data.epochs.length : 0;
  const bound = filters ? largest(filters) * Math.sqrt(data.filterShape[1]) : 1;
  const items = data.examples.map((place) => {
    const item = document.createElement("li");
    const text = document.createElement("span");
    item.append(images.thumbnail(place, "", null), text);
    find("epoch-predictions").append(item);
    return text;
  });
  const show = () => {
    const number = Number(slider.value);
    const now = data.epochs[number];
    find("epoch-number").textContent = now.epoch;
    slider.setAttribute("aria-valuetext", `epoch ${now.epoch}`);
    const parts = [`${now.correct} of ${data.images.toLocaleString("en")} test images classified correctly.`];
    if (now.trainLoss != null) parts.push(`Training loss ${now.trainLoss.toFixed(4)}.`);
    if (now.validAccuracy != null) parts.push(`Validation accuracy ${percent(now.validAccuracy, 2)}.`);
    if (now.epoch === 0) parts.push("Nothing has been learned yet.");
    find("epoch-text").textContent = parts.join(" ");
    items.forEach((text, i) => {
      const probabilities = now.probabilities[i];
      const best = probabilities.indexOf(Math.max(...probabilities));
      text.textContent = `${images.classes[best]}, ${percent(probabilities[best], 0)}`;
      text.className = best === images.rows.label[data.examples[i]] ? "correct" : "misclassified";
    });
    if (filters) {
      const canvas = find("epoch-filters");
      const picture = tiled(filters, number * size, data.filterShape, 8);
      paint(canvas, picture.values, 0, picture.width, picture.height, scales.signed, true, bound);
      canvas.setAttribute("aria-label", `Filters of ${data.layer} after epoch ${now.epoch}`);
    }
  };
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === data.epochs.length - 1) slider.value = 0;
    show();
    play.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === data.epochs.length - 1) stop();
    }, STEP);
  });
  slider.addEventListener("input", () => {
    stop();
    show();
  });
  slider.value = data.epochs.length - 1;
  find("epochs").hidden = false;
  show();
}
