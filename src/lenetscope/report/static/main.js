/** Start the parts of the page that have data. */
import { decodeBytes, decodeScales } from "./colours.js";
import { startConfusion, TestImages } from "./confusion.js";
import { roving } from "./dom.js";
import { DrawingPanel } from "./draw.js";
import { startEpochs } from "./epochs.js";
import { Explainer } from "./explain.js";
import { Familiar } from "./familiar.js";
import { LayerMaps } from "./maps.js";
import { Network } from "./network.js";
import { startTheme } from "./theme.js";

const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const scales = decodeScales(data.colours);
const images = new TestImages(data.images, data.imageShape, data.classes, decodeBytes(data.images.pixels));
const network = data.network ? new Network(data.network) : null;
const familiar = data.network ? new Familiar(data.network.familiar) : null;

startTheme(find("theme"));

let choose = null;
if (network) {
  for (const id of ["panel", "start-from", "layer-outputs"]) find(id).hidden = false;
  const maps = new LayerMaps(find("layers"), network, scales, (number, map) => explainer.open(number, map));
  const explainer = new Explainer(find);
  explainer.use(network, maps.rows, scales);
  const panel = new DrawingPanel(find, (run) => {
    maps.show(run);
    explainer.show(run);
  });
  panel.use(network, familiar);
  const image = (place) => [images.pixels(place), `${images.describe(place)}, pixel for pixel.`];
  const load = (place) => panel.load(...image(place));
  const thumbnails = data.images.examples.map((place) =>
    images.thumbnail(place, data.classes[data.images.label[place]], load),
  );
  find("examples").append(...thumbnails);
  roving(thumbnails, () => thumbnails.length);
  if (data.images.examples.length) panel.greet(...image(data.images.examples[0]));
  choose = (place) => {
    load(place);
    find("draw").scrollIntoView();
    find("pad").focus({ preventScroll: true });
  };
}

if (find("confusion")) startConfusion(find("confusion"), find("cell"), images, choose);
if (data.questions.snapshots) startEpochs(find, data.questions.snapshots, images, scales);

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
for (const section of document.querySelectorAll("main > section")) watcher.observe(section);

// on paper nothing can be unfolded
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

/** For the browser's console: `lenetscope.network.predict(pixels)`. */
window.lenetscope = { network, familiar };
