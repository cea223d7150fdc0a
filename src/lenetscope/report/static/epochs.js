/** The slider through the epochs: filters, answers and scores as they were. */
import { largest, paint } from "./colours.js";
import { decodeFloats } from "./network.js";

const STEP = 700; // milliseconds an epoch while it plays

/** Lay filters (F, H, W) out as one picture, a gap of one pixel between them. */
export function tiled(values, start, [filters, channels, height, width], columns) {
  const rows = Math.ceil(filters / columns);
  const [w, h] = [columns * (width + 1) - 1, rows * (height + 1) - 1];
  const out = new Float32Array(w * h);
  for (let f = 0; f < filters; f++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) {
        let sum = 0; // of its channels: what it would do to a grey image
        for (let c = 0; c < channels; c++)
          sum += values[start + ((f * channels + c) * height + y) * width + x];
        const row = Math.floor(f / columns) * (height + 1) + y;
        out[row * w + (f % columns) * (width + 1) + x] = sum;
      }
  return { values: out, width: w, height: h };
}

/** Make the slider work. */
export function startEpochs(find, story, samples, images, scales) {
  const slider = find("epoch");
  const play = find("play-epochs");
  const filters = story.filters ? decodeFloats(story.filters) : null;
  const size = filters ? filters.length / story.epochs.length : 0;
  const bound = filters ? largest(filters) * Math.sqrt(story.filterShape[1]) : 1;
  const items = samples.map((place) => {
    const item = document.createElement("li");
    const said = document.createElement("span");
    item.append(images.thumbnail(place, "", null), said);
    find("epoch-answers").append(item);
    return said;
  });
  const show = () => {
    const number = Number(slider.value);
    const now = story.epochs[number];
    find("epoch-number").textContent = now.epoch;
    slider.setAttribute("aria-valuetext", `epoch ${now.epoch}`);
    const parts = [`${now.right} of the first ${story.judged} test images named rightly.`];
    if (now.trainLoss != null) parts.push(`Training loss ${now.trainLoss.toFixed(4)}.`);
    if (now.validAccuracy != null) parts.push(`Validation accuracy ${(100 * now.validAccuracy).toFixed(2)} %.`);
    if (now.epoch === 0) parts.push("Nothing is learned yet.");
    find("epoch-text").textContent = parts.join(" ");
    items.forEach((said, i) => {
      const shares = now.probabilities[i];
      const best = shares.indexOf(Math.max(...shares));
      said.textContent = `${images.classes[best]}, ${(100 * shares[best]).toFixed(0)} %`;
      said.className = best === images.rows.label[samples[i]] ? "yes" : "no";
    });
    if (filters) {
      const canvas = find("epoch-filters");
      const picture = tiled(filters, number * size, story.filterShape, 8);
      paint(canvas, picture.values, 0, picture.width, picture.height, scales.signed, true, bound);
      canvas.setAttribute("aria-label", `Filters of ${story.layer} after epoch ${now.epoch}`);
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
    if (Number(slider.value) === story.epochs.length - 1) slider.value = 0;
    show();
    play.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === story.epochs.length - 1) stop();
    }, STEP);
  });
  slider.addEventListener("input", () => {
    stop();
    show();
  });
  slider.value = story.epochs.length - 1;
  find("epochs").hidden = false;
  show();
}
