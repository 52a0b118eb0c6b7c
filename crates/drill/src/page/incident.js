// The responders' part of a game day: who has which role, what has been said, and read-only SQL.

import { h } from "/console/dom.js";

const KINDS = { update: "Status update", diagnosis: "Diagnosis", action: "Action" };
const clock = (s) => `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;

/** Who writes; kept in this browser. */
const name = {
  get: () => localStorage.getItem("drill-name") ?? "",
  set: (value) => localStorage.setItem("drill-name", value),
};

async function send(path, body) {
  const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? answer.title);
  return answer;
}

function nameField() {
  return h("label", {}, "Your name ", h("input", { id: "responder", maxlength: 60, value: name.get(), autocomplete: "off", onchange: (event) => name.set(event.target.value.trim()) }));
}

/** The panel *Incident*. `game` is what the service of the drill says, `say` shows an error. */
export function incident(base, game, say, again) {
  const roles = Object.entries(game.roles).map(([role, person]) => `${role}: ${person}`);
  const text = h("input", { id: "said", maxlength: 2000, autocomplete: "off", "aria-label": "What you say" });
  const kind = h("select", { id: "kind", "aria-label": "Kind" }, ...Object.entries(KINDS).map(([value, shown]) => h("option", { value }, shown)));
  const form = h("form.actions", {
    onsubmit: (event) => {
      event.preventDefault();
      send(`${base}/game`, { by: name.get(), kind: kind.value, text: text.value }).then(() => { text.value = ""; again(); }).catch((error) => say(error.message));
    },
  }, nameField(), kind, text, h("button", {}, "Send"));
  const row = (one) => h(`tr.${one.kind}`, {}, h("td.number", {}, clock(one.at_s)), h("td", {}, one.by), h("td", {}, one.kind), h("td", {}, one.text));
  return [
    h("p.small.muted", {}, roles.length > 0 ? roles.join(" · ") : "The facilitator gives out the roles."),
    form,
    game.entries.length === 0 ? h("p.muted", {}, "Nothing has been said yet.") : h("table", {}, h("tbody", {}, ...game.entries.map(row))),
  ];
}

/** The panel *SQL*. */
export function sql(base, say, pin) {
  const result = h("div", { id: "rows" });
  const text = h("textarea", { id: "query", rows: 5, spellcheck: "false", "aria-label": "Query" }, "select state, count(*) from trips group by state order by 2 desc");
  const run = () => {
    result.replaceChildren(h("p.muted", {}, "Running."));
    send(`${base}/sql`, { by: name.get() || "responder", query: text.value })
      .then((answer) => result.replaceChildren(...rows(answer, text.value, pin)))
      .catch((error) => { result.replaceChildren(h("p", {}, error.message)); say(""); });
  };
  return [h("p.small.muted", {}, "One query or EXPLAIN, read-only, at most 5 s and 200 rows."), nameField(), text, h("div.actions", {}, h("button", { type: "button", onclick: run }, "Run")), result];
}

function rows(answer, query, pin) {
  if (answer.rows.length === 0) return [h("p.muted", {}, "No rows.")];
  if (typeof answer.rows[0] === "string") return [h("pre", {}, answer.rows.join("\n")), pin("database", `${query}\n${answer.rows.join("\n")}`)];
  const columns = Object.keys(answer.rows[0]);
  const show = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return [
    h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, column)))), h("tbody", {}, ...answer.rows.map((row) => h("tr", {}, ...columns.map((column) => h("td", {}, show(row[column]))))))),
    answer.is_cut ? h("p.small.muted", {}, "The first 200 rows.") : "",
    pin("database", `${query}\n${JSON.stringify(answer.rows.slice(0, 3))}`),
  ];
}
