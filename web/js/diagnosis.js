// The diagnosis of the installation, and the toast that leads to it.
// Loading this file does nothing.

import { app } from "../../../scripts/app.js";
import { ask } from "./models.js";
import { button, element, openWindow } from "./window.js";

const CLICKABLE = "rembg-sessions-fallback";
let clicked; // what a click on the toast does, where toasts have no buttons

/** Show an error that stays until it is closed. */
export function tellError(summary, detail) {
  app.extensionManager.toast.add({ severity: "error", summary, detail });
}

/** Say that a model runs on the CPU; the repair lines are one click away. */
export function tellFallback({ model, wanted, reason }) {
  const summary = `${model} runs on the CPU, not on ${wanted}`;
  const show = () => showDiagnosis(reason);
  const toasts = app.extensionManager.toast;
  if (toasts.warning) {
    const action = { label: "Why, and how to repair it", onClick: show };
    toasts.warning(summary, { description: "The result is the same, but slower.", action });
    return;
  }
  // older toasts have no buttons, but may have a class
  if (!clicked) {
    document.addEventListener("click", ({ target }) => {
      if (target.closest?.(`.${CLICKABLE}`) && !target.closest("button")) clicked();
    });
  }
  clicked = show;
  const detail = "The result is the same, but slower. Click here for the reason and the repair.";
  toasts.add({ severity: "warn", summary, detail, styleClass: CLICKABLE });
}

/** Open a window with the diagnosis and its repair lines, ready to be copied. */
export async function showDiagnosis(reason = "") {
  let report;
  try {
    ({ report } = await ask("diagnosis"));
  } catch (error) {
    tellError("rembg-sessions: no diagnosis", error.message);
    return;
  }
  // a text area: from it, the page lets text be copied instead of nodes
  const text = element(
    "textarea",
    "width: 100%; height: 50vh; box-sizing: border-box; resize: none; padding: 8px;" +
      "font: 12px monospace; border: 1px solid var(--border-color, #555);" +
      "background: var(--comfy-input-bg, #222); color: var(--input-text, #ddd);",
  );
  text.readOnly = true;
  text.value = reason ? `${reason}\n\n${report}` : report;
  const copy = button("Copy", "Copy the text", async () => {
    text.focus();
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
      copy.textContent = "Copied";
    } catch {
      // browsers have a clipboard on https and on the machine itself only, and may refuse it
      copy.textContent = "Selected: press Ctrl+C or ⌘C";
    }
  });
  openWindow("rembg-sessions: diagnosis", text, [copy]);
}
