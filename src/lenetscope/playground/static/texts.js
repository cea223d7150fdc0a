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
  },
  digits: {
    tab: "My digits",
    others: "My drawings",
    ask: "What is it?",
    about: "Draw, and press what it is meant to be. The drawing is kept on this machine.",
    keys: "Its key on the keyboard does the same.",
    keep: (name) => `Keep it as ${name}`,
    draw: "Nothing is drawn yet.",
    kept: (name) => `Kept as ${name}. Draw the next one.`,
    deleted: (name) => `A ${name} was deleted.`,
    restored: (name) => `The ${name} is back.`,
    undo: "Undo",
    right: (correct, n) => `${correct} of ${n} read right`,
    interval: (accuracy, low, high) => `That is ${accuracy} %, with a 95 % interval from ${low} to ${high} %.`,
    unseen: (correct, n) => `Of the ${n} that it was not trained on: ${correct}.`,
    seen: "It was trained on them, so this says nothing of new ones.",
    confused: (n, name, other, isShort) =>
      `${n} of your ${isShort ? `${name}s` : `drawings of ${name}`} ${n > 1 ? "are" : "is"} read as ${other}.`,
    some: (shown, n) => `Shown are the newest ${shown} of ${n}.`,
    wrong: (name, other) => `${name} → ${other}`,
    described: (name, other, probability) => `${name}, read as ${other} with ${probability}.`,
    trained: "The network was trained on it.",
    loaded: "A drawing that was kept, pixel for pixel.",
    load: "Put on the pad",
    delete: "Delete",
    tune: "Fine-tune",
    tuning:
      "A copy of the network learns your drawings, mixed with ten times as many of its training images, " +
      "so that it does not forget them. Of 20 or more, a fifth is held out to measure what it gains.",
    missing: (count) => `Keep ${count} more to begin.`,
    start: (run) => `Fine-tune ${run}`,
    progress: ({ epoch, epochs }) => (epoch ? `epoch ${epoch} of ${epochs}` : "reading the data"),
    result: ({ run, from, trained, seconds }) =>
      `${run} is ${from}, trained on ${trained} drawings in ${Math.round(seconds)} s.`,
    noneHeldOut: "None was held out, so what it makes of new drawings was not measured.",
    columns: ["Read right", "before", "after"],
    rows: { heldOut: "drawings held out", all: "all drawings", test: "test images" },
    of: (count, n) => `${count} of ${n}`,
    saved: (folder) => `Saved as ${folder}.`,
    show: (run) => `Show ${run}`,
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

/** Fill the elements under a place that name their text, or their label, by its path in `TEXTS`. */
export function fillTexts(place) {
  const text = (path) => path.split(".").reduce((found, name) => found[name], TEXTS);
  for (const each of place.querySelectorAll("[data-text]")) each.textContent = text(each.dataset.text);
  for (const each of place.querySelectorAll("[data-label]")) each.setAttribute("aria-label", text(each.dataset.label));
}
