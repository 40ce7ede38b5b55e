// What is shown of a model: size, licence, installed or not, and its download.
// Loading this file does nothing.

import { tellError } from "./diagnosis.js";
import { cancelDownload, downloadOf, findModel, listModels, startDownload } from "./models.js";
import { refresh, unwatch, watch } from "./models.js";
import { button, element, openWindow } from "./window.js";

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

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
  const size = row.size ? [megabytes(row.size), " · "] : [];
  const free = row.commercial !== false;
  const licence = free
    ? element("span", "overflow: hidden; text-overflow: ellipsis;", `licence: ${row.licence}`)
    : element("strong", "color: var(--warning-text, #fa0);", "non-commercial use only");
  licence.title = `Licence: ${row.licence}`;
  return [...size, licence];
}

/** The state of the file, and what can be done about it. */
function actions(row, download) {
  if (row.custom) return ["your own file: choose it as custom_model"];
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
      failed.title = download.message;
      return [failed, start("Try again")];
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
    "display: flex; flex-direction: column; justify-content: center; box-sizing: border-box;" +
      "padding: 0 6px; font: 12px sans-serif; color: var(--descrip-text, #aaa);",
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

/** Open a window with every model. */
export async function showModels() {
  const error = await refresh();
  if (error) {
    tellError("rembg-sessions: no list of models", error.message);
    return;
  }
  const panels = listModels().map((row) => ({ row, ...makePanel() }));
  const cells = panels.flatMap(({ row, root }) => {
    const about = element("div", "color: var(--descrip-text, #aaa);", row.good_for);
    return [element("div", "", element("strong", "", row.name), about), root];
  });
  const grid =
    "display: grid; grid-template-columns: 1fr 260px; gap: 8px 16px; align-items: center;" +
    "max-height: 65vh; overflow-y: auto;";
  const update = () => panels.forEach(({ row, draw }) => draw(row.name));
  watch(update);
  update();
  openWindow("rembg-sessions: models", element("div", grid, ...cells), [], () => unwatch(update));
}
