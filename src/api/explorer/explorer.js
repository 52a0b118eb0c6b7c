// The API explorer: the operations in the order of a ride, the form of one, and its request and response.

import { codeBlock, copyButton, el, markdown } from "./elements.js";
import { OpenApiDocument } from "./openapi_document.js";
import { operationList } from "./operation_list.js";
import { requestForm } from "./request_form.js";
import { RequestSender, curl } from "./request_sender.js";
import { documentedResponses, nextRequests, responseView } from "./response_view.js";

const AUTOMATIC = "";
const NO_TOKEN = "-";

const [listColumn, textColumn, requestColumn] = ["operations", "operation", "exchange"].map((id) => document.getElementById(id));

let api;
let sender;
let list;
let chosenRole = AUTOMATIC;
let given = null;
let running = null;

/** The role that sends the requests of an operation; null for none. */
function roleOf(operation) {
  if (chosenRole === NO_TOKEN) return null;
  return chosenRole === AUTOMATIC ? (operation.roles[0] ?? null) : chosenRole;
}

/** Opens an operation with the values that a response gave. */
function open(next) {
  given = next;
  if (location.hash === `#${next.operation.id}`) show();
  else location.hash = next.operation.id;
}

function roleField(operation, changed) {
  if (!sender.tokenOperation) {
    const input = el("input", {
      id: "token",
      type: "password",
      autocomplete: "off",
      value: sender.tokens.get(api.roles[0]) ?? "",
    });
    input.addEventListener("input", () => {
      sender.paste(input.value.trim());
      changed();
    });
    return el(
      "div",
      { class: "field" },
      el("label", { for: "token" }, "Token"),
      input,
      el("p", { class: "text" }, "This service issues no tokens: paste one."),
    );
  }
  const permitted = operation.roles.length === 0 ? "no token needed" : `a permitted role: ${operation.roles[0]}`;
  const options = [[AUTOMATIC, permitted], ...api.roles.map((role) => [role, role]), [NO_TOKEN, "no token"]];
  const select = el("select", { id: "role" }, ...options.map(([value, text]) => el("option", { value }, text)));
  select.value = chosenRole;
  select.addEventListener("change", () => {
    chosenRole = select.value;
    changed();
  });
  return el("div", { class: "field" }, el("label", { for: "role" }, "Send as"), select);
}

/** A request as it will be sent, as far as that is known before. */
function draft(operation, form) {
  const values = form.read();
  const role = roleOf(operation);
  const address = operation.path.replace(/\{(\w+)\}/g, (all, name) => values.path[name] || all);
  const query = new URLSearchParams(values.query).toString();
  const headers = { Accept: values.accept, ...values.headers };
  if (values.body !== null) headers["Content-Type"] = operation.body.type;
  if (role) headers.Authorization = "";
  return {
    method: operation.method,
    address: query ? `${address}?${query}` : address,
    headers,
    body: values.body,
    role,
  };
}

function textOf(operation) {
  const roles = operation.roles.length === 0 ? "No token is needed." : `For: ${operation.roles.join(", ")}.`;
  return [
    el("h1", { tabindex: "-1" }, operation.summary),
    el(
      "p",
      { class: "address" },
      el("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method),
      " ",
      el("code", {}, operation.path),
    ),
    ...markdown(operation.description),
    el("p", { class: "muted" }, roles),
  ];
}

function show() {
  const operation = api.byId.get(decodeURIComponent(location.hash).split(/[#/]/).at(-1)) ?? list.first;
  const next = given?.operation === operation ? given : undefined;
  given = null;
  running?.abort();
  document.title = `${operation.summary} · API · ridematch`;
  list.select(operation);
  listColumn.classList.remove("is-open");
  const form = requestForm(api, sender, operation, next);
  const command = codeBlock("The request as a curl command");
  let shown = null;
  const draw = (request) => {
    shown = request;
    command.firstChild.textContent = curl(request);
  };
  const changed = () => draw(draft(operation, form));
  form.element.addEventListener("input", changed);
  form.element.addEventListener("change", changed);
  const send = el("button", { type: "submit", form: "request-form", class: "primary", id: "send" }, "Send");
  const stop = el("button", { type: "button", hidden: true, onclick: () => running?.abort() }, "Stop");
  const note = el("p", { class: "muted small", id: "note", role: "status" }, "Ctrl+Enter in the form sends, too.");
  const response = el("section", { id: "response", "aria-label": "Response" });
  const copy = copyButton("Copy with the token", () => withToken(shown));
  form.element.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(operation, form, { draw, send, stop, note, response });
  });
  form.element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.element.requestSubmit();
  });
  const responses = documentedResponses(api, operation);
  textColumn.replaceChildren(...textOf(operation), form.element, el("h2", {}, "Responses"), ...responses);
  requestColumn.replaceChildren(
    el("h2", {}, "Request"),
    roleField(operation, changed),
    el("div", { class: "actions send-bar" }, send, stop, copy),
    note,
    command,
    response,
  );
  changed();
  if (next) send.focus();
  for (const scrolled of [document.scrollingElement, textColumn, requestColumn]) scrolled.scrollTop = 0;
}

function withToken(request) {
  const token = request.role && sender.tokens.get(request.role);
  return token ? `${request.role.toUpperCase()}='${token}'\n${curl(request)}` : curl(request);
}

async function submit(operation, form, { draw, send, stop, note, response }) {
  if (!form.isValid()) return;
  const mine = new AbortController();
  running = mine;
  send.disabled = true;
  stop.hidden = false;
  note.textContent = "Sending …";
  try {
    const request = await sender.complete(operation, form.read(), roleOf(operation));
    draw(request);
    const unseen = sender.unseen(`${request.address} ${request.body ?? ""}`);
    const render = (exchange) => response.replaceChildren(el("h2", {}, "Response"), ...responseView(api, operation, exchange, open));
    const exchange = await sender.send(request, mine.signal, render);
    for (const link of nextRequests(api, operation, exchange)) {
      if (link.body && link.missing.length === 0) sender.bodies.set(link.operation.id, link.body);
    }
    render(exchange);
    response.scrollIntoView({ block: "nearest" });
    note.textContent = unseen.map((prefix) => `No response has contained a ${prefix}_… yet: the example's id was sent.`).join(" ");
  } catch (error) {
    note.textContent = mine.signal.aborted ? "Stopped." : `No response: ${error.message}. Is the service running?`;
  }
  stop.hidden = true;
  send.disabled = false;
  if (document.activeElement === document.body) send.focus();
}

async function start() {
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`/openapi.json: ${response.status}`);
  api = new OpenApiDocument(await response.json());
  sender = new RequestSender(api);
  await sender.readClock();
  const { element, select } = operationList(api);
  list = { select, first: api.byId.get("create_quote") ?? api.operations[0] };
  const toggle = el("button", { type: "button", class: "toggle", "aria-expanded": "false" }, "All operations");
  const setOpen = (isOpen) => toggle.setAttribute("aria-expanded", String(isOpen));
  toggle.addEventListener("click", () => setOpen(listColumn.classList.toggle("is-open")));
  addEventListener("hashchange", () => setOpen(false));
  listColumn.replaceChildren(toggle, el("div", { class: "entries" }, ...element));
  addEventListener("hashchange", show);
  show();
}

start().catch((error) => {
  textColumn.replaceChildren(el("p", { role: "alert" }, `Cannot show the document: ${error.message}`));
});
