/** A button between light and dark; without it the page follows the system. */
export function startTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => (button.textContent = dark() ? "Light colours" : "Dark colours");
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
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
