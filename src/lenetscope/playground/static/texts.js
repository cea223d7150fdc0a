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
    tab: "Layers",
    about:
      "From top to bottom in the order in which the layers run. Bright is high; where values have a sign, red is " +
      "positive and blue negative. Choose a map to see how each of its values comes about, number by number.",
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

/** Fill the elements under a place that name their text, or their label, by its path in `TEXTS`. */
export function fillTexts(place) {
  const text = (path) => path.split(".").reduce((found, name) => found[name], TEXTS);
  for (const each of place.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of place.querySelectorAll("[data-label]")) each.setAttribute("aria-label", text(each.dataset.label));
}
