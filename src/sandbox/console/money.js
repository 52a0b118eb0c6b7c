// The payment panel: state machine, ledger entries, the provider's view, the receipt.

import { call } from "./api.js";
import { h, money, short, time, words } from "./dom.js";
import { draw, machines } from "./state_machine.js";
import { absent, facts, head, section, table } from "./panel.js";
import { timelineSection } from "./timeline.js";
import { badge, link } from "./trips.js";

const EVERY_MS = 1500;

/** A payment as part of another panel. `which()` returns its id once known. */
export function paymentSection(which, options) {
  return section(
    "Payment",
    async () => {
      if (!which()) return null;
      const answer = await call({ as: "ops", path: `/v1/payments/${which()}`, quiet: true });
      if (!answer.ok) return absent(answer, "Payment not found.");
      const payment = answer.body;
      const history = await call({ as: "ops", path: `/v1/payments/${which()}/events`, quiet: true });
      const events = history.ok ? history.body.items : [];
      const { payment: machine } = await machines();
      return {
        data: [payment, events],
        note: words(payment.state),
        show: () => [
          machine && draw(machine, states(payment, events)),
          standing(payment),
          refunds(payment),
          events.length > 0 && paymentHistory(events),
        ],
      };
    },
    options,
  );
}

/** The states that the payment has been in, oldest first. */
function states(payment, events) {
  const path = events.filter((event) => event.from !== event.state).map((event) => event.state);
  if (path.at(-1) !== payment.state) path.push(payment.state);
  return path;
}

function paymentHistory(events) {
  const row = ({ seq, at, kind, state, amount, attempt_id }, index) => ({
    cells: [seq, time(at), words(kind), badge(state, { isPast: index < events.length - 1 }), amount ? money(amount) : "", attempt_id ? "a provider call" : ""],
  });
  return table("History of the payment", ["#", "Time", "Step", "State", "Amount", "By"], events.map(row), ["Amount"]);
}

function standing(payment) {
  return facts([
    ["Payment", link("payment", payment.id)],
    ["For", words(payment.purpose)],
    ["Replaces", payment.replaces && link("payment", payment.replaces)],
    [
      "Goal",
      { hold: "hold", capture: "capture", release: "release" }[payment.goal] ?? payment.goal,
    ],
    ["Requested", money(payment.amount)],
    ["Authorized", money(payment.authorized)],
    ["Captured", money(payment.captured)],
    ["Refunded", payment.refunded.amount > 0 && money(payment.refunded)],
    ["Decline code", payment.decline_code && words(payment.decline_code)],
  ]);
}

function refunds(payment) {
  if (payment.refunds.length === 0) return null;
  const rows = payment.refunds.map((refund) => ({
    cells: [h("span.mono", {}, short(refund.id)), badge(refund.state), money(refund.amount)],
  }));
  return table("Refunds", ["Refund", "State", "Amount"], rows, ["Amount"]);
}

/** Shows the ledger entries of a trip. */
export function ledgerSection(trip) {
  return section("Ledger", async () => {
    const answer = await call({ as: "ops", path: `/v1/ops/ledger?trip_id=${trip}`, quiet: true });
    if (!answer.ok) return absent(answer, "Trip not found.");
    const postings = answer.body.postings ?? [];
    const note = postings.length === 1 ? "1 posting" : `${postings.length} postings`;
    const nothing = () => h("p.muted", {}, "The ledger has no entry before money is owed, at the end of the trip.");
    return { data: postings, note, show: () => (postings.length === 0 ? nothing() : postings.flatMap(entries)) };
  });
}

function entries(posting) {
  return [
    h("p.small.muted", {}, `${words(posting.kind)}, ${time(posting.posted_at)} domain time`),
    table(`Posting: ${words(posting.kind)}`, ["Account", "Debit", "Credit"], posting.entries.map(entry), [
      "Debit",
      "Credit",
    ]),
  ];
}

function entry({ account, amount, currency }) {
  const value = money({ amount: Math.abs(amount), currency });
  return { cells: [words(account), amount > 0 ? value : "", amount < 0 ? value : ""] };
}

/** Shows the provider's records of a payment. */
export function providerSection(which) {
  return section("The provider's view", async () => {
    if (!which()) return null;
    const answer = await call({ as: null, path: `/v1/sandbox/provider/payment_intents/${which()}`, quiet: true });
    if (!answer.ok) return absent(answer, "The provider has no record of it, or is not responding.");
    const text = JSON.stringify(answer.body, null, 2);
    return {
      data: text,
      note: words(answer.body.status ?? ""),
      show: () => h("pre.json", { tabindex: "0", role: "region", "aria-label": "The provider's answer" }, text),
    };
  });
}

/** Shows the receipt. */
export function receiptSection(trip) {
  return section("Receipt", async () => {
    const answer = await call({ as: "ops", path: `/v1/trips/${trip}/receipt`, quiet: true });
    if (!answer.ok) return absent(answer, "No receipt yet.");
    const receipt = answer.body;
    const lines = receipt.lines.map(({ label, amount }) => ({ cells: [label, money(amount)] }));
    const sums = [
      ["Total", receipt.total],
      ["Captured", receipt.captured],
      ["Still due", receipt.due],
    ];
    const rest = sums.map(([label, amount], index) => ({
      mark: index === 0 ? "total" : null,
      cells: [label, money(amount)],
    }));
    return {
      data: receipt,
      note: money(receipt.total),
      show: () => [table("Receipt", ["Line", "Amount"], [...lines, ...rest], ["Amount"]), payments(receipt.payments)],
    };
  });
}

function payments(all) {
  const row = ({ id, purpose, state, captured }) => ({
    cells: [link("payment", id), words(purpose), badge(state), money(captured)],
  });
  return table("Payments of the trip", ["Payment", "For", "State", "Captured"], all.map(row), ["Captured"]);
}

/** Shows a payment by itself; returns a function that stops it. */
export function inspectPayment(element, id) {
  const part = paymentSection(() => id, { open: true });
  const others = [timelineSection(() => id, { open: true }), providerSection(() => id)];
  const about = h("div");
  element.append(head("payment", id, null), about, part.details, ...others.map((one) => one.details));
  const refresh = () => [part, ...others].forEach((one) => one.refresh());
  const timer = setInterval(refresh, EVERY_MS);
  refresh();
  call({ as: "ops", path: `/v1/payments/${id}`, quiet: true }).then((answer) => {
    if (answer.ok) about.append(facts([["Trip", link("trip", answer.body.trip_id)]]));
  });
  return () => clearInterval(timer);
}
