// A journey through a rehearsal for two, on fast-forward: node pair.mjs BINARY [FOLDER FOR SCREENSHOTS]
//
// Two browsers: the candidate's, and the partner's on a phone. The service is killed while the partner ticks, the partner leaves and
// comes back, and in the end the roles are swapped.

import assert from "node:assert/strict";
import { join } from "node:path";

import { PATIENCE, openPage, until } from "./page.mjs";
import { alone, axeInto, begin, checkComplaints, checkWidth, kill, markCanned, phase, readReport, stage, startClock, writeCards } from "./rehearsal_steps.mjs";

// 45 minutes in three: the partner is away for a quarter of a minute.
const SPEED = 15;
const RESTART_MS = 30_000 * PATIENCE;

const presence = (page) => page.locator("#rehearsal-pair").getAttribute("data-present");
const tickOf = (page, observable) => page.locator(`[data-focus="key-${observable}"]`);
const isTicked = (page, observable) => tickOf(page, observable).getAttribute("aria-pressed");

/** Presses the key of a button. */
async function press(page, button) {
  await page.keyboard.press(await button.getAttribute("data-key"));
}

/** The partner opens the link; each page says that the other is there. */
async function meet(browser, url, candidate) {
  const link = await candidate.locator("#link").inputValue();
  assert.ok(link.startsWith(`${url}/rehearse/partner/`), link);
  assert.equal(await presence(candidate), "false");
  const opened = await openPage(browser, url, { path: link.slice(url.length), size: "phone" });
  await until("the briefing", () => stage(opened.page), "ready");
  await until("the partner is here", () => presence(candidate), "true");
  await until("the candidate is here", () => presence(opened.page), "true");
  return { opened, link };
}

/** A second page on the link is refused while the first is open. */
async function secondPage(browser, url, link) {
  const second = await openPage(browser, url, { path: link.slice(url.length) });
  await until("the second page", () => stage(second.page), "stopped");
  await second.page.getByRole("heading", { name: "Another page has this link" }).waitFor();
  await second.close();
}

/** The partner asks and ticks, by key and by touch; the candidate sees the follow-up and the curveball, and no tick. */
async function interview(candidate, partner) {
  await until("the interview of the partner", () => stage(partner), "interview");
  await writeCards(candidate, "Rides for riders and drivers. No ratings, no chat.");
  await partner.getByText("No ratings, no chat").first().waitFor();
  assert.equal(await candidate.locator("#ask").count(), 0, "the partner asks");
  const followUps = candidate.locator(".follow-ups li");
  const asked = await partner.locator("#partner-prompt .said").first().textContent();
  await partner.keyboard.press("z");
  await until("the follow-up", () => followUps.count(), 1);
  assert.equal(await followUps.locator(".said").textContent(), asked, "word by word");
  await until("the button", () => partner.locator('[data-key="z"]').textContent(), "zThey have answered");
  await partner.keyboard.press("z");
  await until("the answer", () => followUps.getAttribute("data-open"), "false");

  await press(partner, tickOf(partner, "scope-cut"));
  await until("the tick by key", () => isTicked(partner, "scope-cut"), "true");
  await tickOf(partner, "minor-units").tap();
  await until("the tick by touch", () => isTicked(partner, "minor-units"), "true");
  await press(partner, tickOf(partner, "minor-units"));
  await until("no tick", () => isTicked(partner, "minor-units"), "false");
  await partner.locator("#keys").uncheck();
  await press(partner, tickOf(partner, "minor-units"));
  await partner.waitForTimeout(500);
  assert.equal(await isTicked(partner, "minor-units"), "false", "keys can be switched off");
  await partner.locator("#keys").check();
  await partner.keyboard.press("1");
  await candidate.getByRole("heading", { name: /^Curveball of your partner/ }).waitFor();
}

/** What is ticked while the service is dead arrives after its restart. */
async function acrossAKill(url, candidate, partner) {
  await kill(url);
  await press(partner, tickOf(partner, "keyed-posts"));
  await until("the tick after the restart", () => isTicked(partner, "keyed-posts"), "true", { ms: RESTART_MS });
  assert.equal(await isTicked(partner, "scope-cut"), "true", "what was there before");
  await until("the candidate's page", () => candidate.locator("#rehearsal").getAttribute("data-connection"), "ok", { ms: RESTART_MS });
  await until("the partner is here again", () => presence(candidate), "true");
}

/** The candidate goes on alone while the partner is away, and nothing is lost. */
async function leaveAndReturn(candidate, partner, link) {
  await partner.goto("about:blank");
  await until("the partner is away", () => presence(candidate), "false", { ms: RESTART_MS });
  assert.match(await candidate.locator("#rehearsal-pair").textContent(), /away/);
  await candidate.locator("#ask").waitFor();
  await partner.goto(link);
  await until("the partner is back", () => presence(candidate), "true");
  assert.equal(await isTicked(partner, "scope-cut"), "true");
}

/** Both mark; neither sees the other's marks before both are handed in. */
async function markBoth(candidate, partner, look) {
  while ((await stage(candidate)) === "interview") {
    const now = await phase(candidate);
    await candidate.locator("#next").click();
    await until("the next phase", async () => (await stage(candidate)) !== "interview" || (await phase(candidate)) !== now, true);
  }
  await until("the marking of the partner", () => stage(partner), "marking");
  const scope = partner.locator('.observable[data-id="scope-cut"]');
  assert.notEqual(await scope.locator("input[type=radio]:checked").getAttribute("value"), "missed");
  assert.match(await scope.locator('input[name="at-scope-cut"]').inputValue(), /^\d+:\d\d$/);
  await partner.locator('input[name="communication"][value="3"]').check();
  await partner.locator("#note").fill("Sum up after each part.");
  await look(partner, "the partner's marking");
  await checkWidth(partner);
  await partner.locator("#finish").click();
  await until("the partner waits", () => stage(partner), "waiting");
  await markCanned(candidate);
  assert.equal(await candidate.getByText("Sum up after each part").count(), 0);
  await candidate.locator("#finish").click();
  await until("the report", () => stage(candidate), "done");
  await until("the gap", () => stage(partner), "done");
  for (const page of [candidate, partner]) assert.match(await page.locator(".gap").textContent(), /Sum up after each part\./);
}

/** One button: the partner is the candidate of another cut, and the candidate its partner. */
async function swap(candidate, partner) {
  await partner.locator("#swap").click();
  await partner.waitForURL(/\/rehearse\/candidate\//);
  await until("the new session", () => stage(partner), "ready");
  await candidate.locator("#swapped").click();
  await candidate.waitForURL(/\/rehearse\/partner\//);
  await candidate.getByText("Payments of rides").first().waitFor();
  await startClock(partner);
  await until("the roles are swapped", () => stage(candidate), "interview");
}

await alone("a rehearsal for two", async ({ browser, demo: { url }, axe, shots }) => {
  const found = [];
  const look = axeInto(found, axe);
  const first = await openPage(browser, url, { path: `/rehearse?speed=${SPEED}&seed=7` });
  const candidate = first.page;
  await candidate.locator('input[name="partner"][value="yes"]').check();
  await begin(candidate);
  await look(candidate, "the invitation");
  const { opened, link } = await meet(browser, url, candidate);
  const partner = opened.page;
  await look(partner, "the briefing");
  await checkWidth(partner);
  await startClock(candidate);
  await interview(candidate, partner);
  await secondPage(browser, url, link);
  await look(partner, "the partner's interview");
  await checkWidth(partner);
  await partner.screenshot({ path: join(shots, "pair-partner.png"), fullPage: true });
  await candidate.screenshot({ path: join(shots, "pair-candidate.png"), fullPage: true });
  await acrossAKill(url, candidate, partner);
  await leaveAndReturn(candidate, partner, link);
  await markBoth(candidate, partner, look);
  await look(candidate, "the report for two");
  await look(partner, "the gap");
  await partner.screenshot({ path: join(shots, "pair-gap.png"), fullPage: true });
  const { text, words } = await readReport(candidate, url);
  assert.match(text, /## With your partner\n/);
  await swap(candidate, partner);
  assert.deepEqual(found, [], "axe");
  await checkComplaints(first);
  await checkComplaints(opened);
  return `two pages, a kill, a partner who left, a gap, a report of ${words} words, and a swap`;
});
