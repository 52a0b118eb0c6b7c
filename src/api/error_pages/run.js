// Makes the commands of an error page runnable: a *Run* button for each. Without a script, the page shows them as text.

import { Shell, parse } from "./shell_language.js";
import { shellTools } from "./shell_tools.js";

const SHOWN_REQUESTS_MAX = 12;

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Indents what is JSON. */
function readable(text) {
  return text
    .split("\n")
    .map((line) => {
      try {
        return JSON.stringify(JSON.parse(line), null, 2);
      } catch {
        return line;
      }
    })
    .join("\n")
    .trim();
}

/** Replaces a block of commands by a list with a button for each command. */
function runnable(block) {
  const statements = parse(block.textContent);
  let requests = [];
  let messages = "";
  const shell = new Shell(
    shellTools((request) => requests.push(request)),
    (text) => (messages += text),
  );
  let done = 0;

  const rows = statements.map((statement, index) => {
    const button = element("button", { type: "button", "aria-label": `Run: ${statement.source}` }, "Run");
    const output = element("div", { class: "output", role: "status" });
    const code = element("code", {}, statement.source);
    const row = element(
      "li",
      {},
      element("pre", { tabindex: "0", role: "region", "aria-label": `Command ${index + 1}` }, code),
      button,
      output,
    );
    button.addEventListener("click", () => runTo(index));
    return { statement, button, output, row };
  });
  const all = element("button", { type: "button", class: "primary" }, "Run all");
  all.addEventListener("click", () => {
    done = 0;
    for (const { output } of rows) output.replaceChildren();
    runTo(rows.length - 1);
  });

  /** Runs a command, and before it the ones above that did not run. */
  async function runTo(last) {
    const buttons = [all, ...rows.map(({ button }) => button)];
    for (const button of buttons) button.disabled = true;
    for (let index = Math.min(done, last); index <= last; index++) {
      if (!(await runRow(rows[index]))) break;
      done = Math.max(done, index + 1);
    }
    for (const button of buttons) button.disabled = false;
    rows[last].button.focus();
  }

  async function runRow({ statement, output }) {
    requests = [];
    messages = "";
    let printed = "";
    output.replaceChildren("Running …");
    let status = 0;
    try {
      status = await shell.run([statement], "", (text) => (printed += text));
    } catch (error) {
      status = 1;
      messages += error.message;
    }
    output.replaceChildren(...result(requests, readable(printed), messages.trim(), status));
    return status === 0;
  }

  block.parentElement.replaceWith(all, element("ol", { class: "commands" }, ...rows.map(({ row }) => row)));
}

function result(requests, printed, messages, status) {
  const shown = requests.slice(-SHOWN_REQUESTS_MAX);
  const lines = shown.map(({ method, path, status: answer }) => element("li", {}, element("code", {}, `${method} ${path}`), ` ${answer}`));
  if (shown.length < requests.length) lines.unshift(element("li", {}, `${requests.length - shown.length} requests before`));
  const parts = lines.length > 0 ? [element("ul", { class: "requests", "aria-label": "Requests" }, ...lines)] : [];
  if (printed) parts.push(element("pre", { tabindex: "0", role: "region", "aria-label": "Output" }, element("code", {}, printed)));
  if (messages) parts.push(element("p", { class: "failed" }, messages));
  if (status !== 0 && !messages) parts.push(`Ended with status ${status}.`);
  if (parts.length === 0) parts.push("Done.");
  return parts;
}

for (const block of document.querySelectorAll("pre > code.language-sh")) runnable(block);
