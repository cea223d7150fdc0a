/** Start the playground: open a run, and let every view follow what is drawn. */
import { DrawingPanel } from "../report/draw.js";
import { Explainer } from "../report/explain.js";
import { LayerMaps } from "../report/maps.js";
import { startTheme } from "../report/theme.js";
import "./digits.js";
import "./epochs.js";
import "./filters.js";
import "./gallery.js";
import { tell } from "./notice.js";
import { greet, startPadTools } from "./pad-tools.js";
import { Hover } from "./hover.js";
import { showLegend } from "./legend.js";
import { page } from "./page.js";
import "./picture.js";
import { startRuns } from "./runs.js";
import { startShare } from "./share.js";
import { startTabs, VIEWS } from "./tabs.js";
import { fillTexts, TEXTS } from "./texts.js";
import { Tour } from "./tour.js";
import "./train.js";
import { startWayIn } from "./way-in.js";
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
startPadTools(panel);
startWayIn(panel);
let maps;

page.on("network", () => {
  const { facts, network, scales } = page;
  find("run").textContent = TEXTS.run(facts.run, facts.title, facts.accuracy);
  find("layers").replaceChildren();
  showLegend(find("legend"), scales);
  maps = new LayerMaps(find("layers"), network, scales, (number, map) => {
    if (facts.refusal) tell(TEXTS.layers.opaque(facts.refusal));
    else explainer.open(number, map, hover.indexIn(number, map));
  });
  hover.use(maps);
  explainer.use(network, maps.rows, scales);
  panel.use(network, null);
  if (page.empty && !panel.pad.canUndo) greet(panel);
});
page.on("familiar", () => {
  if (!page.isAsTrained) return;
  panel.familiar = page.familiar;
  panel.update();
});
page.on("weights", () => {
  // what is familiar was learned from the network as it was trained
  panel.familiar = page.isAsTrained ? page.familiar : null;
});
page.on("run", () => {
  maps.show(page.outputs);
  explainer.show(page.outputs);
  hover.update();
});
page.update = () => panel.update();
page.load = (pixels, text) => panel.load(pixels, text);
find("picture").addEventListener("click", () => find("own-picture").open());
const open = startShare(panel, explainer, choose, VIEWS);

startRuns(find("run"), (error) => tell(error.message));
page.greet = () => greet(panel);
new Tour(find("actions"), hover, choose);

try {
  await open();
} catch (error) {
  tell(error.message, true, Infinity);
}

/** For the browser's console. */
window.lenetscope = { page };
document.documentElement.dataset.ready = "";
