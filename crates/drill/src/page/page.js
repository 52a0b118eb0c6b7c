// The page of a drill: asks for what is observed in the chosen time range, and keeps the notebook.

import { h } from "/console/dom.js";
import { chart } from "./chart.js";
import { incident, sql } from "./incident.js";

const base = location.pathname.replace(/\/$/, "");
const byId = (id) => document.getElementById(id);
const PANELS = ["Alert", "Metrics", "Logs", "Slow requests", "Database", "Deploys", "City"];
const NAMES = { "Slow requests": "slow" };
const POLL_MS = 3000;

const state = { panel: "Alert", from: 0, until: null, now: 0, id: "" };
let shownKey = "";
let asked = 0;

async function get(path) {
  const response = await fetch(`${base}/${path}`, { headers: { Accept: "application/json" } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? body.title ?? `The status is ${response.status}.`);
  return body;
}

const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
const until = () => state.until ?? state.now;

function pin(kind, text) {
  return h("button.pin", { type: "button", onclick: () => note(kind, text), "aria-label": `Pin: ${text}` }, "Pin");
}

async function note(kind, text) {
  const response = await fetch(`${base}/notes`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ at_s: Math.round(state.now), kind, text: text.slice(0, 2000) }),
  });
  const body = await response.json();
  if (response.ok) showNotes(body);
  else say(body.detail ?? "The note was not kept.");
}

function showNotes(notes) {
  byId("no-notes").hidden = notes.length > 0;
  byId("notes").replaceChildren(
    ...notes.map((one) => h("li", {}, h("span.kind", {}, `${clock(one.at_s)} · ${one.kind} `), one.kind === "text" ? one.text : h("code", {}, one.text))),
  );
}

const say = (text) => (byId("status").textContent = text);

/** A table: columns are `[title, (row) => cell, isNumber]`. Each row can be pinned. */
function table(columns, rows, kind, asText, mark = () => null) {
  if (rows.length === 0) return h("p.muted", {}, "Nothing in this time range.");
  const cell = (name, isNumber, properties, ...children) => h(isNumber ? `${name}.number` : name, properties, ...children);
  const head = h("tr", {}, ...columns.map(([title, , isNumber]) => cell("th", isNumber, { scope: "col" }, title)), h("th", { scope: "col" }, h("span.unseen", {}, "Pin")));
  const line = (row) =>
    h(mark(row) ? `tr.${mark(row)}` : "tr", {}, ...columns.map(([, value, isNumber]) => cell("td", isNumber, {}, value(row) ?? "–")), h("td", {}, pin(kind, asText(row))));
  return h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.map(line)));
}

const trace = (id) => (id ? h("a", { href: `/city/requests/${encodeURIComponent(id)}` }, id.slice(0, 8)) : null);
const milliseconds = (ms) => (ms >= 100 ? Math.round(ms) : ms.toFixed(1));
const fields = (entry) =>
  Object.entries(entry.fields ?? {})
    .map(([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" ");

const shows = {
  Alert: (seen) => [
    h("h2", {}, "What the pager says"),
    ...seen.lines.map((line) => h("p", {}, line, " ", pin("alert", line))),
    h("h2", {}, "Now"),
    h("div.figures-row", {}, ...seen.figures.map((one) => h("div.figure", {}, h("span.small.muted", {}, one.name), h("strong", {}, String(one.value)), one.unit ?? ""))),
  ],
  Metrics: (seen) =>
    seen.series.length === 0
      ? h("p.muted", {}, "The first samples come after a few seconds.")
      : h("div.charts", {}, ...seen.series.map((one) => {
          const last = one.points.at(-1)?.[1] ?? 0;
          return h("figure.chart", {}, h("h3", {}, one.name), chart(one.points, { from: state.from, until: until() }), h("p.change", {}, `now ${round(last)}${one.change ? `, ${one.change}` : ""} `, pin("metrics", `${one.name} = ${round(last)}`)));
        })),
  Logs: (seen) => [
    h("p.small.muted", {}, seen.left_out > 0 ? `The newest ${seen.entries.length}; ${seen.left_out} older ones are left out.` : `${seen.entries.length} lines.`),
    table(
      [["Time", (row) => clock(row.at_s)], ["Level", (row) => row.level], ["Message", (row) => h("span", {}, row.message, " ", h("span.muted.small", {}, fields(row)))], ["Trace", (row) => trace(row.trace_id)]],
      seen.entries, "logs", (row) => `${row.level} ${row.message} ${fields(row)}`, (row) => ({ ERROR: "error", WARN: "warn" })[row.level],
    ),
  ],
  "Slow requests": (seen) =>
    table(
      [["Time", (row) => clock(row.at_s)], ["Operation", (row) => row.operation], ["Status", (row) => String(row.status), true], ["ms", (row) => milliseconds(row.ms), true], ["Code", (row) => row.where || "–"], ["Trace", (row) => trace(row.trace_id)]],
      seen.requests, "slow", (row) => `${row.operation} ${row.status} ${milliseconds(row.ms)} ms ${row.where ?? ""}`,
    ),
  Database: (seen) => [
    h("h2", {}, "Sessions"),
    table([["State", (row) => row.state], ["Waits for", (row) => row.wait], ["Since", (row) => `${milliseconds(row.ms)} ms`, true], ["Statement", (row) => h("code", {}, row.query)]], seen.activity, "database", (row) => `${row.state} ${row.wait ?? ""} ${row.query}`),
    h("h2", {}, "Locks that are waited for"),
    table([["Waits for", (row) => row.relation], ["Since", (row) => row.mode], ["Waiting", (row) => h("code", {}, row.waiting)], ["Held by", (row) => h("code", {}, row.holding)]], seen.locks, "database", (row) => `${row.relation} ${row.mode}: ${row.waiting} waits for ${row.holding}`),
    h("h2", {}, "Statements that run, by twenty samples within a second"),
    table([["Seen running", (row) => String(row.seen), true], ["Waited for", (row) => waits(row)], ["Statement", (row) => h("code", {}, row.query)]], seen.statements, "database", (row) => `seen ${row.seen} times (${waits(row)}): ${row.query}`),
    h("h2", {}, "Tables by rows read one after the other"),
    table([["Table", (row) => row.name], ["Rows", (row) => String(row.rows), true], ["Sequential scans", (row) => String(row.seq_scans), true], ["Rows read by them", (row) => String(row.seq_rows), true], ["Index scans", (row) => String(row.index_scans), true]], seen.tables ?? [], "database", (row) => `${row.name}: ${row.seq_scans} sequential scans read ${row.seq_rows} rows; ${row.index_scans} index scans`),
  ],
  Deploys: (seen) => table([["When", (row) => row.at], ["Author", (row) => row.author], ["Change", (row) => row.message], ["Commit", (row) => h("code", {}, row.commit)]], seen.commits, "deploys", (row) => `${row.commit} ${row.message}`),
};

const waits = (row) => Object.entries(row.waits).map(([name, count]) => `${name || "running"} ${count}`).join(", ");
const round = (value) => (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));

async function refresh() {
  const mine = (asked += 1);
  if (state.panel === "City") return showCity();
  if (state.panel === "SQL") return showSql();
  if (state.panel === "Incident") return showIncident(mine);
  const query = new URLSearchParams({ from: Math.floor(state.from) });
  if (state.until !== null) query.set("until", Math.ceil(state.until));
  if (state.id) query.set("id", state.id);
  try {
    const seen = await get(`observe/${NAMES[state.panel] ?? state.panel.toLowerCase()}?${query}`);
    if (mine !== asked) return;
    state.now = seen.now_s;
    showRange();
    say("");
    const key = JSON.stringify([state.panel, seen]);
    if (key === shownKey) return;
    shownKey = key;
    byId("panel").replaceChildren(...[shows[state.panel](seen)].flat());
  } catch (error) {
    if (mine === asked) say(`${error.message} The page asks again.`);
  }
}

function showCity() {
  if (shownKey === "city") return;
  shownKey = "city";
  byId("panel").replaceChildren(h("p.small.muted", {}, "The console of the service. Experiments and faults are locked during a drill. The map shows the present. ", h("a", { href: "/city" }, "Open it alone")), h("iframe", { src: "/city", title: "The city" }));
}

function showSql() {
  if (shownKey === "sql") return;
  shownKey = "sql";
  byId("panel").replaceChildren(...sql(base, say, pin));
}

/** The panel is not made anew while a word is being written in it. */
async function showIncident(mine) {
  try {
    const game = await get("game");
    const key = JSON.stringify(["incident", game]);
    if (mine !== asked || key === shownKey || byId("said")?.value) return;
    shownKey = key;
    byId("panel").replaceChildren(...incident(base, game, say, refresh));
  } catch (error) {
    if (mine === asked) say(error.message);
  }
}

function showRange() {
  for (const name of ["from", "until"]) byId(name).max = Math.ceil(state.now);
  byId("from").value = state.from;
  byId("until").value = until();
  byId("from-shown").textContent = clock(state.from);
  byId("until-shown").textContent = state.until === null ? "now" : clock(state.until);
  byId("live").setAttribute("aria-pressed", String(state.until === null));
}

function choose(panel) {
  state.panel = panel;
  for (const tab of byId("tabs").children) tab.setAttribute("aria-selected", String(tab.dataset.panel === panel));
  refresh();
}

async function start() {
  byId("here").href = base;
  const brief = await get("brief");
  document.title = `Drill ${brief.number}: ${brief.title}`;
  byId("title").textContent = brief.title;
  byId("meta").textContent = `Drill ${brief.number} · ${brief.severity} · ${brief.level ? `level ${brief.level}` : "level unknown"} · about ${brief.minutes} min`;
  byId("page").textContent = brief.page;
  byId("ticket").textContent = brief.ticket;
  const panels = brief.is_game ? ["Incident", ...PANELS, "SQL"] : PANELS;
  byId("tabs").replaceChildren(...panels.map((name) => h("button", { type: "button", role: "tab", "data-panel": name, "aria-controls": "panel", onclick: () => choose(name) }, name)));
  byId("from").addEventListener("input", (event) => { state.from = Math.min(Number(event.target.value), until()); showRange(); refresh(); });
  byId("until").addEventListener("input", (event) => { state.until = Math.max(Number(event.target.value), state.from); showRange(); refresh(); });
  byId("live").addEventListener("click", () => { state.until = state.until === null ? state.now : null; showRange(); refresh(); });
  byId("id").addEventListener("input", (event) => { state.id = event.target.value.trim(); refresh(); });
  byId("write").addEventListener("submit", (event) => {
    event.preventDefault();
    const words = byId("words").value.trim();
    if (words) note("text", words).then(() => (byId("words").value = ""));
  });
  showNotes(await get("notes"));
  choose("Alert");
  setInterval(refresh, POLL_MS);
}

start().catch((error) => say(`The page cannot be shown: ${error.message}`));
