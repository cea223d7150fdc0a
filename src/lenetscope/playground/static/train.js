/** The view "train". */
import { page } from "./page.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.train;

/** See the view's heading. */
class Train extends HTMLElement {
  connectedCallback() {}
}
customElements.define("play-train", Train);
