/** Elements of the page: made with their content, and moved among by the arrow keys. */

/** Make an element of a class around texts and other elements. */
export function element(tag, className = "", ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** Make an element of SVG with attributes, around other elements. */
export function drawn(tag, attributes, ...content) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...content);
  return made;
}

/** Make a button that does something when it is pressed. */
export function button(className, press, ...content) {
  const made = element("button", className, ...content);
  made.type = "button";
  made.addEventListener("click", press);
  return made;
}

/** Let the arrow keys move among some elements, of which Tab reaches one. */
export function roving(elements, columns) {
  elements.forEach((element, i) => (element.tabIndex = i === 0 ? 0 : -1));
  const go = (from, to) => {
    if (!elements[to]) return;
    elements[from].tabIndex = -1;
    elements[to].tabIndex = 0;
    elements[to].focus();
  };
  elements.forEach((element, i) => {
    element.addEventListener("focus", () => {
      for (const other of elements) other.tabIndex = other === element ? 0 : -1;
    });
    element.addEventListener("keydown", (event) => {
      const steps = {
        ArrowRight: i + 1,
        ArrowLeft: i - 1,
        ArrowDown: i + columns(),
        ArrowUp: i - columns(),
        Home: 0,
        End: elements.length - 1,
      };
      if (!(event.key in steps)) return;
      event.preventDefault();
      go(i, steps[event.key]);
    });
  });
}
