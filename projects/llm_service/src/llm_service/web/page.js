// The status page and the playground. Whatever comes from the server goes in as text, never as HTML.
"use strict";

const POLL = 2000; // milliseconds
const $ = (id) => document.getElementById(id);
const at = (iso) => new Date(iso).toLocaleTimeString([], { hourCycle: "h23" });

function element(tag, { text, class: name, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- Figures as people read them

const whole = new Intl.NumberFormat("en");
function count(n) {
  if (n < 10_000) return whole.format(Math.round(n));
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(n);
}
const rate = (n) => (n >= 100 ? count(n) : n >= 10 ? n.toFixed(1) : n.toFixed(n ? 2 : 0));
const percent = (part, all) => (all ? `${((100 * part) / all).toFixed(part && part < all ? 1 : 0)} %` : "–");
function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  return s < 100 ? `${s.toPrecision(3)} s` : `${Math.round(s)} s`;
}
function dollars(usd) {
  if (!usd) return "$0";
  if (usd < 0.01) return `$${usd.toPrecision(2)}`.replace(/\$(.*)e-(\d+)/, (_, m, e) => `$${Number(`${m}e-${e}`).toFixed(Number(e) + 1)}`);
  return new Intl.NumberFormat("en", { style: "currency", currency: "USD" }).format(usd);
}
function ago(s) {
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  return s < 172_800 ? `${(s / 3600).toFixed(1)} h` : `${Math.round(s / 86_400)} days`;
}
const bytes = (n) => (n < 1e6 ? `${Math.ceil(n / 1e3)} kB` : n < 1e9 ? `${Math.round(n / 1e6)} MB` : `${(n / 1e9).toFixed(1)} GB`);

// ---- Views and connection

let onlyPlayground = false;
function show() {
  const wanted = location.hash || (onlyPlayground ? "#playground" : "#status");
  const playground = onlyPlayground || wanted === "#playground";
  $("status-view").hidden = playground;
  $("playground-view").hidden = !playground;
  $("to-status").toggleAttribute("aria-current", false);
  $("to-playground").toggleAttribute("aria-current", false);
  $(playground ? "to-playground" : "to-status").setAttribute("aria-current", "page");
}

function connection(text, state) {
  // A status region is read aloud whenever its text is set, so it is set when it changes only.
  if ($("connection").textContent !== text) $("connection").textContent = text;
  $("connection").className = `pill ${state}`;
  document.body.classList.toggle("stale", state === "bad");
}

function notice(text, bad = false) {
  $("notice").hidden = !text;
  $("notice").classList.toggle("bad", bad);
  if ($("notice").textContent !== text) $("notice").textContent = text;
}

async function problem(response) {
  const id = response.headers.get("x-request-id") || "";
  try {
    const { error } = await response.json();
    return { message: error.message, id: error.request_id || id };
  } catch {
    return { message: `The server returned ${response.status} ${response.statusText}.`, id };
  }
}

// ---- Polling: one request at a time, none while the tab is hidden

let timer, polling, lostAt, latest;
async function poll() {
  clearTimeout(timer);
  if (polling || document.hidden || onlyPlayground) return;
  polling = true;
  try {
    const response = await fetch("admin/status", { signal: AbortSignal.timeout(8000), cache: "no-store" });
    if (response.status === 403) return withoutAdmin();
    if (!response.ok) {
      lostAt = undefined;
      const { message } = await problem(response);
      connection(response.status === 401 ? "no key" : `HTTP ${response.status}`, "bad");
      notice(message, true);
    } else {
      latest = await response.json();
      lostAt = undefined;
      notice("");
      connection(latest.draining ? "shutting down" : "up", latest.draining ? "warn" : "good");
      render(latest);
      offerModels();
    }
  } catch {
    lostAt ??= new Date().toISOString();
    connection(`disconnected since ${at(lostAt)}, reconnecting …`, "bad");
  } finally {
    polling = false;
  }
  timer = setTimeout(poll, POLL);
}

function withoutAdmin() {
  onlyPlayground = true;
  $("to-status").hidden = true;
  connection("up", "good");
  notice("Your API key lacks the scope admin, so only the playground is available.");
  show();
}

// ---- Status

function fill(id, rows, empty) {
  const table = $(id);
  const labels = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const made = rows.map((cells) => {
    cells.forEach((cell, n) => (cell.dataset.label = labels[n]));
    return element("tr", {}, ...cells);
  });
  if (!made.length) made.push(element("tr", {}, element("td", { text: empty, class: "none", colspan: labels.length })));
  // What a person has focused (a request id to copy) must survive the next poll.
  if (table.tBodies[0].contains(document.activeElement)) return;
  table.tBodies[0].replaceChildren(...made);
}
const cell = (text, name = "") => element("td", { text, class: name });
/** A name that somebody chose: at most two lines of it, the whole in the tooltip. */
const named = (text, ...more) => element("td", {}, element("span", { text, class: "clamp", title: text }), ...more);
const number = (n) => cell(count(n), "n");

/** [first, last] of each stretch above zero, with the zero beside it, so that one slot is a peak too. */
function bursts(values) {
  const found = [];
  values.forEach((value, n) => {
    if (!value) return;
    if (found.length && found.at(-1)[1] >= n - 1) found.at(-1)[1] = Math.min(values.length - 1, n + 1);
    else found.push([Math.max(0, n - 1), Math.min(values.length - 1, n + 1)]);
  });
  return found;
}

function spark(id, values, slot, overlay) {
  const most = Math.max(...values, 1e-9);
  const width = values.length - 1;
  const line = (list) => list.map((v, n) => `${n ? "L" : "M"}${((180 * n) / width).toFixed(1)},${(38 - (36 * v) / most).toFixed(1)}`).join("");
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const parts = [draw("line", { x1: 0, x2: 180, y1: 38, y2: 38 })];
  if (most > 1e-9) {
    parts.push(draw("path", { d: `${line(values)}L180,38L0,38Z`, class: "area" }), draw("path", { d: line(values) }));
    for (const [from, to] of overlay ? bursts(overlay) : []) {
      const x = (n) => ((180 * n) / width).toFixed(1), y = (n) => (38 - (36 * overlay[n]) / most).toFixed(1);
      const points = Array.from({ length: to - from + 1 }, (_, n) => `${x(from + n)},${y(from + n)}`);
      parts.push(draw("path", { d: `M${points.join("L")}`, class: "errors" }));
    }
  }
  const svg = $(id), note = $(id.replace("spark", "note"));
  const minutes = Math.round((values.length * slot) / 60);
  const text = most > 1e-9 ? `peak ${rate(most)} in the last ${minutes} min` : `no traffic in the last ${minutes} min`;
  svg.setAttribute("aria-label", text);
  svg.replaceChildren(...parts);
  if (!svg.matches(":hover")) note.textContent = text;
  svg.onpointermove = (event) => {
    const n = Math.min(width, Math.max(0, Math.round((width * event.offsetX) / svg.clientWidth)));
    svg.querySelector(".at")?.remove();
    svg.append(draw("line", { x1: (180 * n) / width, x2: (180 * n) / width, y1: 0, y2: 40, class: "at" }));
    note.textContent = `${rate(values[n])}, ${ago((values.length - n) * slot)} ago` + (overlay?.[n] ? `, ${rate(overlay[n])} failed` : "");
  };
  svg.onpointerleave = () => {
    svg.querySelector(".at")?.remove();
    note.textContent = text;
  };
}

function percentiles(id, found) {
  const rows = ["p50", "p95", "p99"].flatMap((name) => [element("dt", { text: name }), element("dd", { text: seconds(found?.[name]) })]);
  $(id).replaceChildren(...rows);
}

function state(model) {
  if (model.breaker === "open") return ["circuit open", "bad"];
  if (model.breaker === "half open") return ["circuit half open", "warn"];
  if (model.loaded === false) return ["not loaded", ""];
  return [model.loaded ? "loaded" : "up", "good"];
}

function render(now) {
  const { recent } = now;
  $("empty").hidden = recent.requests > 0 || now.errors.length > 0;
  $("rps").textContent = rate(recent.now.requests_per_second);
  $("tps").textContent = rate(recent.now.tokens_per_second);
  spark("rps-spark", recent.series.requests_per_second, recent.slot_seconds, recent.series.errors_per_second);
  spark("tps-spark", recent.series.tokens_per_second, recent.slot_seconds);
  percentiles("first-token", recent.first_token);
  percentiles("latency", recent.latency);
  $("load").textContent = `${count(now.running)} · ${count(now.waiting)}`;
  const limit = now.models.reduce((sum, model) => sum + (model.queue_limit ?? 0), 0);
  $("load-note").textContent = limit ? `queue limit ${count(limit)}` : "requests right now";
  $("today").textContent = now.spend ? dollars(now.spend.today_usd) : "–";
  $("month").textContent = now.spend ? `${dollars(now.spend.month_usd)} this month` : "currently unavailable";
  renderCache(recent.cache, now.cache_size);
  $("errors-share").textContent = percent(recent.errors, recent.requests);
  $("errors-note").textContent = `${count(recent.errors)} of ${count(recent.requests)} requests · ${count(recent.rejected)} more rejected`;
  renderTables(now);
  const pending = now.accounting?.pending ? ` · ${count(now.accounting.pending)} usage records to be written` : "";
  $("foot").textContent = `Figures cover the last ${Math.round(recent.window_seconds / 60)} minutes unless noted otherwise · ${count(recent.tokens_in)} tokens in, ${count(recent.tokens_out)} out · up for ${ago(recent.up_seconds)}${pending}${now.version ? ` · version ${now.version}` : ""}`;
}

function renderCache(found, size) {
  const all = Object.values(found).reduce((sum, n) => sum + n, 0);
  const hits = all - (found.miss ?? 0);
  $("cache").textContent = percent(hits, all);
  $("cache-note").textContent = (size ? `${count(size.entries)} cached answers, ${bytes(size.bytes)}` : "of cacheable requests");
}

function renderTables(now) {
  const models = now.models.map((model) => {
    const [text, tone] = state(model);
    const about = [model.backend, model.kind === "embedding" ? "embeddings" : "", model.memory_bytes ? bytes(model.memory_bytes) : ""].filter(Boolean).join(", ");
    const name = named(model.name, element("span", { text: about, class: "sub" }));
    const waiting = model.queue_limit ? `${count(model.waiting)} of ${count(model.queue_limit)}` : count(model.waiting);
    return [name, element("td", {}, element("span", { text, class: `tag ${tone}` })), number(model.running), cell(waiting, "n"), number(model.attempts), number(model.failures)];
  });
  fill("models", models, "No models configured.");
  fill("keys", (now.spend?.keys ?? []).map(keyRow), now.spend ? "No cost this month." : "Currently unavailable.");
  const counted = (found, prefix) => Object.entries(found).map(([name, n]) => [cell(prefix + name.replaceAll("_", " ").replace(":", ": ")), number(n)]);
  fill("guard", [...counted(now.recent.decisions, ""), ...counted(now.recent.refused, "rejected: ")], "None so far.");
  fill("errors", now.errors.map(errorRow), "None since the server started.");
}

function keyRow(key) {
  const budget = element("td", {});
  if (key.budget_usd) {
    const share = key.cost_usd / key.budget_usd;
    const bar = element("meter", { min: 0, max: 1, low: 0.75, high: 0.95, optimum: 0, value: Math.min(1, share), "aria-label": `${Math.round(100 * share)} % of the budget` });
    budget.append(element("div", {}, bar, element("span", { text: `${Math.round(100 * share)} % of ${dollars(key.budget_usd)}`, class: "sub nowrap" })));
  } else budget.append(element("span", { text: "none", class: "small" }));
  return [named(key.name), cell(dollars(key.cost_usd), "n"), budget, number(key.requests ?? 0), number(key.tokens ?? 0)];
}

function errorRow(error) {
  const kind = element("td", {}, element("span", { text: error.type.replaceAll("_", " "), class: "tag bad" }));
  if (error.count > 1) kind.append(" ", element("span", { text: `× ${count(error.count)}`, class: "small" }));
  const time = cell(at(error.at), "nowrap");
  time.title = error.at;
  return [time, kind, named(error.model), cell(error.message), element("td", { class: "nowrap" }, copyButton(error.request_id))];
}

function copyButton(id) {
  const button = element("button", { text: id.length > 10 ? `${id.slice(0, 8)}…` : id, class: "copy", type: "button", title: `Copy ${id}`, "aria-label": `Copy the request id ${id}` });
  button.onclick = async () => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(id);
      button.textContent = "copied";
    } catch {
      button.textContent = id; // without https a page may not copy: show all of it to select
      return;
    }
    setTimeout(() => (button.textContent = before), 1200);
  };
  return button;
}

// ---- Playground

const messages = [];
let stopping;

let offered = [];
async function loadModels() {
  const response = await fetch("v1/models").catch(() => undefined);
  if (!response?.ok) return setTimeout(loadModels, POLL);
  offered = (await response.json()).data.map((model) => model.id);
  offerModels();
}

/** The models to choose from; which of them can't chat is known from the status alone. */
function offerModels() {
  const kinds = Object.fromEntries((latest?.models ?? []).map((model) => [model.name, model.kind]));
  const names = offered.filter((name) => kinds[name] !== "embedding");
  const select = $("model"), before = select.value;
  if (names.join() === [...select.options].map((option) => option.value).join()) return;
  select.replaceChildren(...names.map((name) => element("option", { text: name, value: name })));
  if (names.includes(before)) select.value = before;
}

/** The JSON of a field, undefined if it is empty; a mistake marks the field and is thrown. */
function parsed(id, name, right) {
  const text = $(id).value.trim();
  $(id).removeAttribute("aria-invalid");
  if (!text) return undefined;
  try {
    const value = JSON.parse(text);
    if (!right(value)) throw new Error("wrong JSON type");
    return value;
  } catch (error) {
    $(id).setAttribute("aria-invalid", "true");
    throw new Error(`Invalid ${name}: ${error.message}.`);
  }
}
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function requestBody() {
  const system = $("system").value.trim();
  const body = {
    model: $("model").value,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    stream: true,
    stream_options: { include_usage: true },
  };
  if ($("temperature").value !== "") body.temperature = Number($("temperature").value);
  if ($("max-tokens").value !== "") body.max_tokens = Number($("max-tokens").value);
  const schema = parsed("schema", "JSON schema", isObject);
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  const tools = parsed("tools", "list of tools", Array.isArray);
  if (tools) body.tools = tools;
  return { ...body, ...parsed("more", "parameters", isObject) };
}

function turn(who) {
  $("hint")?.remove();
  const made = element("div", { class: "turn" }, element("p", { text: who, class: "who" }), element("div", { class: "text" }));
  $("transcript").append(made);
  return made;
}

function follow(change) {
  const box = $("transcript");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
  change();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

async function send(event) {
  event?.preventDefault();
  const question = $("question").value.trim();
  if (!question || stopping) return;
  messages.push({ role: "user", content: question });
  let body;
  try {
    body = requestBody();
  } catch (error) {
    messages.pop();
    follow(() => (turn("Not sent").querySelector(".text").append(element("span", { text: error.message, class: "fault" }))));
    return;
  }
  $("question").value = "";
  follow(() => (turn("You").querySelector(".text").textContent = question));
  $("transcript").scrollTop = $("transcript").scrollHeight;
  await answer(body);
}

async function answer(body) {
  const shown = turn(body.model), begun = performance.now();
  const got = { text: "", calls: [], id: "", requestId: "", first: undefined, last: undefined, chunks: 0 };
  stopping = new AbortController();
  busy(true, shown);
  try {
    const response = await fetch("v1/chat/completions", {
      method: "POST", body: JSON.stringify(body), signal: stopping.signal, headers: { "content-type": "application/json" },
    });
    got.requestId = response.headers.get("x-request-id") ?? "";
    got.cost = response.headers.get("x-cost-usd");
    got.modelUsed = response.headers.get("x-model-used") ?? "";
    got.cache = response.headers.get("x-cache") ?? "";
    if (!response.ok) throw new Error((await problem(response)).message);
    for await (const chunk of events(response)) take(chunk, got, shown, begun);
    if (!got.finish) throw new Error("The answer was cut off.");
  } catch (error) {
    if (error.name === "AbortError") got.finish = "stopped";
    else got.fault = error instanceof TypeError ? "The connection was lost." : error.message;
  }
  stopping = undefined;
  busy(false, shown);
  finish(got, shown, begun, body);
}

function busy(on, shown) {
  shown.classList.toggle("writing", on);
  // Read aloud once, when it is whole, not token by token.
  $("transcript").setAttribute("aria-busy", String(on));
  $("stop").hidden = !on;
  $("send").hidden = on;
  if (!on) $("question").focus({ preventScroll: true });
}

/** The JSON of each server-sent event until [DONE]. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const parts = buffer.split(/\r?\n\r?\n/);
    buffer = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
      if (data === "[DONE]") return;
      if (data) yield JSON.parse(data);
    }
  }
}

function take(chunk, got, shown, begun) {
  if (chunk.error) throw new Error(chunk.error.message ?? "The answer was cut off.");
  got.id ||= chunk.id ?? "";
  if (chunk.usage) got.usage = chunk.usage;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  if (choice.finish_reason) got.finish = choice.finish_reason;
  const { content, tool_calls: calls } = choice.delta ?? {};
  if (!content && !calls?.length) return;
  got.last = performance.now();
  got.first ??= got.last - begun;
  got.chunks += 1;
  got.text += content ?? "";
  for (const call of calls ?? []) {
    const kept = (got.calls[call.index ?? 0] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
    kept.id ||= call.id ?? "";
    kept.function.name += call.function?.name ?? "";
    kept.function.arguments += call.function?.arguments ?? "";
  }
  follow(() => (shown.querySelector(".text").textContent = got.text));
}

function finish(got, shown, begun, body) {
  if (!shown.isConnected) return; // a new conversation began meanwhile
  const calls = got.calls.filter(Boolean);
  follow(() => {
    for (const call of calls) shown.append(element("pre", { text: `${call.function.name}(${pretty(call.function.arguments)})` }));
    if (got.fault) shown.append(element("p", { text: got.fault, class: "fault" }));
    shown.append(facts(got, begun, body));
  });
  if (got.text || calls.length) {
    messages.push({ role: "assistant", content: got.text || null, ...(calls.length ? { tool_calls: calls } : {}) });
    // A conversation may not go on with calls that nobody answered.
    for (const call of calls) messages.push({ role: "tool", tool_call_id: call.id, content: "(not run: this is the playground)" });
  } else messages.pop();
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function facts(got, begun, body) {
  const line = element("div", { class: "facts" });
  const add = (text) => line.append(element("span", { text }));
  if (got.first !== undefined) add(`first token ${seconds(got.first / 1000)}`);
  const tokens = got.usage?.completion_tokens ?? got.chunks;
  const took = (got.last - begun - got.first) / 1000;
  if (tokens > 1 && took > 0.001) add(`${rate((tokens - 1) / took)} tokens/s`);
  if (got.usage) add(`${count(got.usage.prompt_tokens)} + ${count(tokens)} tokens`);
  const cost = price(got, body.model);
  if (cost !== undefined) add(dollars(cost));
  if (got.modelUsed && got.modelUsed !== body.model) add(`by ${got.modelUsed}`);
  if (got.cache && got.cache !== "miss") add(`cache: ${got.cache}`);
  if (got.finish && got.finish !== "stop") add(got.finish === "length" ? "cut off at max tokens" : got.finish.replaceAll("_", " "));
  if (got.requestId) line.append(element("span", { text: "request " }, copyButton(got.requestId)));
  if (got.id && got.finish && !got.fault) line.append(...rating(got.id));
  return line;
}

/** What the answer cost in USD: as the server says, else by the prices it lists, else unknown. */
function price(got, name) {
  const told = got.usage?.cost_usd ?? got.usage?.cost ?? got.cost;
  if (told !== null && told !== undefined && told !== "") return Number(told);
  const model = latest?.models.find((each) => each.name === (got.modelUsed || name));
  if (!model || !got.usage) return undefined;
  return (got.usage.prompt_tokens * model.price_in + got.usage.completion_tokens * model.price_out) / 1e6;
}

function rating(id) {
  const buttons = ["up", "down"].map((value) => {
    const button = element("button", { text: value === "up" ? "Good" : "Poor", class: "quiet rate", type: "button", "aria-pressed": "false", "aria-label": value === "up" ? "Good answer" : "Poor answer" });
    button.onclick = async () => {
      const response = await fetch("v1/feedback", {
        method: "POST", body: JSON.stringify({ response_id: id, rating: value }), headers: { "content-type": "application/json" },
      }).catch(() => undefined);
      if (response?.ok) buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      else said.textContent = response ? (await problem(response)).message : "The connection was lost.";
    };
    return button;
  });
  const said = element("span", { class: "fault", role: "alert" });
  return [...buttons, said];
}

// ---- Start

$("base").textContent = new URL("v1", location.href.split("#")[0]).href;
$("ask").addEventListener("submit", send);
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("stop").addEventListener("click", () => stopping?.abort());
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopping?.abort();
});
$("clear").addEventListener("click", () => {
  stopping?.abort();
  messages.length = 0;
  $("transcript").replaceChildren();
  $("question").focus();
});
window.addEventListener("hashchange", show);
document.addEventListener("visibilitychange", poll);
show();
percentiles("first-token", null);
percentiles("latency", null);
loadModels();
poll();
