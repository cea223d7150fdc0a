/** The view "why": which pixels speak for a class, and which strokes would change the prediction. */
import { element } from "../report/dom.js";
import { AttributionMaps } from "./attribution.js";
import { ChangeOfMind } from "./counterfactual.js";
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.why;

/** Both follow the drawing while the view is the chosen one. */
class Why extends HTMLElement {
  connectedCallback() {
    this.note = element("p", "say");
    this.parts = [new AttributionMaps(), new ChangeOfMind()];
    this.append(this.note, ...this.parts.map(({ root }) => root));
    page.on("network", () => this.parts.forEach((part) => part.use()));
    for (const kind of ["run", "weights", "view"]) page.on(kind, () => this.#follow());
  }

  #follow() {
    if (page.view !== "why" || !page.pixels) return;
    this.note.hidden = !page.empty && !page.edits.size;
    this.note.textContent = page.empty ? texts.nothing : texts.unedited;
    for (const part of this.parts) {
      part.root.hidden = page.empty;
      if (!page.empty) part.follow();
    }
  }
}
customElements.define("play-why", Why);
