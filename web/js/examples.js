// Brings the pictures and clips of the pack's templates into ComfyUI's input folder, when a template that
// shows one is opened: templates can name pictures, but not bring them.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";

const EXAMPLE = /^rembg_sessions_(?:(?:person|fur|product|backdrop)\.jpg|(?:clip|dusk)\.mp4)$/;
const INPUTS = { LoadImage: "image", LoadVideo: "file" };

const brought = new Map(); // by name: the picture on its way

async function bring(name) {
  const answer = await fetch(new URL(`../examples/${name}`, import.meta.url));
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  const body = new FormData();
  body.append("image", new File([await answer.blob()], name));
  body.append("overwrite", "true");
  const stored = await api.fetchApi("/upload/image", { method: "POST", body });
  if (!stored.ok) throw new Error(`${name}: ${stored.status}`);
}

app.registerExtension({
  name: "rembg-sessions.examples",

  async loadedGraphNode(node) {
    const input = INPUTS[node.comfyClass];
    const widget = node.widgets?.find((each) => each.name === input);
    const name = widget?.value;
    const listed = widget?.options?.values;
    if (!EXAMPLE.test(name) || !Array.isArray(listed) || listed.includes(name)) return;
    listed.push(name); // at once: what is not listed counts as missing
    if (!brought.has(name)) brought.set(name, bring(name));
    try {
      await brought.get(name);
      widget.callback?.(name); // shows it
    } catch (error) {
      brought.delete(name);
      console.warn("rembg-sessions: a template's picture cannot be had.", error.message);
    }
  },
});
