// What is shown of a model: size, licence, installed or not, and its download.
// Loading this file does nothing.

import { cancelDownload, downloadOf, findModel, startDownload } from "./models.js";
import { button, element, openWindow } from "./window.js";

export const PANEL_HEIGHT = 52;
const SHORT = 120; // characters that a toast shows in two lines

/** A size in bytes, in words. */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/** A button that rests until what it asked for is answered. */
function asking(text, title, ask) {
  const made = button(text, title, async () => {
    made.disabled = true;
    await ask();
    made.disabled = false;
  });
  return made;
}

/** Size, and what the licence allows, in plain words. */
function facts(row) {
  if (row.kind) return [`your own file, opened as ${row.kind}`];
  const size = row.size ? [megabytes(row.size), " · "] : [];
  const free = row.commercial !== false;
  const licence = free
    ? element("span", "overflow: hidden; text-overflow: ellipsis;", `licence: ${row.licence}`)
    : element("strong", "color: var(--warning-text, #fa0);", "non-commercial use only");
  licence.title = `Licence: ${row.licence}`;
  return [...size, licence];
}

/** Open a window with all that an error says. */
function showMessage(title, message) {
  const style = "white-space: pre-wrap; overflow-wrap: anywhere; max-height: 50vh; overflow: auto;";
  openWindow(title, element("div", style, message));
}

/** What one page is told of a failed download: two lines, and a way to the rest. */
export function failure({ model, message }) {
  const title = `${model} was not downloaded`;
  const first = message.length > SHORT ? message.split(/(?<=[.:]) |\n/)[0] : message;
  return {
    title,
    detail: `${first} The model backdrop needs no download.`,
    action: { label: "More", onClick: () => showMessage(title, message) },
  };
}

/** The state of the file, and what can be done about it. */
function actions(row, download) {
  if (row.kind) return ["licence: as its author says"];
  if (!row.has_file) return ["needs no file"];
  if (row.installed) return ["installed"];
  const start = (text) => asking(text, `Download ${row.name}`, () => startDownload(row));
  switch (download?.state) {
    case "running":
    case "stopping": {
      const bar = element("progress", "flex: 1; min-width: 40px; height: 10px;");
      const stop = asking("Cancel", "What has arrived is kept", () => cancelDownload(row));
      stop.disabled = download.state === "stopping";
      return [bar, element("span", ""), stop];
    }
    case "done":
      return ["downloaded"]; // until the list is here
    case "cancelled":
      return ["download cancelled", start("Continue")];
    case "failed": {
      const failed = element("span", "color: var(--error-text, #f66);", "download failed");
      if (!download.message) return [failed, start("Try again")];
      const { title } = failure(download);
      const why = button("Why?", "", () => showMessage(title, download.message));
      return [failed, why, start("Try again")];
    }
    default:
      return ["not installed", start("Download now")];
  }
}

function showProgress(bar, { done, total }) {
  if (total) {
    bar.max = total;
    bar.value = done;
  }
  const of = total ? ` of ${megabytes(total)}` : "";
  bar.nextSibling.textContent = `${megabytes(done)}${of}`;
}

/** Make a panel of two lines: its element, and the function that draws a model into it. */
export function makePanel() {
  const line = "display: flex; align-items: center; min-height: 24px; overflow: hidden;";
  const first = element("div", `${line} white-space: pre;`);
  const second = element(
    "div",
    `${line} gap: 8px; justify-content: space-between; white-space: nowrap;`,
  );
  const root = element(
    "div",
    `display: flex; flex-direction: column; justify-content: center; height: ${PANEL_HEIGHT}px;` +
      "box-sizing: border-box; padding: 0 6px; font: 12px sans-serif;" +
      "color: var(--descrip-text, #aaa);",
    first,
    second,
  );
  root.className = "rembg-sessions-model";
  let drawn;
  const draw = (choice) => {
    const row = findModel(choice);
    const download = row && downloadOf(row);
    const wanted = JSON.stringify([row, download?.state, download?.message]);
    if (wanted !== drawn) {
      drawn = wanted; // drawn once: a button that is replaced while it is pressed does nothing
      first.replaceChildren(...(row ? facts(row) : []));
      second.replaceChildren(...(row ? actions(row, download) : []));
      root.title = row?.good_for ?? "";
      root.dataset.model = row?.name ?? "";
    }
    const bar = second.querySelector("progress");
    if (bar) showProgress(bar, download);
  };
  return { root, draw };
}
