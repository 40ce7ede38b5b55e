// What the page knows of the models and their downloads. Loading this file does nothing.

import { api } from "../../../scripts/api.js";

const DOWNLOAD_EVENT = "rembg-sessions.download"; // as in nodes/routes.py

const rows = new Map(); // by every name of a model
const downloads = new Map(); // the last state of each, by model name
const watchers = new Set();
let preparedNow = { files: 0, bytes: 0 };

/** Ask a route of the pack; its answer, or an Error with the pack's own sentence. */
export async function ask(route, body) {
  const options = { headers: { "X-Rembg-Sessions": "1" } };
  if (body) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await api.fetchApi(`/rembg-sessions/${route}`, options).catch(() => {
    throw new Error("ComfyUI does not answer. Is it still running?");
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `ComfyUI answered ${response.status}.`);
  return answer;
}

// as core/registry/lookup.py compares names: "Dis_General_Use: label" is dis-general-use
const key = (name) =>
  String(name)
    .split(":")[0]
    .trim()
    .toLowerCase()
    .replaceAll("_", "-")
    .replace(/\.(onnx|safetensors)$/, "");

const OWN_FILE = /^(.+\.onnx): (.+)$/i; // as nodes/models.py lists them

/** The row of a model, by a name or a "name: label" choice; undefined until the list is here. */
export function findModel(choice) {
  const own = String(choice).match(OWN_FILE);
  return own ? { name: own[1], kind: own[2] } : rows.get(key(choice));
}

/** Every row, each once. */
export const listModels = () => [...new Set(rows.values())];

/** How many prepared copies of networks there are, and their bytes. */
export const prepared = () => preparedNow;

/** The last state of a model's download; undefined if there was none. */
export const downloadOf = (row) => downloads.get(row.name);

/** Call a function whenever something may have changed, until `unwatch`. */
export const watch = (changed) => watchers.add(changed);
export const unwatch = (changed) => watchers.delete(changed);

function tellWatchers() {
  for (const changed of [...watchers]) changed();
}

let fetching;
let outdated = false; // asked again while a list was on its way

/**
 * Fetch the list, and resolve to the error if it cannot be had. Pages that are opened in the
 * middle of a download learn of it, too.
 */
export function refresh() {
  outdated = fetching !== undefined;
  fetching ??= fetchList()
    .catch((error) => {
      console.warn("rembg-sessions: no list of models.", error.message);
      return error;
    })
    .then((error) => {
      fetching = undefined;
      return outdated ? refresh() : error;
    });
  return fetching;
}

async function fetchList() {
  const list = await ask("models");
  for (const row of list.models) for (const name of row.names) rows.set(key(name), row);
  preparedNow = list.prepared;
  for (const { model, state } of [...downloads.values()]) {
    if (!["cancelled", "failed"].includes(state)) downloads.delete(model);
  }
  list.downloads.forEach(note);
  tellWatchers();
}

let tellFailed = () => {};

function note(state) {
  downloads.set(state.model, state);
  tellWatchers();
  if (state.state === "failed" && state.message) tellFailed(state); // it was this page that asked
}

/** Start a download, or join the one that runs; what becomes of it is told by events. */
export async function startDownload(row) {
  try {
    await ask("download", { model: row.name, client: api.clientId });
  } catch (error) {
    note({ model: row.name, state: "failed", message: error.message });
  }
}

/** Stop a download, within about a second. */
export async function cancelDownload(row) {
  const { cancelled } = await ask("cancel", { model: row.name }).catch(() => ({}));
  if (!cancelled) refresh(); // it had ended, or the server is away
}

/** Listen to the server; `failed` gets the states of downloads that failed or were refused. */
export function listen(failed) {
  tellFailed = failed;
  api.addEventListener(DOWNLOAD_EVENT, ({ detail }) => {
    note(detail);
    if (["done", "cancelled", "failed"].includes(detail.state)) refresh();
  });
  // what was told while the connection was lost
  api.addEventListener("reconnected", () => refresh());
  // a workflow downloads what it needs by itself
  api.addEventListener("execution_success", () => {
    if (watchers.size) refresh();
  });
}
