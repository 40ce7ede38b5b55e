// The diagnosis of the installation, and the toast that leads to it.
// Loading this file does nothing.

import { ask } from "./models.js";
import { tell } from "./toasts.js";
import { button, element, openWindow } from "./window.js";

/** Say that a model runs on the CPU; the repair lines are one click away. */
export function tellFallback({ model, wanted, reason }) {
  tell(
    "warning",
    `${model} runs on the CPU, not on ${wanted}`,
    "The result is the same, but slower.",
    { label: "Why, and how to repair it", onClick: () => showDiagnosis(reason) },
  );
}

/** Open a window with the diagnosis and its repair lines, ready to be copied. */
export async function showDiagnosis(reason = "") {
  let report;
  try {
    ({ report } = await ask("diagnosis"));
  } catch (error) {
    tell("error", "rembg-sessions: no diagnosis", error.message);
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
