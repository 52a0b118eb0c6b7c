// Shows a response: status, headers, body, the page of its problem, and the next requests that it makes possible.

import { codeBlock, colored, copyButton, el, folded, markdown } from "./elements.js";
import { pointed } from "./openapi_document.js";
import { RIDE } from "./ride_steps.js";
import { schemaView } from "./schema_view.js";

const NOTABLE = ["idempotent-replayed", "location", "etag", "retry-after"];

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Evaluates a runtime expression of OpenAPI; other values stay as they are. */
function evaluate(value, exchange, body) {
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, evaluate(part, exchange, body)]));
  }
  if (typeof value !== "string" || !value.startsWith("$")) return value;
  const [, place, rest] = /^\$(response\.body#|response\.header\.|request\.path\.)(.*)$/.exec(value) ?? [];
  if (place === "response.header.") return exchange.headers.get(rest) ?? undefined;
  if (place === "request.path.") return exchange.request.path[rest];
  return place ? (pointed(body, rest) ?? undefined) : undefined;
}

/** Returns the requests that a response makes possible: `{operation, parameters, body, missing}`. */
export function nextRequests(api, operation, exchange) {
  const links = operation.responses.find(({ status }) => Number(status) === exchange.status)?.links ?? [];
  const body = json(exchange.text);
  return links.flatMap((link) => {
    const target = api.byId.get(link.operationId);
    if (!target) return [];
    const parameters = evaluate(link.parameters ?? {}, exchange, body);
    const given = link.requestBody === undefined ? undefined : evaluate(link.requestBody, exchange, body);
    const missing = Object.entries({ ...parameters, ...given }).filter(([, value]) => value === undefined);
    return [{ operation: target, parameters, body: given, missing: missing.map(([name]) => name) }];
  });
}

/** Returns the request of the next step of a ride, with the values of a link if there is one. */
function nextStep(api, operation, links) {
  const step = RIDE.indexOf(operation.id);
  const id = step < 0 ? undefined : RIDE.slice(step + 1).find((name) => api.byId.has(name));
  return id && (links.find((link) => link.operation.id === id) ?? { operation: api.byId.get(id), missing: [] });
}

function nextButton(next, label, open) {
  const button = el("button", { type: "button", disabled: next.missing.length > 0, onclick: () => open(next) }, label);
  if (next.missing.length === 0) return el("li", {}, button);
  const names = next.missing.map((name) => el("code", {}, name));
  return el("li", {}, button, el("span", { class: "muted small" }, "This response has no ", ...names, "."));
}

function nextView(api, operation, links, isDone, open) {
  const step = isDone && nextStep(api, operation, links);
  const others = links.filter((link) => link.operation !== step?.operation);
  if (!step && others.length === 0) return null;
  const items = others.map((link) => nextButton(link, link.operation.summary, open));
  if (step) items.unshift(nextButton(step, `Next step: ${step.operation.summary}`, open));
  items[0].firstChild.classList.toggle("primary", Boolean(step));
  return el("section", { class: "next" }, el("h3", {}, "Next requests"), el("ul", {}, ...items));
}

function problemView(exchange) {
  if (!exchange.headers.get("content-type")?.startsWith("application/problem+json")) return null;
  const problem = json(exchange.text);
  if (!problem) return null;
  const page = el("a", { href: problem.type }, "Why, and what to do");
  return el("div", { class: "problem-card" }, el("strong", {}, problem.title), ...markdown(problem.detail), el("p", {}, page));
}

/** Returns the elements of a response. `open` is called with a chosen next request. */
export function responseView(api, operation, exchange, open) {
  const parsed = exchange.isCut ? undefined : json(exchange.text);
  const text = parsed === undefined ? exchange.text : JSON.stringify(parsed, null, 2);
  const tone = exchange.status < 300 ? "good" : exchange.status < 500 ? "warn" : "bad";
  const facts = [
    `${Math.round(exchange.ms)} ms`,
    `${exchange.text.length.toLocaleString("en")} characters`,
    exchange.request.role ? `sent as ${exchange.request.role}` : "sent without a token",
  ];
  if (exchange.isCut) facts.push("cut off");
  if (exchange.isStopped) facts.push("stopped");
  const status = el(
    "p",
    { class: "status" },
    el("strong", { class: tone, id: "status-code" }, `${exchange.status} ${exchange.statusText}`),
    ` ${facts.join(" · ")}`,
  );
  const headers = [...exchange.headers].map(([name, value]) => el("li", {}, el("code", {}, `${name}: ${value}`)));
  const notable = NOTABLE.filter((name) => exchange.headers.has(name)).map((name) =>
    el("li", {}, el("code", {}, `${name}: ${exchange.headers.get(name)}`)),
  );
  const links = nextRequests(api, operation, exchange);
  const body =
    text === ""
      ? el("p", { class: "muted" }, "No body.")
      : codeBlock("Body of the response", ...(parsed === undefined ? [text] : colored(text)));
  return [
    status,
    notable.length > 0 && el("ul", { class: "headers" }, ...notable),
    problemView(exchange),
    nextView(api, operation, links, exchange.status < 300, open),
    el("div", { class: "actions" }, el("h3", {}, "Body"), text !== "" && copyButton("Copy", () => text)),
    body,
    folded(`All ${headers.length} headers`, () => el("ul", { class: "headers" }, ...headers)),
  ].filter(Boolean);
}

/** Returns the documented responses of an operation. */
export function documentedResponses(api, operation) {
  return operation.responses.map(({ status, description, content }) => {
    const isProblem = content.some(({ type }) => type === "application/problem+json");
    const codes = isProblem ? content[0].examples.map(({ key }) => key) : [];
    const title = isProblem ? el("code", {}, codes.join(", ")) : description.split("\n")[0];
    return folded(el("span", {}, el("strong", {}, status), " ", title), () => {
      if (isProblem) {
        const pages = codes.map((code) => el("a", { href: `/problems/${code}` }, code));
        return [...markdown(description), el("p", { class: "pages" }, "Pages: ", ...pages)];
      }
      return [...markdown(description), ...content.flatMap((one) => documentedContent(api, one))];
    });
  });
}

function documentedContent(api, { type, schema, examples }) {
  const blocks = examples.slice(0, 1).map(({ summary, value }) => {
    const shown = typeof value === "string" ? [value] : colored(JSON.stringify(value, null, 2));
    return codeBlock(`Example: ${summary}`, ...shown);
  });
  return [el("p", { class: "muted small" }, type), ...blocks, ...schemaView(api, schema)];
}
