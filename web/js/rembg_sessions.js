// The pack's part of ComfyUI's page: official hooks only, see docs.comfy.org/custom-nodes/js.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { showDiagnosis, tellFallback } from "./diagnosis.js";
import { listen, refresh } from "./models.js";
import { showModels } from "./models_window.js";
import { addInfo, fitHeight, foldAdvanced, forgetWarnings } from "./node_info.js";
import { failure } from "./panel.js";
import { tell } from "./toasts.js";

const FALLBACK_EVENT = "rembg-sessions.fallback"; // as in nodes/host.py
const COLOUR_INPUTS = {
  RemBGRemove: "background_colour",
  RemBGApplyBackground: "background_colour",
  RemBGFrameSubject: "background_colour",
};
const WITH_INFO = [
  "RemBGSession",
  "RemBGRemove",
  "RemBGMask",
  "RemBGAlphaMatting",
  "RemBGFrameSubject",
];

/** Whether the frontend's colour widget works on the canvas: since 1.40. */
function hasColourWidget() {
  const [major, minor] = (window.__COMFYUI_FRONTEND_VERSION__ ?? "0.0").split(".").map(Number);
  return major > 1 || (major === 1 && minor >= 40);
}

/** A colour in the words that colour widgets understand; Python understands more. */
function asHex(colour) {
  // CSS reads the opacity in "r, g, b, a" as 0 to 1, Python as 0 to 255: left to Python
  if (typeof colour !== "string" || /^#|rgba|hsla/.test(colour)) return colour;
  if (colour.split(",").length === 4) return colour;
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = "#010203"; // stays if it is no colour
  context.fillStyle = /^[\d\s,.]+$/.test(colour) ? `rgb(${colour})` : colour;
  const hex = context.fillStyle;
  return hex.startsWith("#") && hex !== "#010203" ? hex : colour;
}

// Not in setup(): the page complains of events that come before somebody listens.
listen((state) => {
  const { title, detail, action } = failure(state);
  tell("error", title, detail, action);
});

const told = new Set(); // fallbacks are told once a page, not once a run
api.addEventListener(FALLBACK_EVENT, ({ detail }) => {
  const id = `${detail.model} ${detail.wanted}`;
  if (told.has(id)) return;
  told.add(id);
  tellFallback(detail);
});

// What nodes warn of is told once for each run; the nodes keep showing it. The server tells the
// page that asked only.
const began = new Set(); // nodes that ran: others only repeat what they said before
api.addEventListener("execution_start", () => began.clear());
api.addEventListener("executing", ({ detail }) => {
  if (detail == null) return;
  began.add(String(detail));
  forgetWarnings(detail);
});
let run;
let said = new Set();
api.addEventListener("executed", ({ detail }) => {
  if (run !== detail.prompt_id) {
    run = detail.prompt_id;
    said = new Set();
  }
  if (!began.delete(String(detail.display_node ?? detail.node))) return;
  for (const text of detail.output?.rembg_warnings ?? []) {
    if (said.has(text) || text.includes(" runs on the CPU, not on ")) continue; // has its own
    said.add(text);
    tell("warning", "rembg-sessions", text);
  }
});

app.registerExtension({
  name: "rembg-sessions",

  aboutPageBadges: [
    {
      label: "rembg-sessions",
      url: "https://github.com/rembg-sessions/rembg-sessions",
      icon: "pi pi-image",
    },
  ],

  commands: [
    {
      id: "rembg-sessions.models",
      label: "rembg-sessions: models and downloads",
      icon: "pi pi-download",
      function: showModels,
    },
    {
      id: "rembg-sessions.diagnosis",
      label: "rembg-sessions: examine the installation",
      icon: "pi pi-wrench",
      function: () => showDiagnosis(),
    },
  ],
  menuCommands: [
    {
      path: ["Extensions"],
      commands: ["rembg-sessions.models", "rembg-sessions.diagnosis"],
    },
  ],

  beforeRegisterNodeDef(_nodeType, nodeData) {
    const name = COLOUR_INPUTS[nodeData.name];
    if (!name || !hasColourWidget()) return;
    const input = nodeData.input.optional?.[name] ?? nodeData.input.required?.[name];
    if (input?.[1]) input[1].widgetType = "COLOR";
  },

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("RemBG")) return;
    foldAdvanced(node, node.constructor.nodeData);
    if (WITH_INFO.includes(node.comfyClass)) addInfo(node);
    fitHeight(node);
  },

  loadedGraphNode(node) {
    const name = COLOUR_INPUTS[node.comfyClass];
    const widget = node.widgets?.find((widget) => widget.name === name && widget.type === "color");
    if (widget) widget.value = asHex(widget.value);
  },

  refreshComboInNodes() {
    return refresh(); // the user asks the page to look at the disk again
  },
});
