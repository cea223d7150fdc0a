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
    about: "From the image to the probabilities. Point at any value to see what feeds it; click it to see how it is computed.",
  },
  legend: {
    name: "Colours, frames and lines",
    signed: "negative, 0, positive",
    positive: "0, high",
    padding: "padding",
    own: "value",
    seen: "what it sees",
    feeds: "feeds it: raises, lowers",
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
