/** Pictures of the visitor's own: pasted, dropped, chosen as a file or taken with a camera, and read. */
import { decodeBytes, paintPixels } from "../report/colours.js";
import { button, element } from "../report/dom.js";
import { percent } from "../report/numbers.js";
import { tell } from "./notice.js";
import { page } from "./page.js";
import { ask, base64 } from "./server.js";
import { TEXTS } from "./texts.js";

const texts = TEXTS.picture;
const MOST_BYTES = 8_000_000;
const LONGEST = 1600; // pixels of a still of the camera

/** The dialog with the ways to bring a picture, and what was found in it. */
class OwnPicture extends HTMLElement {
  connectedCallback() {
    this.dialog = element("dialog");
    this.dialog.setAttribute("aria-labelledby", "picture-title");
    const title = element("h2", "", texts.heading);
    title.id = "picture-title";
    const close = button("quiet", () => this.dialog.close(), TEXTS.close);
    this.file = element("input");
    Object.assign(this.file, { type: "file", accept: "image/*", hidden: true });
    this.file.addEventListener("change", () => this.read(this.file.files[0]));
    const ways = [button("", () => this.file.click(), texts.file)];
    if (navigator.mediaDevices?.getUserMedia) ways.push(button("", () => this.#film(), texts.camera));
    this.stage = element("div", "framed stage");
    this.line = element("p", "say");
    this.line.setAttribute("aria-live", "polite");
    this.found = element("div", "thumbnails");
    this.dialog.append(
      element("div", "masthead", title, close),
      element("div", "row", ...ways, this.file),
      element("p", "fine", texts.about),
      this.stage,
      this.line,
      this.found,
    );
    this.append(this.dialog);
    this.dialog.addEventListener("close", () => this.#stopFilming());
    this.#listen();
  }

  /** Open it, empty. */
  open() {
    this.#show([], "");
    if (!this.dialog.open) this.dialog.showModal();
  }

  #listen() {
    addEventListener("paste", (event) => this.#take(event, event.clipboardData));
    addEventListener("drop", (event) => {
      this.#drag(false);
      this.#take(event, event.dataTransfer);
    });
    addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      this.#drag(true);
    });
    addEventListener("dragleave", (event) => event.relatedTarget ?? this.#drag(false));
  }

  #drag(isOver) {
    document.documentElement.classList.toggle("dropping", isOver);
  }

  #take(event, transfer) {
    const [file] = transfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    this.read(file);
  }

  /** Read a picture file. */
  async read(file) {
    if (!file) return;
    this.file.value = "";
    if (file.size > MOST_BYTES) return this.#refuse(texts.large(file.size, MOST_BYTES));
    if (!file.type.startsWith("image/")) return this.#refuse(texts.other);
    this.open();
    const image = await shown(file);
    this.#show(image ? [image] : [], texts.reading);
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      this.#answer(await ask("read", { image: base64(bytes), run: page.facts.run }), file.name);
    } catch (error) {
      if (!error.isLate) this.line.textContent = error.message;
    }
  }

  /** Say why a file is not read; a line at the foot of the page would be behind the dialog. */
  #refuse(reason) {
    if (this.dialog.open) this.#show([], reason);
    else tell(reason);
  }

  #answer({ whole, warning, reading }, name) {
    if (warning && !reading) tell(warning);
    if (!reading) {
      this.#put(whole, texts.fitted(name));
      return;
    }
    const { text, confidence, rejected, digits, size, images } = reading;
    const answer = text ? texts.reads(text, percent(confidence)) : texts.none;
    if (rejected) this.line.textContent = `${texts.rejected(rejected)} ${text && texts.else(text)}`;
    else this.line.replaceChildren(element("strong", "", answer), ` ${text && texts.choose}`);
    digits.forEach(({ label, box: [left, top, right, bottom] }) => {
      const frame = element("i", "found", element("b", "", label));
      const part = (value, whole) => `${(100 * value) / whole}%`;
      Object.assign(frame.style, { left: part(left, size[0]), top: part(top, size[1]) });
      Object.assign(frame.style, { width: part(right - left, size[0]), height: part(bottom - top, size[1]) });
      this.stage.append(frame);
    });
    this.found.replaceChildren(
      ...digits.map(({ label, probability }, i) =>
        this.#offer(images[i], `${label}, ${percent(probability)}`, texts.digit(i + 1, name)),
      ),
      this.#offer(whole, texts.whole, texts.fitted(name)),
    );
  }

  /** A button that puts an image onto the pad. */
  #offer(image, caption, text) {
    const canvas = element("canvas", "pixels");
    paintPixels(canvas, decodeBytes(image), page.network.inputShape);
    const made = button("", () => this.#put(image, text), canvas, element("small", "", caption));
    made.setAttribute("aria-label", texts.put(caption));
    return made;
  }

  #put(image, text) {
    page.load(decodeBytes(image), text);
    this.dialog.close();
  }

  #show(content, line) {
    this.#stopFilming();
    this.stage.replaceChildren(...content);
    this.line.textContent = line;
    this.found.replaceChildren();
  }

  /** Show what the camera sees, until a picture is taken. */
  async #film() {
    this.#show([], texts.asking);
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      this.#show([], texts.refused);
      return;
    }
    if (!this.dialog.open) return this.#stopFilming();
    const video = element("video");
    Object.assign(video, { srcObject: this.stream, muted: true, playsInline: true, autoplay: true });
    this.stage.replaceChildren(video);
    this.line.textContent = "";
    this.found.replaceChildren(button("", () => this.#still(video), texts.take));
    this.found.firstChild.focus();
  }

  #still(video) {
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight, 1));
    const canvas = element("canvas");
    Object.assign(canvas, { width: video.videoWidth * scale, height: video.videoHeight * scale });
    if (!canvas.width) return; // it shows nothing yet
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => this.read(new File([blob], texts.still, { type: blob.type })), "image/jpeg", 0.92);
  }

  #stopFilming() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
  }
}
customElements.define("play-own-picture", OwnPicture);

/** An element that shows a picture file; null where the browser knows no such pictures. */
async function shown(file) {
  const image = element("img");
  image.alt = texts.alt;
  image.src = URL.createObjectURL(file);
  try {
    await image.decode();
    return image;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(image.src);
  }
}
