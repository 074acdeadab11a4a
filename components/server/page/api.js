// Requests to the server that this page came from.

import { $ } from "./dom.js";

let key = sessionStorage.getItem("api-key") ?? "";

export const hasKey = () => key !== "";

/** What the server refused, in its own words. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function send(path, options, wrongKey = false) {
  const headers = { ...options.headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  if (response.status === 401) {
    key = await askForKey(wrongKey || key !== "");
    sessionStorage.setItem("api-key", key);
    return send(path, options, true);
  }
  let message = `The server answered ${response.status} ${response.statusText}.`;
  try {
    message = (await response.json()).error ?? message;
  } catch {
    // Not JSON: the status says it.
  }
  throw new ApiError(response.status, message);
}

let asking = null;

function askForKey(again) {
  // Several requests at once ask once.
  asking ??= new Promise((resolve) => {
    const dialog = $("key-dialog");
    $("key-title").textContent = again ? "That key was not right" : "This server asks for a key";
    $("key").value = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        resolve($("key").value.trim());
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

const json = (body, signal) => ({
  method: "POST",
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
  signal,
});

export const get = async (path) => (await send(path, {})).json();

export const post = async (path, body, signal) => (await send(path, json(body, signal))).json();

export const remove = (path) => send(path, { method: "DELETE" });

/** The server-sent events of `:generate`, as [event, data]. */
export async function* events(name, version, body, signal) {
  const response = await send(method(name, version, "generate"), json({ ...body, stream: true }, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const blocks = buffer.split("\n\n");
    buffer = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

/** The path of a model, relative to this page: it may be served below a prefix. */
export const model = (name, version) => `v1/models/${encodeURIComponent(name)}${version ? `/versions/${version}` : ""}`;

export const method = (name, version, verb) => `${model(name, version)}:${verb}`;
