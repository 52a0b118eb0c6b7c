// The request log: the calls of this page as expandable rows with curl line, response and SQL.

import { call } from "./api.js";
import { on } from "./bus.js";
import { h } from "./dom.js";

/** The most rows kept. */
const ROWS_MAX = 200;
/** Longer bodies are shortened in the log only. */
const BODY_CHARS_MAX = 20_000;
const SHOWN_HEADERS = ["trace-id", "idempotent-replayed", "etag", "location", "retry-after", "allow", "ratelimit"];

/**
 * Lists the calls of this page, newest first: those that the person caused, and with the box checked also those with which the page
 * polls. Both are kept from the start, so that the box can be checked later.
 */
export function createLog(element) {
  const lists = { asked: [], polled: [] };
  let polls = 0;
  const hint = h("p.muted", {}, "What you do here becomes API calls, which are listed with their SQL.");
  const rows = h("ol.log", { "aria-label": "Calls, newest first" });
  const clear = h("button.quiet", { type: "button", onclick: empty }, "Clear");
  const box = h("input", { type: "checkbox", onchange: () => refill() });
  const count = h("span.number", {}, "0");
  const label = h("label.check.small", {}, box, "Also list the ", count, " calls with which the page polls");
  element.replaceChildren(
    h("div.actions.log-bar", {}, label, clear, h("span.small.muted", {}, "Times are this computer's clock. Streams are not listed.")),
    hint,
    rows,
  );

  function empty() {
    lists.asked.length = lists.polled.length = 0;
    refill();
  }

  function refill() {
    const all = box.checked ? [...lists.asked, ...lists.polled].sort((a, b) => b.at - a.at) : lists.asked;
    rows.replaceChildren(...all.slice(0, ROWS_MAX).map(({ node }) => node));
    refresh();
  }

  function refresh() {
    hint.hidden = rows.childElementCount > 0;
    clear.hidden = rows.childElementCount === 0;
  }

  function keep(list, answer) {
    const kept = { at: answer.request.at, node: row(answer) };
    list.unshift(kept);
    if (list.length > ROWS_MAX) list.pop();
    if (list === lists.polled && !box.checked) return;
    rows.prepend(kept.node);
    while (rows.childElementCount > ROWS_MAX) rows.lastElementChild.remove();
    refresh();
  }

  refresh();
  on("call", (answer) => keep(lists.asked, answer));
  on("quiet-call", (answer) => {
    count.textContent = String(++polls);
    // The SQL that an open row asks for would otherwise list itself.
    if (!answer.request.path.startsWith("/v1/sandbox/requests/")) keep(lists.polled, answer);
  });
}

function row(answer) {
  const { method, path, why, at } = answer.request;
  const look = answer.status === 0 || answer.status >= 500 ? "bad" : answer.status >= 400 ? "warn" : "good";
  const replayed = answer.headers["idempotent-replayed"] === "true";
  const details = h("details", {},
    h("summary", {},
      h("span.number.muted", {}, new Date(at).toLocaleTimeString("en-GB")),
      h(`span.state.${look}`, {}, answer.status === 0 ? "no answer" : String(answer.status)),
      h("span.mono.what", {}, h("b", {}, method), ` ${path}`),
      replayed && h("span.state.plain", {}, "replayed"),
      why && h("span.muted", {}, why),
      h("span.number.muted.took", {}, `${answer.ms.toFixed(answer.ms < 10 ? 1 : 0)} ms`)));
  details.addEventListener("toggle", () => details.open && details.append(opened(answer)), { once: true });
  return h("li", {}, details);
}

function opened(answer) {
  const { key, text } = answer.request;
  const headers = SHOWN_HEADERS.filter((name) => answer.headers[name]).map((name) => `${name}: ${answer.headers[name]}`);
  const shown = answer.body === null ? answer.text : JSON.stringify(answer.body, null, 2);
  const sql = h("div", {}, h("p.muted", {}, "…"));
  showSql(answer, sql);
  return h("div.body", {},
    h("h3", {}, "As a command"),
    h("pre.json", {}, answer.curlShort),
    h("div.actions", {}, copy("Copy, with the token", answer.curl)),
    text !== null && [h("h3", {}, key ? `Sent, under the key ${key}` : "Sent"), h("pre.json", {}, cut(text))],
    h("h3", {}, "Answered"),
    h("pre.json", {}, [...headers, "", cut(shown || "(nothing)")].join("\n").trim()),
    h("h3", {}, "SQL"),
    sql);
}

/** Shows the statements of the call. Very frequent requests are not recorded. */
async function showSql(answer, place) {
  const trace = answer.status === 0 ? null : await call({ as: null, path: `/v1/sandbox/requests/${answer.traceId}`, quiet: true });
  const requests = trace?.ok ? trace.body.requests : [];
  if (requests.length === 0) {
    place.replaceChildren(h("p.muted", {}, "Not recorded: the service keeps its last 1,000 requests, except positions and sandbox requests."));
    return;
  }
  place.replaceChildren(...requests.map(statements));
}

export function statements({ statements, left_out, duration_us }) {
  if (statements.length === 0) return h("p.muted", {}, "None: the response came from memory, or the request was refused earlier.");
  const total = statements.reduce((sum, one) => sum + one.elapsed_us, 0);
  const ms = (us) => `${(us / 1000).toFixed(2)} ms`;
  const rows = statements.map((one) => {
    const isEdge = ["BEGIN", "COMMIT", "ROLLBACK"].includes(one.sql);
    const count = isEdge ? "" : `${one.rows_affected || one.rows_returned} row${(one.rows_affected || one.rows_returned) === 1 ? "" : "s"}`;
    return h(isEdge ? "li.edge" : "li", {}, h("code", {}, one.sql), h("span.number.muted", {}, count), h("span.number.muted", {}, ms(one.elapsed_us)));
  });
  const left = left_out > 0 ? ` ${left_out} more are not kept.` : "";
  const whole = duration_us === null ? "" : `, of ${ms(duration_us)} in all`;
  return h("div", {}, h("ol.sql", {}, rows), h("p.muted.small", {}, `${statements.length} statement${statements.length === 1 ? "" : "s"}, ${ms(total)} in the database${whole}. Values are never recorded.${left}`));
}

function copy(label, text) {
  const button = h("button", { type: "button" }, label);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is blocked by the browser";
    }
    setTimeout(() => (button.textContent = label), 2000);
  });
  return button;
}

const cut = (text) => (text.length > BODY_CHARS_MAX ? `${text.slice(0, BODY_CHARS_MAX)} …` : text);
