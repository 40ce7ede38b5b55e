// Elements and windows of the browser's own. Loading this file does nothing.

/** Make an element; the last arguments are its text or its children. */
export function element(tag, style, ...children) {
  const made = document.createElement(tag);
  made.style.cssText = style;
  made.append(...children);
  return made;
}

export function button(text, title, act) {
  const made = element(
    "button",
    "padding: 2px 10px; border: 1px solid var(--border-color, #555); border-radius: 4px;" +
      "background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd); cursor: pointer;" +
      "font: inherit; white-space: nowrap;",
    text,
  );
  made.type = "button";
  made.title = title;
  made.addEventListener("click", act);
  return made;
}

/**
 * Open a window over the page, and return the function that closes it; `closed` is called when it
 * is gone.
 */
export function openWindow(title, content, buttons = [], closed = () => {}) {
  const window = element(
    "dialog",
    "width: min(900px, 90vw); box-sizing: border-box; padding: 16px; border-radius: 8px;" +
      "border: 1px solid var(--border-color, #555); background: var(--comfy-menu-bg, #333);" +
      "color: var(--fg-color, #eee); font: 14px sans-serif;",
    element("div", "font-weight: bold; margin-bottom: 12px;", title),
    content,
  );
  window.className = "rembg-sessions-window";
  const close = button("Close", "", () => window.close());
  close.autofocus = true;
  const line = "display: flex; gap: 8px; justify-content: end; margin-top: 12px;";
  window.append(element("div", line, ...buttons, close));
  // the page behind has keys of its own, and would paste nodes there
  for (const name of ["keydown", "copy", "paste"]) {
    window.addEventListener(name, (event) => event.stopPropagation());
  }
  window.addEventListener("close", () => {
    window.remove();
    closed();
  });
  document.body.append(window);
  window.showModal();
  return () => window.close();
}
