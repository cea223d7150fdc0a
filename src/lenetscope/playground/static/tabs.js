/** The tabs: which view is shown beside the drawing. */
import { button, element, roving } from "../report/dom.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

/** Names of the views, in their order; each is in the element `view-<name>`. */
export const VIEWS = ["layers", "why", "epochs", "filters", "train", "gallery", "digits"];

/** Make a tab for each view. */
export function startTabs(place) {
  const panel = (name) => document.getElementById(`view-${name}`);
  const tabs = VIEWS.map((name) => {
    const tab = button("tab", () => choose(name), TEXTS[name].tab);
    tab.id = `tab-${name}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `view-${name}`);
    panel(name).setAttribute("aria-labelledby", tab.id);
    return tab;
  });
  const choose = (name) => {
    page.view = name;
    VIEWS.forEach((each, i) => {
      panel(each).hidden = each !== name;
      tabs[i].setAttribute("aria-selected", each === name);
    });
    page.emit("view");
  };
  place.append(...tabs);
  roving(tabs, () => tabs.length);
  choose(page.view);
  return choose;
}
