// A journey through a rehearsal, alone and on fast-forward: node rehearsal.mjs BINARY [FOLDER FOR SCREENSHOTS]
//
// Starts a demo of its own. The service is killed in the middle of the session, which goes on after the restart.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { PATIENCE, openPage, until } from "./page.mjs";

// 45 minutes in a minute and a half, so that a journey on a busy machine ends before its clock.
const SPEED = 30;

const stage = (page) => page.locator("#rehearsal").getAttribute("data-stage");
const phase = (page) => page.locator(".phases [aria-current] span").first().textContent();

/** Writes and locks the open cards of the phase. */
async function writeCards(page, text) {
  const kinds = await page.locator("form.open:not(:has(h2:text('Another')))").evaluateAll((forms) => forms.map((form) => form.dataset.kind));
  for (const kind of kinds) {
    const form = page.locator(`form.open[data-kind="${kind}"]`).first();
    const fields = form.locator("textarea, input");
    for (let index = 0; index < (await fields.count()); index++) await fields.nth(index).fill(kind === "numbers" ? "12,500" : text);
    const locked = await page.locator("article.locked").count();
    await form.getByRole("button", { name: "Lock" }).click();
    await until(`the locked card ${kind}`, () => page.locator("article.locked").count(), locked + 1);
  }
}

async function oneFollowUp(page) {
  const asked = page.locator(".follow-ups li");
  const before = await asked.count();
  await page.locator("#ask").click();
  await until("the follow-up", () => asked.count(), before + 1);
  await page.locator("#answered").click();
  await until("the answer", () => page.locator("#answered").count(), 0);
}

/** From the start page to the first phase. */
async function begin(page) {
  await page.getByText("Senior").click();
  await page.locator("#begin").click();
  await until("the session", () => stage(page), "ready");
  await page.locator("#start").click();
  await until("the interview", () => stage(page), "interview");
  assert.equal(await phase(page), "Requirements");
  assert.equal(await page.locator("#ask").count(), 0, "no follow-up before the card is locked");
}

/** The process is killed, and what was typed is there afterwards. */
async function acrossAKill(page, url) {
  await page.locator("form.open textarea").first().fill("POST /v1/trips Idempotency-Key");
  await page.waitForTimeout(1500); // the draft is kept
  await fetch(`${url}/v1/sandbox/kill`, { method: "POST" });
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
export async function rehearse(page, { url, shots, axe }) {
  const found = [];
  const accessible = async (name) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    found.push(...violations.map((one) => `${one.impact} ${one.id} in ${name}: ${one.nodes.map((node) => node.target).slice(0, 3).join("; ")}`));
  };
  await accessible("the start page");
  await begin(page);
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
  for (const answer of ["Answer A", "Answer B"]) {
    await page.getByRole("heading", { name: answer, exact: true }).waitFor();
    await page.getByText("It does not pass").click();
    await page.locator("#canned button").click();
  }
  await until("the marking", () => stage(page), "marking");
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
  const text = await (await fetch(url + (await page.locator("#markdown").getAttribute("href")))).text();
  assert.match(text, /^# Rehearsal: All of it, 45 minutes, Senior\n/);
  assert.match(text, /Interrupted|On fast-forward/);
  const width = await page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
  assert.ok(width[0] <= width[1], `${width[0]} px wide on ${width[1]}`);
  await page.goto(`${url}/rehearse`);
  await page.locator(".sessions li").first().waitFor();
  assert.deepEqual(found, [], "axe");
  return `${phases} phases, a kill, marks, a report of ${text.split(/\s+/).length} words`;
}

/** Alone: without the other journeys. */
async function main() {
  const [{ chromium }, { startDemo }] = await Promise.all([import("playwright-core"), import("./demo.mjs")]);
  const [binary, shots = "."] = process.argv.slice(2);
  mkdirSync(shots, { recursive: true });
  const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
  const demo = await startDemo(binary, 0).catch(async (error) => {
    await browser.close();
    throw error;
  });
  try {
    const opened = await openPage(browser, demo.url, { path: `/rehearse?speed=${SPEED}&seed=7` });
    console.log(`a rehearsal: ${await rehearse(opened.page, { url: demo.url, shots, axe })}`);
    assert.deepEqual([...opened.complaints, ...(await opened.page.evaluate(() => window.violations))], [], "the browser complains");
  } finally {
    await browser.close();
    await demo.stop();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  await main().catch((error) => {
    console.error(`rehearsal: ${error.stack}`);
    process.exit(1);
  });
}
