// The proof: whether the invariants hold and our captured money equals the provider's, from the latest audit. The header of every page
// shows it; the front page in words as well.

import { call } from "./api.js";
import { emit, on } from "./bus.js";
import { h, money, time, update } from "./dom.js";

const EVERY_MS = 2_000;
/** While something is not settled, or the service does not respond. */
const SOON_MS = 1_000;

let latest = null;

/** Returns the latest proof, or null before the first: for a module that was loaded after it was emitted. */
export const latestProof = () => latest;

/** Reads the proof until the page is left: emits it as `proof`, and shows it in the header. */
export function startProof() {
  const place = document.getElementById("proof");
  let last = null;
  const show = (proof) => {
    latest = proof;
    emit("proof", proof);
    if (place) update(place, [proof.state, proof.text, proof.more], () => pill(proof));
  };
  const read = async () => {
    const answer = await call({ as: null, path: "/v1/sandbox/audit", quiet: true });
    last = answer.ok ? answer.body : last;
    const proof = proofOf(answer.ok ? answer.body : null, last);
    show(proof);
    setTimeout(read, proof.state === "holds" ? EVERY_MS : SOON_MS);
  };
  // A restart can be faster than the next audit is read.
  on("connection", (state) => state === "down" && show(proofOf(null, last)));
  read();
}

const pill = ({ state, text, more, report }) =>
  h("a", { href: "/city/audit", "data-state": state, title: `Open the audit${report ? `, of ${time(report.checked_at)} UTC` : ""}` }, h("span", {}, text), more && h("span.more", {}, more));

/**
 * Judges an audit: `{state, text, more, report}`. The state is `holds`; `waits` while the service does not respond or something is not
 * settled yet; or `broken`.
 */
export function proofOf(report, last) {
  if (!report) return { state: "waits", text: last ? "The service does not respond" : "Auditing …", more: "", report: last };
  const counts = Object.values(report.violations);
  const broken = counts.filter((count) => count > 0).length;
  const { ours, theirs } = captured(report);
  const isChecked = report.provider === "checked";
  const isEqual = isChecked && ours === theirs;
  const text = broken === 0 ? `${counts.length} invariants hold` : `${broken} of ${counts.length} invariants are violated`;
  const sums = isChecked ? `ledger ${ours} ${isEqual ? "=" : "≠"} provider ${theirs}` : "the provider does not respond";
  const more = ` · ${sums} · ${report.unsettled} unsettled`;
  const state = broken > 0 ? "broken" : isEqual && report.unsettled === 0 ? "holds" : "waits";
  return { state, text, more, report };
}

/** Returns the captured amounts of an audit as text: ours, and the provider's. */
export function captured({ captured: { service, provider } }) {
  const text = (totals) => {
    const amounts = Object.entries(totals).map(([currency, amount]) => money({ amount, currency }));
    return amounts.length > 0 ? amounts.join(" + ") : money({ amount: 0, currency: "USD" });
  };
  return { ours: text(service), theirs: text(provider) };
}
