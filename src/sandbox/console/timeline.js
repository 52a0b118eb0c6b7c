// The timeline of a trip or a payment: a trace waterfall. All bars have one scale, so that their lengths can be compared. A ride lasts for
// minutes and a request for milliseconds, so time in which nothing happened is left out: a trace with a pause is shown in parts, and
// each part says when it began. Each row opens: SQL, the provider's answer, ids.

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
/** A trace in which nothing happens for so long goes on in another part. */
const PAUSE_US = 500_000;
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
  const parts = group(items);
  const first = parts[0]?.from ?? 0;
  const length = niceAbove(Math.max(AXIS_US_MIN, ...parts.map(({ from, to }) => to - from)));
  const traces = parts.filter(({ isContinued }) => !isContinued).length;
  return [
    h("p.small.muted", {}, intro(traces, length, leftOut)),
    h("div.axis.number", { "aria-hidden": "true" }, ...[0, 0.25, 0.5, 0.75, 1].map((share) => h("span", {}, share === 0 ? "0" : duration(length * share)))),
    h("ol.traces", { "aria-label": "Traces, oldest first" }, parts.map((part) => traceGroup(part, first, length, opened))),
  ];
}

function intro(traces, length, leftOut) {
  const left = leftOut > 0 ? ` The oldest ${leftOut} items are left out.` : "";
  return `${counted(traces, "trace")} in machine time. One scale for all: the width is ${duration(length)}.${left}`;
}

/** Returns the smallest of 1, 2, 5, 10, 20 … that is at least the value. */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

/**
 * Groups items by their trace, in the order of their first item; a trace with a pause is several parts. An item without a trace is a
 * group by itself.
 */
function group(items) {
  const [latest, parts] = [new Map(), []];
  for (const [index, item] of items.entries()) {
    const key = item.trace_id ?? `none ${index}`;
    const from = microseconds(item.at);
    const to = from + (item.duration_us ?? 0);
    const before = latest.get(key);
    if (!before || from - before.to > PAUSE_US) {
      const root = before?.root ?? item;
      latest.set(key, { from, to, at: item.at, root, isContinued: Boolean(before), items: [] });
      parts.push(latest.get(key));
    }
    const part = latest.get(key);
    part.to = Math.max(part.to, to);
    if (!part.isContinued && item.kind === "request" && part.root.kind !== "request") part.root = item;
    part.items.push({ ...item, from });
  }
  return parts;
}

function traceGroup(part, first, length, opened) {
  const name = rootName(part.root);
  const title = h(
    "div.trace-head",
    {},
    h("strong", {}, part.isContinued ? `later: ${name}` : name),
    h("span.number.muted", {}, `${time(part.at)}${part.from > first ? `, +${long(part.from - first)}` : ""}`),
  );
  const rows = part.items.map((item) => h("li", {}, row(item, part.from, length, opened)));
  return h("li.trace", {}, title, h("ol", { "aria-label": `Items of ${name}` }, rows));
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
  // What has not ended yet reaches the end of the axis.
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
