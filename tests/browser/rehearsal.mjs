// A journey through a rehearsal, alone and on fast-forward: node rehearsal.mjs BINARY [FOLDER FOR SCREENSHOTS]
//
// Starts a demo of its own. The service is killed in the middle of the session, which goes on after the restart.

import assert from "node:assert/strict";
import { join } from "node:path";

import { PATIENCE, openPage, until } from "./page.mjs";
import { alone, axeInto, begin, checkComplaints, checkWidth, kill, markCanned, phase, readReport, stage, startClock, writeCards } from "./rehearsal_steps.mjs";

// 45 minutes in a minute and a half, so that a journey on a busy machine ends before its clock.
const SPEED = 30;

async function oneFollowUp(page) {
  const asked = page.locator(".follow-ups li");
  const before = await asked.count();
  await page.locator("#ask").click();
  await until("the follow-up", () => asked.count(), before + 1);
  await page.locator("#answered").click();
  await until("the answer", () => page.locator("#answered").count(), 0);
}

/** The process is killed, and what was typed is there afterwards. */
async function acrossAKill(page, url) {
  await page.locator("form.open textarea").first().fill("POST /v1/trips Idempotency-Key");
  await page.waitForTimeout(1500); // the draft is kept
  await kill(url);
  await page.reload({ waitUntil: "domcontentloaded", timeout: 30_000 * PATIENCE }).catch(() => {});
  await until("the page again", async () => {
    const isThere = (await stage(page).catch(() => null)) === "interview";
    if (!isThere) await page.reload().catch(() => {});
    return isThere;
  }, true, { ms: 30_000 * PATIENCE });
  const typed = await page.locator("form.open textarea").first().inputValue();
  assert.equal(typed, "POST /v1/trips Idempotency-Key");
}

/** A whole session: every phase, marking, report. */
async function rehearse(page, { url, shots, axe }) {
  const found = [];
  const look = axeInto(found, axe);
  const accessible = (name) => look(page, name);
  await accessible("the start page");
  await begin(page);
  await startClock(page);
  assert.equal(await page.locator("#ask").count(), 0, "no follow-up before the card is locked");
  let phases = 0;
  while ((await stage(page)) === "interview") {
    const now = await phase(page);
    phases += 1;
    if (now === "API and data model") await acrossAKill(page, url);
    await writeCards(page, "Redis GEO for positions, a lock on the driver with a TTL, Kafka between the services");
    await oneFollowUp(page);
    if ((await page.locator(".bet form").count()) > 0) {
      await page.locator(".bet input").fill("20");
      await page.locator(".bet button").click();
      await until("the bet", () => page.locator(".bet form").count(), 0);
    }
    if (now === "High-level design") {
      await accessible("the interview");
      await page.screenshot({ path: join(shots, "rehearsal-interview.png"), fullPage: true });
    }
    await page.locator("#next").click();
    await until("the next phase", async () => (await stage(page)) !== "interview" || (await phase(page)) !== now, true);
  }
  assert.equal(phases, 8, "seven kinds of phases, and two deep dives");
  await markCanned(page);
  const tick = page.locator('.observable[data-id="scope-cut"]');
  await tick.getByText("after a follow-up").click();
  assert.match(await tick.locator(".why").textContent(), /needs a card or a time/);
  await tick.locator("select").selectOption({ index: 1 });
  await until("the evidence", () => tick.locator(".why").textContent(), "");
  await page.locator('.observable[data-id="lock-ttl"]').getByText("after a follow-up").click();
  await page.locator('.observable[data-id="lock-ttl"] select').selectOption({ index: 4 });
  await accessible("the marking");
  await page.locator("#finish").click();
  await until("the report", () => stage(page), "done");
  assert.equal(await page.locator(".advice li").count(), 3);
  assert.match(await page.locator(".gates").textContent(), /No double assignment: failed/);
  await accessible("the report");
  await page.screenshot({ path: join(shots, "rehearsal-report.png"), fullPage: true });
  const { text, words } = await readReport(page, url);
  assert.match(text, /^# Rehearsal: All of it, 45 minutes, Senior\n/);
  assert.match(text, /Interrupted|On fast-forward/);
  await checkWidth(page);
  await page.goto(`${url}/rehearse`);
  await page.locator(".sessions li").first().waitFor();
  assert.deepEqual(found, [], "axe");
  return `${phases} phases, a kill, marks, a report of ${words} words`;
}

await alone("a rehearsal", async ({ browser, demo, axe, shots }) => {
  const opened = await openPage(browser, demo.url, { path: `/rehearse?speed=${SPEED}&seed=7` });
  const done = await rehearse(opened.page, { url: demo.url, shots, axe });
  await checkComplaints(opened);
  return done;
});
