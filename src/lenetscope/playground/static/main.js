/** Start the playground: open a run, and let every view follow what is drawn. */
import { DrawingPanel } from "../report/draw.js";
import { Explainer } from "../report/explain.js";
import { LayerMaps } from "../report/maps.js";
import { startTheme } from "../report/theme.js";
import "./digits.js";
import "./epochs.js";
import "./filters.js";
import "./gallery.js";
import { Hover } from "./hover.js";
import { showLegend } from "./legend.js";
import { page } from "./page.js";
import { startTabs } from "./tabs.js";
import { fillTexts, TEXTS } from "./texts.js";
import { Tour } from "./tour.js";
import "./train.js";
import "./why.js";

const find = (id) => document.getElementById(id);

fillTexts(document);
for (const kind of ["pointerdown", "keydown"]) // styles differ for who draws by keyboard
  addEventListener(kind, () => (document.documentElement.dataset.by = kind), true);
startTheme(find("theme"));
const choose = startTabs(find("tabs"));

const explainer = new Explainer(find);
const hover = new Hover(find);
const panel = new DrawingPanel(find, (outputs, pixels, empty) => {
  Object.assign(page, { outputs, pixels, empty, seen: panel.seen });
  page.emit("run");
});
let maps;

page.on("network", () => {
  const { facts, network, scales } = page;
  find("run").textContent = TEXTS.run(facts.run, facts.title, facts.accuracy);
  find("layers").replaceChildren();
  showLegend(find("legend"), scales);
  maps = new LayerMaps(find("layers"), network, scales, (number, map) => explainer.open(number, map, hover.indexIn(number, map)));
  hover.use(maps);
  explainer.use(network, maps.rows, scales);
  find("centre").checked = facts.centred;
  panel.use(network, null);
});
page.on("familiar", () => {
  panel.familiar = page.familiar;
  panel.update();
});
page.on("run", () => {
  maps.show(page.outputs);
  explainer.show(page.outputs);
  hover.update();
});
page.update = () => panel.update();
page.trace = (places) => panel.trace(places);
new Tour(find("actions"), hover, choose);

try {
  await page.open();
} catch (error) {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
}

/** For the browser's console. */
window.lenetscope = { page };
document.documentElement.dataset.ready = "";
