/** How much ink was drawn and erased, in pixels of full ink. */
function inkOf(added, erased) {
  const parts = [added && `${added} px of ink drawn`, erased && `${erased} px of ink erased`].filter(Boolean);
  return parts.join(" and ");
}

/** The texts of the views behind the tabs; `TEXTS` holds them with those of the rest of the page. */
export const VIEW_TEXTS = {
  why: {
    tab: "Why",
    nothing: "Draw something, and see why it is taken for what it is.",
    unedited: "What you changed in the network is left out here: this is about the network as it was trained.",
    maps: {
      heading: (name) => `Which pixels speak for ${name}`,
      about: "Red speaks for it, blue against it. Four methods say so, and below each map stands whether to believe it.",
      classes: "Class to explain",
      predicted: (name) => (name === null ? "Predicted" : `Predicted: ${name}`),
      methods: {
        "integrated-gradients": ["Integrated gradients", "What each pixel adds to the logit on the way from black to the drawing."],
        occlusion: ["Occlusion", "How far the logit falls when a small patch is blacked out."],
        "grad-cam": ["Grad-CAM", "Where the last feature maps speak for the class."],
        saliency: ["Saliency", "How strongly the logit depends on each pixel."],
      },
      image: (method, name) => `The drawing, coloured by ${method} for ${name}`,
      ends: { signed: ["against", "for"], positive: ["little", "much"] },
      drop: (percent) => `With ${percent} % of the pixels blacked out, the logit falls by:`,
      drops: { marked: "marked", ink: "brightest", chance: "random" },
      verdicts: {
        faithful: "It marks what the network uses.",
        ink: "Weak: the brightest pixels matter more.",
        chance: "Do not believe it here: random pixels matter as much.",
      },
      complete: (sum, difference, gap) =>
        `Complete: all values add up to ${sum}, and the logit rises by ${difference} from black to the drawing ` +
        `(gap ${gap}).`,
      missing: {
        "grad-cam": "Grad-CAM needs feature maps, and this network has none.",
      },
    },
    change: {
      heading: "What would change its mind",
      about: "The smallest strokes, as wide as your pen, that turn the prediction: drawn or erased, no invisible noise.",
      target: "Turn it into",
      second: (name) => `second choice: ${name}`,
      find: "Find the smallest change",
      searching: "Searching …",
      found: ({ count, from, to, added, erased, percent, tried }) =>
        `${count === 1 ? "One stroke turns" : `${count} strokes turn`} ${from} into ${to}: ${inkOf(added, erased)}, ` +
        `${percent} of the drawing's ink. ${tried} drawings were tried.`,
      none: ({ to, chance, tried }) =>
        `No strokes found that turn it into ${to}: in ${tried} trials it came no nearer than ${chance}. These are the ` +
        "strokes that came nearest.",
      already: (to) => `It is ${to} already.`,
      stale: "The drawing has changed since; search again.",
      play: "Play",
      pause: "Pause",
      steps: "Strokes drawn so far",
      step: (done, count) => `${done} of ${count === 1 ? "1 stroke" : `${count} strokes`}`,
      marked: "mark the strokes",
      added: "drawn",
      erased: "erased",
      canvas: "The drawing with the strokes that change it",
      bars: "Probability of each class with these strokes",
      keep: "Put it on the pad",
      kept: "Changed by strokes that were found.",
    },
  },
  epochs: {
    tab: "Epochs",
    about:
      "The same drawing, seen by the network at every age. Slide through the epochs: the prediction, the filters and " +
      "the maps under “Layers” change with them.",
    none: (run) => `The run ${run} has kept the weights of no epoch but the last, so there is nothing to go back to.`,
    live: "This network is being trained. Its epochs can be gone through when that has ended.",
    opaque: (refusal) => `The page cannot run this network, so it has only the last of its epochs: ${refusal}`,
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
    opaque: (refusal) => `The page cannot run this network, so its filters cannot be changed here: ${refusal}`,
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
};
