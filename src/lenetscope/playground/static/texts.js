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
  },
  filters: {
    tab: "Filters",
  },
  runs: {
    label: "Shown run",
    live: (run) => `${run}, in training`,
  },
  train: {
    tab: "Train",
    heading: "Train a network",
    about:
      "Choose a recipe, change what you like, and watch: curves, filters, maps and the prediction of your drawing move " +
      "while it learns. It goes on if you close this page.",
    base: "Begin with",
    more: "All other settings",
    groups: { data: "Data", network: "Network", training: "Training", machine: "Machine" },
    field: (name) => name.replaceAll("_", " "),
    start: "Start training",
    seed:
      "The same seed and network always begin with the same initial weights. So change one thing, train again, " +
      "and compare the curves.",
    unfinished: "Unfinished runs",
    resume: (run) => `Resume ${run}`,
    done: (done, epochs) => `${done} of ${epochs} epochs done`,
    phases: {
      starting: "starting",
      training: "training",
      paused: "paused",
      evaluating: "counting the mistakes on the test images",
      finished: "finished",
      stopped: "stopped; saved",
      failed: "failed",
    },
    starting: "Reading the data and building the network …",
    place: (epoch, epochs, step, steps) => `epoch ${epoch} of ${epochs}, step ${step} of ${steps}`,
    now: (loss, accuracy) => `Training loss ${loss}, accuracy ${accuracy} over the last steps.`,
    speed: (images) => `${images.toLocaleString("en")} images per second.`,
    network: (about, parameters) => `${about}. ${parameters.toLocaleString("en")} parameters.`,
    result: (accuracy) => `${accuracy} of the test images are classified correctly.`,
    progress: "Progress",
    pause: "Pause",
    continue: "Go on",
    stop: "Stop and save",
    again: "Again with changes",
    show: "Show this network",
    live: "show it live",
    lr: "Learning rate",
    setLr: "Set",
    lrHelp: (now) =>
      `Now ${now}. From the next step on, the schedule goes on as if the recipe had this rate; the run records it.`,
    lrChanges: (changes) => `Changed by hand: ${changes.join(", ")}.`,
    lrChange: (lr, epoch, step) => `to ${lr} in epoch ${epoch}, after step ${step}`,
    filters: (layer, count) => `${count} filters of ${layer}, the first convolution`,
    filtersHelp: "Red is positive, blue negative. The maps under “Layers” move as well.",
    noFilters: "This network has no convolution.",
    unseen: (why) => `It trains, but cannot be shown live: ${why}`,
    loss: "Loss, on a logarithmic scale",
    accuracy: "Accuracy",
    epoch: "epoch",
    curve: (what, run, points, last) => `${what} of ${run} over the epochs; ${points} points, the last ${last}`,
    trainingOf: (run) => `${run}: training`,
    validationOf: (run) => `${run}: validation`,
    formerOf: (run, differences) => `${run}: ${differences}`,
    differs: (name, value, now) => `${name} ${value} instead of ${now}`,
    same: "same settings",
    byHand: "learning rate changed by hand",
    sameWeights: "same initial weights",
    otherWeights: "other initial weights",
    smoothed: "The training loss counts label smoothing, the validation loss does not.",
    onTest: "No images are held out: validation is on the test images, so choose nothing by it.",
    epochs: "Each epoch in numbers",
    columns: ["epoch", "training loss", "accuracy", "validation loss", "accuracy", "learning rate", "seconds"],
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
