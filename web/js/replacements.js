// Shows the values that workflows of other packs hold in our words: ComfyUI copies them as they
// are when it swaps a node. The nodes run with either.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

// the inputs that nodes/foreign.py reads; the choices among them tell that there is something
// to read
const CHOICES = ["model", "providers", "background", "edge_colours", "keep"];
const READ = [...CHOICES, "background_colour", "grow", "feather"];
const NODES = ["RemBGSession", "RemBGRemove"];

function isForeign(widget) {
  const listed = widget.options?.values;
  return CHOICES.includes(widget.name) && Array.isArray(listed) && !listed.includes(widget.value);
}

async function translate(node) {
  const widgets = (node.widgets ?? []).filter((widget) => READ.includes(widget.name));
  if (!widgets.some(isForeign)) return;
  const answer = await api.fetchApi("/rembg-sessions/own-values", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(Object.fromEntries(widgets.map(({ name, value }) => [name, value]))),
  });
  if (!answer.ok) return;
  const own = await answer.json();
  for (const widget of widgets) {
    if (!(widget.name in own) || own[widget.name] === widget.value) continue;
    widget.value = own[widget.name];
    widget.callback?.(widget.value);
  }
  app.graph?.setDirtyCanvas(true, true);
}

/** Take the ending off a file name at once: ComfyUI looks for the file as soon as it is swapped. */
function withoutEnding(value) {
  return typeof value === "string" ? value.replace(/\.safetensors$/, "") : value;
}

/** Translate a node once all of its values are there: a swap sets one after the other. */
function watch(node) {
  let waiting = false;
  for (const widget of node.widgets ?? []) {
    if (!CHOICES.includes(widget.name)) continue;
    const before = widget.callback;
    widget.callback = function (...given) {
      if (isForeign(widget)) widget.value = withoutEnding(widget.value);
      const result = before?.apply(this, given);
      if (!waiting && isForeign(widget)) {
        waiting = true;
        setTimeout(() => {
          waiting = false;
          translate(node).catch(() => {}); // the server is away: it understands either
        });
      }
      return result;
    };
  }
}

app.registerExtension({
  name: "rembg-sessions.replacements",

  nodeCreated(node) {
    if (NODES.includes(node.comfyClass)) watch(node);
  },

  loadedGraphNode(node) {
    if (NODES.includes(node.comfyClass)) translate(node).catch(() => {});
  },
});
