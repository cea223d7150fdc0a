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
    about:
      "From top to bottom in the order in which the layers run. Bright is high; where values have a sign, red is " +
      "positive and blue negative. Choose a map to see how each of its values comes about, number by number.",
  },
  why: {
    tab: "Why",
  },
  epochs: {
    tab: "Epochs",
    about:
      "The same drawing, seen by the network at every age. Slide through the epochs: the prediction, the filters and " +
      "the maps under “Layers” change with them.",
    none: (run) => `The run ${run} has kept the weights of no epoch but the last, so there is nothing to go back to.`,
    some: (count, all) => `${count} of the ${all} epochs that were kept: as many as the page can hold.`,
    slider: "Epoch",
    epoch: (epoch, last) => `Epoch ${epoch} of ${last}`,
    play: "Play",
    stop: "Stop",
    next: "Next epoch",
    back: (last) => `Back to epoch ${last}`,
    scores: (epoch, row) => {
      if (epoch === 0) return "Before training: the weights are random, nothing has been learned.";
      if (!row) return "";
      const parts = [
        row.validAccuracy !== null && `validation accuracy ${(100 * row.validAccuracy).toFixed(2)} %`,
        row.validLoss !== null && `validation loss ${row.validLoss.toFixed(4)}`,
        row.trainLoss !== null && `training loss ${row.trainLoss.toFixed(4)}`,
      ];
      return `After epoch ${epoch}: ${parts.filter(Boolean).join(", ")}.`;
    },
    probabilities: "What it says of this drawing",
    empty: "Draw something to see how the answer came about, epoch by epoch.",
    waiting: "Computing …",
    answer: (name, since, last) => {
      if (since === null) return `It says ${name} after every epoch.`;
      return since === last ? `It says ${name} only after epoch ${last}.` : `It says ${name} from epoch ${since} on.`;
    },
    curves: (epoch, classes) => `Probability of each class over the epochs. At epoch ${epoch}: ${classes.join(", ")}.`,
    accuracy: "Accuracy",
    loss: "Loss",
    valid: "validation",
    train: "training",
    history: (what) => `${what} of training and validation images after each epoch`,
    filters: (name) => `Filters of ${name}`,
    above: (channels) =>
      `Each filter${channels > 1 ? ` (the mean over its ${channels} channels)` : ""}, and below it the map that it makes ` +
      "of the drawing. The colours of the filters mean the same in every epoch.",
    pairs: (count, name) => `${count} filters of ${name}, and their maps`,
  },
  filters: {
    tab: "Filters",
    about:
      "Choose a filter: switch it off, scale it, or change its numbers. The whole page shows the changed network; " +
      "what is off returns 0 everywhere.",
    none: (hasUnits) =>
      `This network has no convolutions, and so no filters.${hasUnits ? " Its hidden units can be switched off." : ""}`,
    others: (count) => `${count} more ${count > 1 ? "convolutions are" : "convolution is"} no layer of the model, and cannot be changed here.`,
    filters: ({ filters, height, width, channels }) =>
      `${filters} ${filters > 1 ? "filters" : "filter"} of ${height}×${width}${channels > 1 ? ` for ${channels} channels` : ""}`,
    shared: (count) => `It runs ${count} times; a change counts each time.`,
    grid: (count, name) => `${count} filters of ${name}`,
    filter: (number, name, isOff, isChanged) =>
      `filter ${number} of ${name}${isOff ? ", off" : isChanged ? ", changed" : ""}`,
    name: (number, name) => `Filter ${number} of ${name}`,
    shown: "Shown: ",
    mean: (count) => `mean of all ${count}`,
    channel: (number) => `channel ${number}`,
    channels: (count) => `Its numbers for one of ${count} channels: `,
    imageChannel: (number, count) => (count > 1 ? `channel ${number} of the image` : "the image"),
    map: (number, name) => `map ${number} of ${name}`,
    kernel: "its numbers: change them",
    weight: (row, column) => `row ${row}, column ${column}`,
    summed: (count) => `its map, the sum over ${count} channels`,
    made: "its map",
    off: "Switch off",
    on: "Switch on",
    reset: "Reset",
    resetThis: "Reset this filter",
    resetAll: "Reset all",
    scale: "Scale its output",
    units: (count, name) => `${count} units of ${name}`,
    aboutUnits: (count) => `${count} hidden units, coloured by their outputs. Choose one to switch it off.`,
    unit: (number, isOff) => `unit ${number}${isOff ? ", off" : ""}`,
    changed: (filters, units) => {
      if (filters + units === 0) return "Nothing is changed";
      const counted = (count, word) => `${count} ${word}${count > 1 ? "s" : ""}`;
      const parts = [filters && counted(filters, "filter"), units && counted(units, "unit")].filter(Boolean);
      return `${parts.join(" and ")} changed`;
    },
    says: (name, probability) => `${name}, ${probability}`,
    prediction: (before, now) => `Prediction: ${before === now ? now : `${before} → ${now}`}`,
    counting: "Counting …",
    /** Texts, of which every second one is set off. */
    counted: ({ images, before, after, changed }) => {
      const share = (count) => `${((100 * count) / images).toFixed(1)} %`;
      const start = `Accuracy on ${images.toLocaleString("en")} validation images: `;
      if (!changed) return [start, share(after)];
      const points = (100 * (after - before)) / images;
      const sign = points < 0 ? "−" : points > 0 ? "+" : "±";
      const which = changed === 1 ? "1 image" : `${changed} images`;
      return [
        start,
        `${share(before)} → ${share(after)}`,
        ` (${sign}${Math.abs(points).toFixed(1)} points), ${which} classified differently`,
      ];
    },
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
