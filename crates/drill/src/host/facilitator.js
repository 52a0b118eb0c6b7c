// The facilitator's page of a game day.

import { h } from "/console/dom.js";

const base = location.pathname.replace(/\/facilitate\/?$/, "");
const key = new URLSearchParams(location.search).get("key") ?? "";
const byId = (id) => document.getElementById(id);
const clock = (s) => `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
const POLL_MS = 2000;
let shownKey = "";

const say = (text) => (byId("status").textContent = text);

async function ask(path, act) {
  const options = act ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(act) } : {};
  const response = await fetch(`${base}/game/${path}?key=${encodeURIComponent(key)}`, options);
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail ?? body.title);
  return body;
}

const act = (what) => ask("all", what).then(show).then(() => say("")).catch((error) => say(error.message));

function show(game) {
  const { script, entries } = game;
  byId("hint").disabled = game.hints_left === 0 || game.has_ended;
  byId("ticket").disabled = game.has_second_ticket || game.has_ended || !script.second_ticket;
  byId("end").disabled = game.has_ended;
  const now = JSON.stringify(game);
  if (now === shownKey) return;
  shownKey = now;
  document.title = `Facilitator: ${script.title}`;
  byId("title").textContent = script.title;
  byId("cause").textContent = script.cause;
  byId("second").textContent = script.second_ticket ? `Second ticket: ${script.second_ticket}` : "This drill has no second ticket.";
  const next = script.hints[script.hints.length - game.hints_left];
  byId("next-hint").textContent = next ? `${game.hints_left} hints left. Next: ${next}` : "Every hint has been released.";
  byId("none").hidden = entries.length > 0;
  const rows = entries.filter((one) => one.kind !== "debrief").map((one) => h(`tr.${one.kind}`, {}, h("td.number", {}, clock(one.at_s)), h("td", {}, one.by), h("td", {}, one.kind.replaceAll("_", " ")), h("td", {}, one.text)));
  byId("timeline").tBodies[0].replaceChildren(...rows);
  if (!byId("roles").contains(document.activeElement)) showRoles(game);
  if (!byId("debrief").contains(document.activeElement)) showDebrief(game);
}

function showRoles(game) {
  const field = (role) => h("label", {}, h("span", {}, role), h("input", { maxlength: 60, value: game.roles[role] ?? "", placeholder: "Name", autocomplete: "off", onchange: (event) => act({ act: "assign_role", role, person: event.target.value }) }));
  byId("roles").replaceChildren(...game.all_roles.map(field));
}

function showDebrief(game) {
  const answered = (question) => game.entries.filter((one) => one.kind === "debrief" && one.text.startsWith(`${question}\n`)).map((one) => one.text.slice(question.length + 1));
  const item = (question, number) => {
    const answer = h("input", { maxlength: 2000, "aria-label": `Answer: ${question}`, autocomplete: "off", placeholder: "What the team says", onchange: (event) => act({ act: "answer", question: number, text: event.target.value }) });
    return h("li", {}, question, ...answered(question).map((text) => h("p.muted", {}, text)), answer);
  };
  byId("debrief").replaceChildren(...game.script.debrief.map(item));
}

byId("here").href = location.href;
byId("responders").href = base;
byId("responders").textContent = `${location.host}${base}`;
byId("report").href = `${base}/game/report?key=${encodeURIComponent(key)}`;
byId("hint").addEventListener("click", () => act({ act: "release_hint" }));
byId("ticket").addEventListener("click", () => act({ act: "inject_ticket" }));
byId("end").addEventListener("click", () => act({ act: "end" }));
byId("note").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = byId("words").value.trim();
  if (text) act({ act: "observe", text }).then(() => (byId("words").value = ""));
});

const poll = () => ask("all").then(show).catch((error) => say(error.message));
poll();
setInterval(poll, POLL_MS);
