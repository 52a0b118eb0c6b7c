// The commands that the examples use: curl as a request of this page, jq, and a few small ones.

const PARALLEL_MAX = 50;

/** Splits a text at a separator outside of quotes and parentheses. */
function split(text, separator) {
  const parts = [""];
  let depth = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') isQuoted = !isQuoted;
    if (!isQuoted) depth += { "(": 1, ")": -1 }[text[at]] ?? 0;
    if (!isQuoted && depth === 0 && text.startsWith(separator, at)) {
      parts.push("");
      at += separator.length - 1;
    } else parts[parts.length - 1] += text[at];
  }
  return parts.map((part) => part.trim());
}

function path(value, steps) {
  let values = [value];
  for (const [, name, all] of steps.matchAll(/\.(\w+)|(\[\])/g)) {
    values = all ? values.flatMap((one) => one ?? []) : values.map((one) => one?.[name] ?? null);
  }
  return values;
}

/** Applies one stage of a jq filter to a value; returns its results. */
function stage(filter, value) {
  const [main, other] = split(filter, "//");
  if (other !== undefined) {
    const found = stage(main, value).filter((one) => one !== null && one !== false);
    return found.length > 0 ? found : stage(other, value);
  }
  if (main === "empty") return [];
  if (main === "first") return value.slice(0, 1);
  if (main.startsWith("map(")) return [value.flatMap((one) => jqFilter(main.slice(4, -1), one))];
  const [, left, literal, rest] = /^select\((\S+) == (.+?)\)(.*)$/.exec(main) ?? [];
  if (left) return path(value, left)[0] === JSON.parse(literal) ? path(value, rest) : [];
  if (!main.startsWith(".")) throw new Error(`jq: this page does not know ${main}`);
  return path(value, main);
}

/** Applies a jq filter: paths, `select(… == …)`, `map`, `first`, `empty`, `//` and `|`. */
export function jqFilter(filter, value) {
  return split(filter, "|").reduce((values, one) => values.flatMap((part) => stage(one, part)), [value]);
}

function jq(words, input, write) {
  const options = words.filter((word) => word.startsWith("-"));
  const filter = words.find((word) => !word.startsWith("-"));
  const documents = input
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line));
  const inputs = options.includes("-s") ? [documents] : documents;
  for (const result of inputs.flatMap((one) => jqFilter(filter, one))) {
    const isRaw = options.includes("-r") && typeof result === "string";
    write(`${isRaw ? result : JSON.stringify(result)}\n`);
  }
  return 0;
}

/** Parses the options of curl. */
function parsed(words, input) {
  const request = { method: null, headers: new Headers(), body: null, url: "" };
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word === "-X") request.method = words[++at];
    else if (word === "-d" || word === "--data-binary") request.body = words[++at];
    else if (word === "--parallel-max") at++;
    else if (word === "-H") {
      const [, name, value] = /^([^:]+):\s*(.*)$/s.exec(words[++at]);
      request.headers.set(name, value);
    } else if (!word.startsWith("-")) request.url = word;
  }
  if (request.body === "@-") request.body = input;
  request.method ??= request.body === null ? "GET" : "POST";
  if (request.body !== null && !request.headers.has("Content-Type"))
    request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  return request;
}

/** Returns the addresses of a URL with a range: `[1-3]`. */
function addresses(url) {
  const range = /\[(\d+)-(\d+)\]/.exec(url);
  if (!range) return [url];
  const [from, to] = [Number(range[1]), Number(range[2])];
  return Array.from({ length: to - from + 1 }, (_, index) => url.replace(range[0], String(from + index)));
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

const hex = (byte) => byte.toString(16).padStart(2, "0");

/** A command that prints what a function of its words and its input returns. */
const printing = (print) => (words, input, write) => {
  write(print(words, input));
  return 0;
};

const SMALL_TOOLS = {
  echo: printing((words) => `${words.join(" ")}\n`),
  seq: printing(([last]) => Array.from({ length: Number(last) }, (_, index) => `${index + 1}\n`).join("")),
  date: printing(() => String(Math.floor(Date.now() / 1000))),
  head: printing(([, count]) => "\0".repeat(Number(count))),
  tr: printing((_, input) => input.replace(/\s/g, "")),
  od: printing((words) => {
    const bytes = crypto.getRandomValues(new Uint8Array(Number(words.find((word) => word.startsWith("-N")).slice(2))));
    return words.includes("-tu2") ? ` ${bytes[0] + 256 * bytes[1]}\n` : ` ${[...bytes].map(hex).join(" ")}\n`;
  }),
  sleep: async ([seconds]) => {
    await pause(Number(seconds));
    return 0;
  },
  grep: ([pattern], input, write) => {
    const lines = input.split("\n").filter((line) => line.includes(pattern));
    for (const line of lines) write(`${line}\n`);
    return lines.length > 0 ? 0 : 1;
  },
  "[": ([left, operator, right]) => {
    const holds = left === "-n" ? operator !== "" && operator !== "]" : operator === "=" && left === right;
    return holds ? 0 : 1;
  },
};

/** Returns the commands. `sent` is called with each request's method, path and status. */
export function shellTools(sent) {
  async function curl(words, input, write) {
    const { method, headers, body, url } = parsed(words, input);
    const waiting = addresses(url);
    const answers = [];
    const work = async () => {
      for (let address = waiting.shift(); address; address = waiting.shift()) {
        const target = new URL(address, location.href);
        if (target.origin !== location.origin) throw new Error(`curl: this page sends requests to ${location.origin} only`);
        const request = new Request(target, { method, headers, body, cache: "no-store" });
        const refused = [...headers.keys()].filter((name) => !request.headers.has(name));
        if (refused.length > 0) throw new Error(`A browser does not send ${refused.join(", ")}: run this command in a terminal.`);
        const response = await fetch(request);
        answers.push(await response.text());
        sent({ method, path: target.pathname + target.search, status: response.status });
      }
    };
    await Promise.all(Array.from({ length: Math.min(PARALLEL_MAX, waiting.length) }, work));
    write(answers.join("\n"));
    return 0;
  }

  return { curl, jq, ...SMALL_TOOLS };
}
