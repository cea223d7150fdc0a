/** The tabs: which view is shown beside the drawing. */
import { button, roving } from "../report/dom.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

/** Names of the views, in their order; each is in the element `view-<name>`. */
export const VIEWS = ["layers", "why", "epochs", "filters", "train", "gallery", "digits"];

/** Make a tab for each view; return the function that chooses one by its name. */
export function startTabs(place) {
  const panel = (name) => document.getElementById(`view-${name}`);
  const tabs = VIEWS.map((name) => {
    const tab = button("tab", () => choose(name), TEXTS[name].tab);
    tab.id = `tab-${name}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `view-${name}`);
    tab.addEventListener("focus", () => choose(name)); // arrow keys move and choose
    panel(name).setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const choose = (name) => {
    if (page.view === name && !panel(name).hidden && tabs[0].ariaSelected) return;
    page.view = name;
    VIEWS.forEach((each, i) => {
      panel(each).hidden = each !== name;
      tabs[i].ariaSelected = String(each === name);
      tabs[i].tabIndex = each === name ? 0 : -1;
    });
    page.emit("view");
  };
  place.append(...tabs);
  roving(tabs, () => tabs.length);
  choose(page.view);
  return choose;
}
