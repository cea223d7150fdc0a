/** Choose which of the open runs the page shows. */
import { element } from "../report/dom.js";
import { live } from "./live.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

/** Put the choice behind an element; with a single run there is nothing to choose. */
export function startRuns(before, complain) {
  const select = element("select");
  const label = element("label", "runs", element("span", "unseen", TEXTS.runs.label), select);
  before.after(label);
  const fill = () => {
    if (!page.facts) return;
    const { run, live: isLive } = page.facts;
    const names = [...new Set([...page.facts.runs, ...(live.state?.runs ?? [])])];
    const options = names.map((name) => new Option(name, name, false, !isLive && name === run));
    if (isLive) options.push(new Option(TEXTS.runs.live(run), "", false, true));
    label.hidden = options.length < 2;
    if (String(options.map((each) => each.text)) === String([...select.options].map((each) => each.text)))
      select.selectedIndex = options.findIndex((each) => each.selected);
    else select.replaceChildren(...options);
  };
  select.addEventListener("change", async () => {
    try {
      if (select.value) await page.open(select.value);
      else live.follows = true;
    } catch (error) {
      if (!error.isLate) complain(error);
    }
  });
  page.on("network", fill);
  live.addEventListener("change", fill);
}
