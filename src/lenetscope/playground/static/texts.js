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
    about: "Or paste one (Ctrl+V), or drop it anywhere on the page. It does not leave this machine.",
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
    reads: (text, confidence) => `It reads ${text}, with ${confidence}`,
    none: "No digit was found in it.",
    rejected: (reason) => `Not read: ${reason}.`,
    else: (text) => `If it had to choose: ${text}.`,
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
    opening: "The network is run on the test images …",
    about: (n, errors) =>
      `The network was tested on ${n.toLocaleString("en")} images: it is wrong in ${errors.toLocaleString("en")}.`,
    other:
      "The predictions here are those of the run as it ended; the network on this page has other weights now, " +
      "and may predict something else.",
    random: "Random image",
    next: "Next mistake",
    number: "Number",
    show: "Show",
    numbers: (last) => `The images have numbers from 0 to ${last}.`,
    exact: (description) => `${description}, pixel for pixel.`,
    onPad: (description) => `On the pad: ${description}.`,
    matrix: "Confusion matrix",
    caption: "Rows: true class. Columns: predicted class. Cells: test images.",
    corner: "true ↓ predicted →",
    cells: "What lies off the diagonal is wrong. Choose a cell to see its images.",
    cell: (label, predicted, n) => `True ${label}, predicted ${predicted}: ${n === 1 ? "1 image" : `${n} images`}`,
    worst: (n) => (n === 1 ? "The only mistake" : `All ${n} mistakes, the worst first`),
    all: "Worst mistakes",
    none: "No image is misclassified.",
    pair: (label, predicted, n) => `${label} → ${predicted}: ${n}`,
    taken: (label, predicted) => `${label} → ${predicted}`,
    taking: "Under each: true → predicted.",
    under: "Under each: the probability of the predicted class. First comes the least of the true class.",
    hint: "Choose any image to put it on the pad, pixel for pixel.",
    before: "Previous",
    after: "Next",
    range: (first, last, total) => `${first} to ${last} of ${total}`,
    map: {
      heading: "Map of the test images",
      about: (shown, total, wrong, layer) =>
        (shown === total
          ? `All ${total} test images`
          : `${shown.toLocaleString("en")} of ${total.toLocaleString("en")} test images (${wrong} mistakes, and others ` +
            "drawn at random)") +
        `, placed by t-SNE of the inputs of ${layer}, the last layer with weights: what is alike to the network is ` +
        "near. Distances between groups and the axes mean nothing.",
      opening: "The map is computed: some seconds, once per run …",
      label: "Map of the test images, one point each",
      help: "Click a point to put its image on the pad. Tapping or the arrow keys choose a point; a second tap or Enter puts it there.",
      wrong: "misclassified",
      yours: "on the pad",
      classes: "Classes: press to see one alone",
      point: "Point at the map to see an image.",
      put: "Put on the pad",
      near: (k) =>
        k === 1
          ? "What is on the pad is placed at the image of the map that is nearest by these inputs:"
          : `What is on the pad is placed among the ${k} images of the map that are nearest by these inputs, the nearer the closer:`,
      nothing: "Draw something: it is placed on the map among its nearest images.",
    },
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
    copied: "Copied: the address of this page, with your drawing in it.",
    byHand: "Copy the address of this page from the address bar; your drawing is in it.",
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
