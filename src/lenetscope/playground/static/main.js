/** Start the playground: open a run, and let every view follow what is drawn. */
import { DrawingPanel } from "../report/draw.js";
import { Explainer } from "../report/explain.js";
import { LayerMaps } from "../report/maps.js";
import { startTheme } from "../report/theme.js";
import "./digits.js";
import "./epochs.js";
import "./filters.js";
import "./gallery.js";
import { page } from "./page.js";
import { startRuns } from "./runs.js";
import { startTabs } from "./tabs.js";
import { fillTexts, TEXTS } from "./texts.js";
import "./train.js";
import "./why.js";

const find = (id) => document.getElementById(id);

fillTexts(document);
startTheme(find("theme"));
startTabs(find("tabs"));

const explainer = new Explainer(find);
const panel = new DrawingPanel(find, (outputs, pixels, empty) => {
  Object.assign(page, { outputs, pixels, empty });
  page.emit("run");
});
let maps;

page.on("network", () => {
  const { facts, network, scales } = page;
  find("run").textContent = TEXTS.run(facts.run, facts.title, facts.accuracy);
  find("layers").replaceChildren();
  maps = new LayerMaps(find("layers"), network, scales, (number, map) => explainer.open(number, map));
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
});
page.update = () => panel.update();

const complain = (error) => {
  find("trouble").textContent = error.message;
  find("trouble").hidden = false;
};
startRuns(find("run"), complain);

try {
  await page.open();
} catch (error) {
  complain(error);
}

/** For the browser's console. */
window.lenetscope = { page };
document.documentElement.dataset.ready = "";
