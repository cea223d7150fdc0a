import { VIEW_TEXTS } from "./view-texts.js";

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
    undo: "Undo",
    clear: "Clear",
    eraser: "Eraser",
    widths: "Width of the pen",
    thin: "Thin pen",
    medium: "Medium pen",
    thick: "Thick pen",
    example: "A test image, pixel for pixel.",
    fill: "Fill with",
    colour: "Colour of the pen",
    colours: "Colours of the pen",
  },
  prediction: {
    heading: "Prediction",
    bars: "Probability of each class",
  },
  input: {
    fold: "Leave steps out",
    heading: "Its input",
    label: "The drawing as the network is given it",
    drawn: "drawn",
    loaded: "image",
    box: "its box",
    scaled: "scaled",
    size: (width, height) => `${width}×${height}`,
    placed: "placed",
    centred: "centred",
    smaller: "smaller",
    exact: "as it is",
    normalised: "normalised",
    steps: {
      label: "Steps from the drawing to the input",
      box: "box and scale",
      centre: "centre",
      smooth: "smooth",
      normalise: "normalise",
    },
    about: {
      box: "The ink is cut out and scaled in proportion, as the training images were",
      centre: "The centre of mass is put into the middle",
      smooth: "Anti-aliasing: each new pixel is the mean of what it covers. Without it: the nearest pixel",
      normalise: "The mean is subtracted, and divided by the standard deviation",
    },
    range: (low, high, formula) => `${formula}: ${low} to ${high}.`,
    formula: (mean, std) => `(pixel / 255 − ${mean}) / ${std}`,
    perChannel: "(pixel / 255 − mean) / standard deviation",
    plain: "pixel / 255",
  },
  picture: {
    open: "Picture",
    heading: "A picture of your own",
    about: "Or paste one (Ctrl+V), or drop it anywhere on the page. It is sent to this playground only.",
    file: "Choose a file",
    camera: "Camera",
    asking: "The browser asks whether the camera may be used.",
    refused: "The camera may not be used, or there is none. A file works as well.",
    take: "Take the picture",
    still: "picture of the camera",
    alt: "Your picture",
    reading: "Reading …",
    large: (size, most) =>
      `The file has ${(size / 1e6).toFixed(1)} MB; the limit is ${most / 1e6} MB. Make the picture smaller.`,
    other: "This is no picture. Drop or paste a photo, a scan or a screenshot.",
    reads: (text, confidence) => `It reads ${text}, with ${confidence}.`,
    none: "No digit was found in it.",
    rejected: (reason) => `Not read: ${reason}.`,
    else: (text) => `If it had to choose: ${text}.`,
    choose: "Choose a digit to put it on the pad.",
    put: (caption) => `Put on the pad: ${caption}`,
    whole: "whole picture",
    digit: (number, name) => `Digit ${number} of ${name}, scaled and centred.`,
    fitted: (name) => `${name}, resized to the network's input.`,
  },
  views: {
    heading: "What to look at",
  },
  layers: {
    opaque: (why) => `The server runs this network, and its numbers are shown without their arithmetic: ${why}`,
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
  ...VIEW_TEXTS,
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
    save: "Save view",
    copied: (isDrawn) => `Copied: the address of this page${isDrawn ? ", with your drawing in it" : ""}.`,
    byHand: "Copy the address of this page from the address bar; it leads to what is shown now.",
    saving: "Saving …",
    saved: "Saved: one file with the network and your drawing, which opens without a server.",
    drawing: "The drawing of the address, pixel for pixel.",
    long: "The address is too long to be one of this page, and was ignored.",
    wrong: "The address holds something that this page cannot show; it was left out.",
    missing: "The address names a run or an epoch that is not here; the first run is shown.",
  },
  dialog: {
    previous: "Previous map",
    next: "Next map",
  },
};

/** A name as text of at most so many characters. */
export function shortened(name, most = 12) {
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

/** Fill the elements under a place that name their text, or their label, by its path in `TEXTS`. */
export function fillTexts(place) {
  const text = (path) => path.split(".").reduce((found, name) => found[name], TEXTS);
  for (const each of place.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of place.querySelectorAll("[data-label]")) each.setAttribute("aria-label", text(each.dataset.label));
}
