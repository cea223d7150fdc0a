/** Every English text of the playground, by the place where it stands; its modules hold none of their own. */
export const TEXTS = {
  skip: "Skip to the network",
  playground: "playground",
  close: "Close",
  lost: "The playground on this machine does not answer. Start it again: lenetscope play",
  run: (run, title, accuracy) => `Run ${run}: ${title}${accuracy ? `, ${accuracy} of the test images` : ""}`,
  pad: {
    heading: "Draw here",
    help: "Mouse, finger or pen. By keyboard: arrow keys move the pen, Space lowers and lifts it.",
    clear: "Clear",
    fill: "Fill with",
    colour: "Colour of the pen",
    colours: "Colours of the pen",
    centre: "centre and scale",
  },
  prediction: {
    heading: "Prediction",
    bars: "Probability of each class",
  },
  input: {
    heading: "Its input",
    label: "The drawing as the network is given it",
  },
  views: {
    heading: "What to look at",
  },
  layers: {
    tab: "Layers",
    heading: "Layer by layer",
    about: "From the image to the probabilities. Point at any value to see what feeds it; click it to see how it is computed.",
  },
  legend: {
    name: "Colours, frames and lines",
    signed: "− to +",
    positive: "0 to high",
    padding: "padding",
    own: "value",
    seen: "what it sees",
    feeds: "feeds it: more, less",
  },
  hover: {
    ofClass: (layer, name) => `${layer}, class ${name}`,
    ofValue: (layer, number, count) => `${layer}, value ${number} of ${count}`,
    ofMap: (layer, map, row, column, isImage) =>
      `${layer}${map === null ? "" : `, ${isImage ? "channel" : "map"} ${map}`}: row ${row}, column ${column}`,
    pixel: (pixel, given) => `${pixel} of 255, given as ${given}`,
    sees: (rows, columns) => `sees ${rows}×${columns} pixels`,
    seesAll: "sees the whole image",
    seesNothing: "sees none of the image",
    click: "click: how it is computed",
    tap: "tap again: how it is computed",
  },
  why: {
    tab: "Why",
  },
  epochs: {
    tab: "Epochs",
  },
  filters: {
    tab: "Filters",
  },
  train: {
    tab: "Train",
  },
  gallery: {
    tab: "Gallery",
  },
  digits: {
    tab: "My digits",
  },
  tour: {
    start: "Tour",
    invite: "Take the tour",
    skip: "Skip the tour",
    back: "Back",
    next: "Next",
    end: "Done",
    count: (step, steps) => `Step ${step} of ${steps}`,
    pixel: (height, width, { row, column }, pixel, given) => [
      "A pixel is a number",
      `The network is given ${height}×${width} numbers, one per pixel. The one in the frame, row ${row}, column ` +
        `${column}, is ${pixel} of 255; scaled for the network, ${given}.`,
    ],
    filter: (layer, size, terms, hasBias, count, { map, row, column }, value) => [
      "A filter slides over the image",
      `${layer} lays ${size} weights over the image, multiplies number by number, and adds up: ${terms} products` +
        `${hasBias ? " and a bias" : ""} make one value. It does so at every position. Map ${map} of ${count} reaches ` +
        `${value} at row ${row}, column ${column}: there its pattern fits best.`,
    ],
    maximum: (layer, size, value, before, after) => [
      "Only the largest stays",
      `${layer} keeps the largest of each ${size} values, ${value} in the frame. ${before} becomes ${after}: where a ` +
        "pattern lies matters less, that it is there matters more.",
    ],
    flattening: (layer, maps, size, count, place) => [
      "Maps become one row",
      `${layer} computes nothing: ${maps > 1 ? `${maps} maps` : "one map"} of ${size} become a row of ${count} values, ` +
        `map by map. The largest is number ${place}.`,
    ],
    weighing: (layer, count, name, value) => [
      "Every value has a say",
      `${layer} multiplies ${count} values by one weight each, per class, and adds up. Class ${name} gets ${value}. ` +
        "The strongest terms are drawn: red raises the sum, blue lowers it.",
    ],
    softmax: (count, name, probability) => [
      "Sums become probabilities",
      `Softmax raises e to the power of each of the ${count} sums and divides by their total, so that all add up to ` +
        `100 %. Class ${name} gets ${probability}. Draw on, and watch every number follow.`,
    ],
  },
  share: {
    button: "Share",
  },
  dialog: {
    previous: "Previous map",
    next: "Next map",
  },
};

/** Fill the elements under a place that name their text, or their label, by its path in `TEXTS`. */
export function fillTexts(place) {
  const text = (path) => path.split(".").reduce((found, name) => found[name], TEXTS);
  for (const each of place.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of place.querySelectorAll("[data-label]")) each.setAttribute("aria-label", text(each.dataset.label));
}
