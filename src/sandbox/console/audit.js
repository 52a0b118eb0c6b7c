// The audit panel: each invariant with its violations, and the money on both sides.

import { call } from "./api.js";
import { h, time, update, words } from "./dom.js";
import { facts, head, table } from "./panel.js";
import { captured } from "./proof.js";
import { objectOf, pathOf } from "./address.js";

const EVERY_MS = 3_000;

const MEANINGS = {
  engagements: "A driver and a rider have at most one active trip.",
  offers: "A trip has at most one accepted offer, a driver at most one pending.",
  receipts: "The payments of a trip sum to its receipt, or the debt is recorded.",
  ledger: "Every posting sums to zero; balances match the payments.",
  limits: "Refunds stay within captures, captures within authorizations.",
  keys: "An idempotency key has one effect.",
  events: "A trip's events have no gap and are legal transitions.",
  provider: "The provider's records match ours.",
  stale_work: "No work is older than its limit.",
};

/** Shows the latest audit; returns a function that stops it. */
export function inspectAudit(element) {
  const about = h("div");
  element.append(head("audit", "", null), about);
  const refresh = async () => {
    const answer = await call({ as: null, path: "/v1/sandbox/audit", quiet: true });
    const report = answer.ok ? answer.body : null;
    update(about, report ?? answer.status, () => (report ? shown(report) : h("p.muted", {}, "The service is not responding.")));
  };
  const timer = setInterval(refresh, EVERY_MS);
  refresh();
  return () => clearInterval(timer);
}

function shown(report) {
  const { ours, theirs } = captured(report);
  const rows = Object.entries(report.violations).map(([name, count]) => ({
    mark: count > 0 ? "chosen" : null,
    cells: [h("div", {}, h("strong", {}, words(name)), h("p.small.muted", {}, MEANINGS[name] ?? "")), verdict(name, count, report)],
  }));
  return [
    facts([
      ["Checked at", `${time(report.checked_at)} UTC`],
      ["Captured, our ledger", ours],
      ["Captured, provider", report.provider === "checked" ? theirs : "did not respond"],
      ["Unsettled trips", report.unsettled],
      ["Index differences", report.index_differences ?? "this process is not the matcher"],
    ]),
    table("Invariants", ["Invariant", "Result"], rows),
    ...report.examples.map(({ invariant, subject, detail }) => h("p.small", {}, `${words(invariant)}: `, linked(subject), ` ${detail}`)),
    h("p.small.muted", {}, "The same report: GET /v1/ops/audit, or ridematch audit in a terminal."),
  ];
}

function verdict(name, count, report) {
  if (name === "provider" && report.provider !== "checked") return h("span.state.warn", {}, "unchecked");
  return count === 0 ? h("span.state.good", {}, "holds") : h("span.state.bad", {}, `${count} violated`);
}

function linked(subject) {
  const found = objectOf(subject);
  return found ? h("a.mono", { href: pathOf(found) }, subject) : h("span.mono", {}, subject);
}
