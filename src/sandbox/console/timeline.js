// The timeline of a trip or a payment: a trace waterfall. Each trace is a group with a time axis of its own, because a ride lasts for
// minutes and a request for milliseconds. Each row opens: SQL, the provider's answer, ids.

import { call } from "./api.js";
import { h, money, short, time, words } from "./dom.js";
import { absent, facts, section } from "./panel.js";
import { link } from "./trips.js";

/** The kinds of items: a name and a sign, so that color is never the only difference. */
const KINDS = {
  request: { name: "request", sign: "→" },
  worker_run: { name: "worker", sign: "⟳" },
  provider_call: { name: "provider", sign: "⇄" },
  webhook_in: { name: "webhook in", sign: "⇤" },
  webhook_out: { name: "webhook out", sign: "⇥" },
  trip_event: { name: "trip", sign: "◆" },
  payment_event: { name: "payment", sign: "◇" },
  posting: { name: "ledger", sign: "≡" },
};
const BAD = /^(5\d\d|declined|unknown|set_aside)$/;
/** The shortest time axis, so that a single event has one. */
const AXIS_US_MIN = 1000;
/** The least width of a bar, percent of the axis. */
const BAR_MIN = 0.8;

/** A timeline as part of another panel. `which()` returns the id of a trip or a payment once known. */
export function timelineSection(which, options) {
  const opened = new Set();
  return section(
    "Timeline",
    async () => {
      if (!which()) return null;
      const answer = await call({ as: null, path: `/v1/sandbox/timeline/${which()}`, quiet: true });
      if (!answer.ok) return absent(answer, "The service knows no timeline of it.");
      const { items, left_out } = answer.body;
      return { data: items, note: counted(items.length, "item"), show: () => waterfall(items, left_out, opened) };
    },
    options,
  );
}

function waterfall(items, leftOut, opened) {
  const traces = group(items);
  const first = traces[0]?.from ?? 0;
  return [
    h("p.small.muted", {}, intro(traces.length, leftOut)),
    h("ol.traces", { "aria-label": "Traces, oldest first" }, traces.map((trace) => traceGroup(trace, first, opened))),
  ];
}

function intro(traces, leftOut) {
  const left = leftOut > 0 ? ` The oldest ${leftOut} items are left out.` : "";
  return `${counted(traces, "trace")}, each with a time axis of its own, in machine time.${left}`;
}

/** Groups items by their trace, in the order of their first item. An item without a trace is a group by itself. */
function group(items) {
  const traces = new Map();
  for (const [index, item] of items.entries()) {
    const key = item.trace_id ?? `none ${index}`;
    const from = microseconds(item.at);
    const to = from + (item.duration_us ?? 0);
    const trace = traces.get(key) ?? { id: item.trace_id, from, to, at: item.at, items: [] };
    trace.to = Math.max(trace.to, to);
    trace.items.push({ ...item, from });
    traces.set(key, trace);
  }
  return [...traces.values()];
}

function traceGroup(trace, first, opened) {
  const length = Math.max(trace.to - trace.from, AXIS_US_MIN);
  const root = trace.items.find((item) => item.kind === "request") ?? trace.items[0];
  const title = h(
    "div.trace-head",
    {},
    h("strong", {}, rootName(root)),
    h("span.number.muted", {}, `${time(trace.at)}${trace.from > first ? `, +${long(trace.from - first)}` : ""}`),
  );
  const axis = h("div.axis.number", { "aria-hidden": "true" }, h("span", {}, "0"), h("span", {}, duration(length)));
  const rows = trace.items.map((item) => h("li", {}, row(item, trace.from, length, opened)));
  return h("li.trace", {}, title, axis, h("ol", { "aria-label": `Items of ${rootName(root)}` }, rows));
}

const rootName = (root) => (root.kind === "request" ? label(root) : `${kindOf(root).name}: ${label(root)}`);

const kindOf = ({ kind }) => KINDS[kind] ?? { name: words(kind), sign: "·" };

/** The label in words; a path with its ids shortened; the type of an event of the provider as it is. */
function label({ kind, label }) {
  if (kind === "request") return shortPath(label);
  return kind === "webhook_in" || kind === "webhook_out" ? label : words(label);
}

/** `POST /v1/trips/trip_01…/complete` with a short id. */
const shortPath = (path) => path.replace(/[a-z]+_[0-9a-z]{26}/g, (id) => short(id));

function row(item, start, length, opened) {
  const { name, sign } = kindOf(item);
  const key = `${item.kind} ${item.at} ${item.label}`;
  const isBad = BAD.test(item.outcome ?? "");
  const took = item.duration_us === null ? (isInstant(item) ? "" : "runs") : duration(item.duration_us);
  const summary = h(
    "summary",
    { "data-focus": key },
    h("span.sign", { "aria-hidden": "true" }, sign),
    h("span.kind", {}, name),
    h("span.what", {}, label(item)),
    h(`span.outcome${isBad ? ".bad" : ""}`, {}, item.kind === "posting" ? money(item.amount) : item.outcome && words(item.outcome)),
    h("span.took.number", {}, took),
    track(item, start, length),
  );
  const details = h(`details.span.kind-${item.kind.replace("_", "-")}`, { open: opened.has(key) }, summary);
  const fill = () => details.childElementCount === 1 && details.append(more(item));
  if (details.open) fill();
  details.addEventListener("toggle", () => {
    opened[details.open ? "add" : "delete"](key);
    if (details.open) fill();
  });
  return details;
}

const isInstant = ({ kind }) => kind === "trip_event" || kind === "payment_event" || kind === "posting";

/** The bar of an item on the axis of its trace; a mark for what has no length. */
function track(item, start, length) {
  const left = ((item.from - start) / length) * 100;
  const isMark = isInstant(item);
  const bar = h(isMark ? "span.instant" : "span.extent");
  bar.style.left = `${Math.min(left, isMark ? 100 : 100 - BAR_MIN).toFixed(2)}%`;
  // What has not ended reaches the end of the axis.
  const width = item.duration_us === null ? 100 - left : (item.duration_us / length) * 100;
  if (!isMark) bar.style.width = `${Math.max(width, BAR_MIN).toFixed(2)}%`;
  return h("span.track", { "aria-hidden": "true" }, bar);
}

function more(item) {
  return h(
    "div.more",
    {},
    facts([
      ["Started", h("span.number", {}, item.at.slice(11, 26))],
      ["Domain time", item.domain_at && h("span.number", {}, item.domain_at.slice(11, 26))],
      ["Amount", item.amount && money(item.amount)],
      ["Payment", item.payment_id && link("payment", item.payment_id)],
      ["Trace", item.trace_id && h("code", {}, item.trace_id)],
      ["Answer", item.detail && h("code", {}, item.detail)],
    ]),
    statements(item),
  );
}

function statements({ kind, statements: all }) {
  if (kind !== "request" && kind !== "worker_run") return null;
  if (all.length === 0) return h("p.muted.small", {}, "No statement was recorded.");
  const total = all.reduce((sum, one) => sum + one.elapsed_us, 0);
  const rows = all.map((one) => {
    const isEdge = ["BEGIN", "COMMIT", "ROLLBACK"].includes(one.sql);
    const count = one.rows_affected || one.rows_returned;
    return h(
      isEdge ? "li.edge" : "li",
      {},
      h("code", {}, one.sql),
      h("span.number.muted", {}, isEdge ? "" : counted(count, "row")),
      h("span.number.muted", {}, duration(one.elapsed_us)),
    );
  });
  const note = `${counted(all.length, "statement")}, ${duration(total)} in the database. Values are never recorded.`;
  return [h("ol.sql", {}, rows), h("p.muted.small", {}, note)];
}

const counted = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** Microseconds since 1970. `Date` keeps milliseconds only. */
function microseconds(stamp) {
  const fraction = /\.(\d{1,6})/.exec(stamp)?.[1].padEnd(6, "0") ?? "0";
  return Math.floor(Date.parse(stamp) / 1000) * 1_000_000 + Number(fraction);
}

/** Microseconds as "0.4 ms", "18 ms" or "1.2 s". */
function duration(us) {
  if (us < 10_000) return `${(us / 1000).toFixed(1)} ms`;
  return us < 1_000_000 ? `${Math.round(us / 1000)} ms` : `${(us / 1_000_000).toFixed(1)} s`;
}

/** Microseconds as "14 s" or "3 min 20 s". */
function long(us) {
  const s = us / 1_000_000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  return `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`;
}
