// The parts of a page: streamed events, Markdown, keyboard, and who is signed in.
//
//   import { askOnEnter, events, showMarkdown } from "/page/parts.js";
//   for await (const { event, data } of events("/v1/ask", { question })) { … }
//   showMarkdown(element, text);    // safe for text of a model or a stranger
//
// No part needs an inline script or style, so a page can forbid both: see page/__init__.py.

import { marked } from "./vendor/marked.esm.js";
import DOMPurify from "./vendor/purify.es.mjs";
import { showSignIn } from "./sign-in.js";

// What Markdown can say. No images: fetching one would tell its server what the text contains.
const SAFE = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "align", "start"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#|\/(?!\/))/i,
  RETURN_DOM_FRAGMENT: true,
};
const MAX_MARKDOWN = 200_000; // characters; a longer text is shown as it is

/** Show Markdown in an element; HTML in it, and anything that could run or be fetched, is left out. */
export function showMarkdown(element, text) {
  let content;
  try {
    if (text.length > MAX_MARKDOWN) throw new RangeError("too long");
    content = DOMPurify.sanitize(marked.parse(text, { gfm: true, async: false }), SAFE);
  } catch {
    content = text; // nested more deeply than the parser can follow
  }
  element.replaceChildren(content);
  for (const link of element.querySelectorAll("a[href]")) {
    if (!link.getAttribute("href").startsWith("#")) {
      Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
    }
  }
  for (const table of element.querySelectorAll("table")) {
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0; // so that the arrow keys scroll it
    table.replaceWith(scroll);
    scroll.append(table);
  }
}

/** An error response of this server: its message, `status`, and `retryAfter` in seconds. */
export class ServerError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    Object.assign(this, { status, retryAfter });
  }
}

async function checked(response) {
  if (response.ok) return response;
  if (response.status === 401) showSignIn(); // the session has expired
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error.message;
  } catch {} // not ours: a proxy's page
  throw new ServerError(response.status, message, Number(response.headers.get("retry-after")) || 0);
}

/** The JSON that the server answers; with a body, to a POST. Throws ServerError. */
export async function askJson(url, body, { signal, method } = {}) {
  return (await checked(await send(url, body, signal, method))).json();
}

function send(url, body, signal, method) {
  const post = { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const options = body === undefined ? {} : post;
  return fetch(url, { method: method ?? (body === undefined ? "GET" : "POST"), signal, ...options });
}

/**
 * The server-sent events of a response, as they arrive: `{event, data, id}`, with `data` as parsed
 * JSON. Abort `signal` to stop. Throws ServerError, or TypeError if the connection is lost.
 */
export async function* events(url, body, { signal } = {}) {
  const response = await checked(await send(url, body, signal));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const blocks = (rest + (value ?? "")).split(/\r\n\r\n|\n\n|\r\r/);
      rest = done ? "" : blocks.pop(); // the last event may be incomplete
      for (const block of blocks) {
        const parsed = parseEvent(block);
        if (parsed) yield parsed;
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // the consumer has left the loop
  }
}

function parseEvent(block) {
  const fields = { event: "message", data: [], id: undefined };
  for (const line of block.split(/\r\n|\n|\r/)) {
    const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (name === "data") fields.data.push(value);
    else if (name === "event" || name === "id") fields[name] = value;
  }
  if (!fields.data.length) return null;
  const text = fields.data.join("\n");
  try {
    return { ...fields, data: JSON.parse(text) };
  } catch {
    return { ...fields, data: text };
  }
}

/** Enter sends what is in a text area, Shift+Enter makes a line, and Escape calls `stop`. */
export function askOnEnter(area, send, stop = () => {}) {
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (area.value.trim()) send(area.value);
  });
}

/** Lets a button change between light and dark; the choice is kept for this browser. */
export function chooseTheme(button) {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  const kept = localStorage.getItem("theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
    show();
  });
  dark.addEventListener("change", show);
  show();
}
