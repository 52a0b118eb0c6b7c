// Starts and stops a demo for the journeys, on a free port with temporary data.

import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { PATIENCE } from "./page.mjs";

const READY_MS_MAX = 60_000 * PATIENCE;
const STOP_MS_MAX = 20_000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Starts the binary's demo and returns when it is ready: `{url, startedAt, readyMs, stop}`. */
export async function startDemo(binary, drivers) {
  const folder = mkdtempSync(join(tmpdir(), "ridematch-browser-"));
  chmodSync(folder, 0o755); // the private server may run as another user
  const log = join(folder, "demo.log");
  const url = `http://127.0.0.1:${await freePort()}`;
  const options = [
    "demo",
    "--listen",
    url.slice("http://".length),
    "--data-dir",
    join(folder, "data"),
    "--drivers",
    String(drivers),
  ];
  const output = openSync(log, "w");
  const startedAt = performance.now();
  const child = spawn(binary, options, { stdio: ["ignore", output, output] });
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  let isRunning = true;
  ended.then(() => (isRunning = false));

  async function stop() {
    child.kill("SIGTERM");
    await Promise.race([ended, pause(STOP_MS_MAX).then(() => child.kill("SIGKILL"))]);
    rmSync(folder, { recursive: true, force: true });
  }

  while (isRunning && performance.now() - startedAt < READY_MS_MAX) {
    const answer = await fetch(`${url}/readyz`).catch(() => null);
    if (answer?.ok) return { url, startedAt, readyMs: performance.now() - startedAt, stop };
    await pause(50);
  }
  const said = readFileSync(log, "utf8").split("\n").slice(-20).join("\n");
  await stop();
  throw new Error(`the demo did not become ready:\n${said}`);
}
