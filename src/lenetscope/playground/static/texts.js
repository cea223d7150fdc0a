const falls = (drop) => (drop.startsWith("−") ? `rises by ${drop.slice(1)}` : `falls by ${drop}`);

/** How much ink was added and erased, in pixels of full ink. */
function inkOf(added, erased) {
  const parts = [added && `${added} pixels of ink drawn`, erased && `${erased} erased`].filter(Boolean);
  return parts.length ? parts.join(", ") : "no ink";
}

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
    nothing: "Draw something, and see why it is taken for what it is.",
    unedited: "What you changed in the network is left out here: this is about the network as it was trained.",
    maps: {
      heading: (name) => `Which pixels speak for ${name}`,
      about: "Four methods, one question each. Where they agree, and the check below a map holds, believe it.",
      classes: "Class to explain",
      predicted: (name) => (name === null ? "Predicted" : `Predicted: ${name}`),
      methods: {
        saliency: ["Saliency", "How fast the logit changes with each pixel."],
        "integrated-gradients": ["Integrated gradients", "What each pixel adds to the logit, from black to the drawing."],
        "grad-cam": ["Grad-CAM", "Where the last feature maps speak for the class."],
        occlusion: ["Occlusion", "How far the logit falls when a small patch is blacked out."],
      },
      image: (method, name) => `The drawing, coloured by ${method} for ${name}`,
      ends: { signed: ["against", "for"], positive: ["little", "much"] },
      drop: (percent, marked, ink, chance) =>
        `Without the ${percent} % of pixels marked most, the logit ${falls(marked)}; ` +
        `without as many of the brightest, it ${falls(ink)}; without random ones, it ${falls(chance)}.`,
      verdicts: {
        faithful: "Holds: it finds what matters better than brightness does.",
        ink: "Only finds the ink: no better than the brightest pixels.",
        chance: "Do not believe it here: no better than random pixels.",
      },
      complete: (sum, difference, gap) =>
        `All values add up to ${sum}; the logit rose by ${difference} from black to the drawing: ${gap} is missing.`,
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
        `${percent} of the ink of the drawing. ${tried} drawings were tried.`,
      none: ({ to, chance, tried }) =>
        `No strokes found that turn it into ${to}: in ${tried} trials it came no nearer than ${chance}. These are the ` +
        "strokes that came nearest.",
      already: (to) => `It is ${to} already.`,
      stale: "The drawing has changed since; search again.",
      play: "Play",
      pause: "Pause",
      steps: "Strokes drawn so far",
      step: (done, count) => `${done} of ${count} strokes`,
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
