// Toasts, with one thing to do about them. Loading this file does nothing.

import { app } from "../../../scripts/app.js";

const CLICKABLE = "rembg-sessions-toast";
let clicked; // what a click on the last toast does, where toasts have no buttons

/**
 * Tell the user something.
 *
 * `severity` is "warning" or "error"; `action` is { label, onClick }, and may be left out.
 */
export function tell(severity, summary, detail, action) {
  const toasts = app.extensionManager.toast;
  if (toasts[severity]) {
    toasts[severity](summary, { description: detail, ...(action && { action }) });
    return;
  }
  const toast = { severity: severity === "error" ? "error" : "warn", summary, detail };
  if (severity === "warning" && !action) toast.life = 12_000; // the node keeps it
  if (action) {
    // older toasts have no buttons, but may have a class
    if (!clicked) {
      document.addEventListener("click", ({ target }) => {
        if (target.closest?.(`.${CLICKABLE}`) && !target.closest("button")) clicked();
      });
    }
    clicked = action.onClick;
    toast.detail += ` ${action.label}: click here.`;
    toast.styleClass = CLICKABLE;
  }
  toasts.add(toast);
}
