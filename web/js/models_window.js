// The window with every model: when to take it, and its file. Loading this file does nothing.

import { app } from "../../../scripts/app.js";
import { ask, listModels, prepared, refresh, unwatch, watch } from "./models.js";
import { makePanel, megabytes } from "./panel.js";
import { tell } from "./toasts.js";
import { button, element, openWindow } from "./window.js";

const MODEL_NODES = ["RemBGRemove", "RemBGMask", "RemBGSession"];

/** Set the model of the selected node; without one, add a node that has it. */
function use(row) {
  const chosen = Object.values(app.canvas.selected_nodes ?? {});
  let node = chosen.find((each) => MODEL_NODES.includes(each.comfyClass));
  if (!node) {
    node = LiteGraph.createNode("RemBGRemove");
    const [x, y, width, height] = app.canvas.visible_area;
    node.pos = [x + width / 2 - node.size[0] / 2, y + height / 2 - node.size[1] / 2];
    app.canvas.graph.add(node);
  }
  const widget = node.widgets.find(({ name }) => name === "model");
  widget.value = row.choice;
  widget.callback?.(row.choice);
  app.canvas.setDirty(true, true);
}

/** A button that asks the pack to remove something, when it is pressed twice. */
function removing(text, title, route, body) {
  let sure = false;
  const made = button(text, title, async () => {
    if (!sure) {
      sure = true;
      made.textContent = "Really?";
      return;
    }
    made.disabled = true;
    try {
      await ask(route, body);
    } catch (error) {
      tell("error", "rembg-sessions: not deleted", error.message);
    }
    await refresh();
    made.disabled = false;
  });
  made.addEventListener("blur", () => {
    sure = false;
    made.textContent = text;
  });
  return made;
}

/** One model: what it is good for, its panel, and the buttons. */
function makeRow(row, close) {
  const { root, draw } = makePanel();
  const buttons = element("div", "display: flex; gap: 6px; justify-content: end;");
  let drawn;
  const update = (current) => {
    draw(row.name);
    const deletable = Boolean(current.deletable);
    if (deletable === drawn) return;
    drawn = deletable;
    const useIt = button("Use", `Use ${row.name} in the selected node, or a new one`, () => {
      use(row);
      close();
    });
    const title = `Delete the file of ${row.name} from ComfyUI's models`;
    const remove = removing("Delete", title, "delete", { model: row.name });
    buttons.replaceChildren(useIt, ...(deletable ? [remove] : []));
  };
  const about = element("div", "color: var(--descrip-text, #aaa);", row.good_for);
  const cells = [element("div", "", element("strong", "", row.name), about), root, buttons];
  return { name: row.name, cells, update };
}

/** What is kept so that networks open faster, and a way to be rid of it. */
function makeFooter() {
  const line = element("div", "display: flex; gap: 12px; align-items: center; margin-top: 12px;");
  let drawn;
  const update = () => {
    const { files, bytes } = prepared();
    if (drawn === `${files} ${bytes}`) return;
    drawn = `${files} ${bytes}`;
    const own = "Your own .onnx files: put them into models/rembg and press R.";
    if (!files) {
      line.replaceChildren(own);
      return;
    }
    const text = `${files} prepared ${files === 1 ? "copy" : "copies"}, ${megabytes(bytes)}`;
    const title = "They are prepared anew at the next opening; for TensorRT this takes minutes";
    line.replaceChildren(own, element("span", "flex: 1; text-align: right;", text));
    line.append(removing("Delete", title, "delete-prepared", {}));
  };
  return { line, update };
}

/** Open the window. */
export async function showModels() {
  const error = await refresh();
  if (error) {
    tell("error", "rembg-sessions: no list of models", error.message);
    return;
  }
  let close = () => {};
  const isThere = (row) => row.installed || !row.has_file;
  const rows = listModels()
    .filter((row) => !row.custom)
    .sort((one, other) => isThere(other) - isThere(one)) // the rest as it is
    .map((row) => makeRow(row, () => close()));
  const grid =
    "display: grid; grid-template-columns: 1fr 260px auto; gap: 8px 16px; align-items: center;" +
    "max-height: 60vh; overflow-y: auto;";
  const footer = makeFooter();
  const update = () => {
    const known = new Map(listModels().map((row) => [row.name, row]));
    for (const row of rows) row.update(known.get(row.name));
    footer.update();
  };
  watch(update);
  update();
  const list = element("div", grid, ...rows.flatMap(({ cells }) => cells));
  close = openWindow("rembg-sessions: models", element("div", "", list, footer.line), [], () =>
    unwatch(update),
  );
}
