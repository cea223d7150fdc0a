/** Start the parts of the page that have data. */
import { decodeBytes, decodeScales } from "./colours.js";
import { startConfusion, TestImages } from "./confusion.js";
import { roving } from "./dom.js";
import { DrawingPanel, stepsFor } from "./draw.js";
import { startEpochs } from "./epochs.js";
import { Explainer } from "./explain.js";
import { Familiar } from "./familiar.js";
import { LayerMaps } from "./maps.js";
import { Network } from "./network.js";
import { startTheme } from "./theme.js";

const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const scales = decodeScales(data.colours);
const images = data.images
  ? new TestImages(data.images, data.imageShape, data.classes, decodeBytes(data.images.pixels))
  : null; // a page to draw on alone
const network = data.network ? new Network(data.network) : null;
const familiar = data.network ? new Familiar(data.network.familiar) : null;

startTheme(find("theme"));

let choose = null;
if (network) {
  for (const id of ["panel", "layer-outputs"]) find(id).hidden = false;
  const maps = new LayerMaps(find("layers"), network, scales, (number, map) => explainer.open(number, map));
  const explainer = new Explainer(find);
  explainer.use(network, maps.rows, scales);
  const panel = new DrawingPanel(find, (run) => {
    maps.show(run);
    explainer.show(run);
  });
  const centre = find("centre");
  if (network.inputShape[0] >= 3) {
    centre.checked = false; // centring is for what is light on black
    centre.parentElement.hidden = true;
  }
  panel.steps = { ...stepsFor(centre.checked), ...data.start?.steps };
  centre.checked = panel.steps.box;
  centre.addEventListener("change", () => {
    Object.assign(panel.steps, { box: centre.checked, centre: centre.checked });
    panel.update();
  });
  panel.use(network, familiar);
  if (data.start?.pixels) panel.greet(decodeBytes(data.start.pixels), "The drawing that was saved, pixel for pixel.");
  if (images) choose = offerImages(panel);
}

if (find("confusion")) startConfusion(find("confusion"), find("cell"), images, choose);
if (data.questions?.snapshots) startEpochs(find, data.questions.snapshots, images, scales);

/** Let test images be put onto the pad; return the function that does it from elsewhere in the page. */
function offerImages(panel) {
  find("start-from").hidden = false;
  const image = (place) => [images.pixels(place), `${images.describe(place)}, pixel for pixel.`];
  const load = (place) => panel.load(...image(place));
  const thumbnails = data.images.examples.map((place) =>
    images.thumbnail(place, data.classes[data.images.label[place]], load),
  );
  find("examples").append(...thumbnails);
  roving(thumbnails, () => thumbnails.length);
  if (data.images.examples.length) panel.greet(...image(data.images.examples[0]));
  return (place) => {
    load(place);
    find("draw").scrollIntoView();
    find("pad").focus({ preventScroll: true });
  };
}

// mark the chapter that is being read
const links = new Map([...document.querySelectorAll(".sections a")].map((a) => [a.hash.slice(1), a]));
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(target.id).setAttribute("aria-current", "true");
    }
  },
  { rootMargin: "-20% 0px -75% 0px" },
);
for (const id of links.keys()) watcher.observe(find(id));

// on paper nothing can be unfolded
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

/** For the browser's console: `lenetscope.network.predict(pixels)`. */
window.lenetscope = { network, familiar };
