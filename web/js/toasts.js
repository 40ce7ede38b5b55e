// Toasts, with one thing to do about them. Loading this file does nothing.

import { app } from "../../../scripts/app.js";

const CLICKABLE = "rembg-sessions-toast";
const acts = new Map(); // what a click on a toast does, by its class, where toasts have no buttons

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
    // older toasts have no buttons, but may have classes
    if (!acts.size) {
      document.addEventListener("click", ({ target }) => {
        const classes = target.closest?.(`.${CLICKABLE}`)?.classList ?? [];
        if (!target.closest?.("button")) acts.get([...classes].find((each) => acts.has(each)))?.();
      });
    }
    const own = `${CLICKABLE}-${acts.size}`;
    acts.set(own, action.onClick);
    toast.detail += ` ${action.label}: click here.`;
    toast.styleClass = `${CLICKABLE} ${own}`;
  }
  toasts.add(toast);
}
