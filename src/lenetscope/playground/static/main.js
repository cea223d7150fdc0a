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
import { page } from "./page.js";
import "./picture.js";
import { startShare } from "./share.js";
import { startTabs, VIEWS } from "./tabs.js";
import { fillTexts, TEXTS } from "./texts.js";
import "./train.js";
import { startWayIn } from "./way-in.js";
import "./why.js";

const find = (id) => document.getElementById(id);

fillTexts(document);
startTheme(find("theme"));
const choose = startTabs(find("tabs"));

const explainer = new Explainer(find);
const panel = new DrawingPanel(find, (outputs, pixels, empty) => {
  Object.assign(page, { outputs, pixels, empty });
  page.emit("run");
});
startPadTools(panel);
startWayIn(panel);
let maps;

page.on("network", () => {
  const { facts, network, scales } = page;
  find("run").textContent = TEXTS.run(facts.run, facts.title, facts.accuracy);
  find("layers").replaceChildren();
  maps = new LayerMaps(find("layers"), network, scales, (number, map) => explainer.open(number, map));
  explainer.use(network, maps.rows, scales);
  panel.use(network, null);
  if (page.empty && !panel.pad.canUndo) greet(panel);
});
page.on("familiar", () => {
  panel.familiar = page.familiar;
  panel.update();
});
page.on("run", () => {
  maps.show(page.outputs);
  explainer.show(page.outputs);
});
page.update = () => panel.update();
page.load = (pixels, text) => panel.load(pixels, text);
page.clear = () => panel.clear();
find("picture").addEventListener("click", () => find("own-picture").open());
const open = startShare(panel, explainer, choose, VIEWS);

try {
  await open();
} catch (error) {
  tell(error.message);
}

/** For the browser's console. */
window.lenetscope = { page };
document.documentElement.dataset.ready = "";
