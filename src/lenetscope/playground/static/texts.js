/** How much ink was drawn and erased, in pixels of full ink. */
function inkOf(added, erased) {
  const parts = [added && `${added} px of ink drawn`, erased && `${erased} px of ink erased`].filter(Boolean);
  return parts.join(" and ");
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
