// Parses and runs the part of the shell's language that the examples use: words, variables, functions, pipes, `if` and `for`.

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const ASSIGNMENT = /([A-Za-z_][A-Za-z0-9_]*)=/y;
const FUNCTION = /([A-Za-z_][A-Za-z0-9_]*)\(\)[ \t]*\{/y;
const DELIMITERS = " \t\n;|&()<>";

class Parser {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  #match(pattern) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match) this.at += match[0].length;
    return match;
  }

  #take(text) {
    const isHere = this.text.startsWith(text, this.at);
    if (isHere) this.at += text.length;
    return isHere;
  }

  #expect(text) {
    if (!this.#take(text)) throw new Error(`expected ${text} at: ${this.text.slice(this.at, this.at + 30)}`);
  }

  /** Skips blanks, continued lines and, with `lines`, comments and ends of lines. */
  #skip(lines) {
    while (this.#match(lines ? /[ \t\n;]+|\\\n|#[^\n]*/y : /[ \t]+|\\\n/y));
  }

  #word(name) {
    this.#skip(true);
    const isHere = this.text.startsWith(name, this.at) && !/\w/.test(this.text[this.at + name.length] ?? " ");
    if (isHere) this.at += name.length;
    return isHere;
  }

  /** Parses statements until one of the closing words, or the end. Each has its source. */
  list(...ends) {
    const statements = [];
    for (;;) {
      this.#skip(true);
      if (ends.some((end) => this.#word(end))) return statements;
      if (this.at >= this.text.length) {
        if (ends.length > 0) throw new Error(`expected ${ends.join(" or ")}`);
        return statements;
      }
      const from = this.at;
      const statement = this.#choices();
      statements.push({ ...statement, source: this.text.slice(from, this.at).trim() });
    }
  }

  #choices() {
    const choices = [{ operator: ";", pipeline: this.#pipeline() }];
    for (;;) {
      this.#skip(false);
      const operator = ["&&", "||"].find((one) => this.#take(one));
      if (!operator) return { choices };
      this.#skip(true);
      choices.push({ operator, pipeline: this.#pipeline() });
    }
  }

  #pipeline() {
    const commands = [this.#command()];
    for (;;) {
      this.#skip(false);
      if (this.text.startsWith("||", this.at) || !this.#take("|")) return commands;
      this.#skip(true);
      commands.push(this.#command());
    }
  }

  #command() {
    if (this.#word("for")) {
      this.#skip(false);
      const [name] = this.#match(NAME);
      this.#word("in");
      const words = this.#words().words;
      this.#word("do");
      return { kind: "for", name, words, body: this.list("done") };
    }
    if (this.#word("if")) return { kind: "if", condition: this.list("then"), body: this.list("fi") };
    const declared = this.#match(FUNCTION);
    if (declared) return { kind: "function", name: declared[1], body: this.list("}") };
    return { kind: "simple", ...this.#words() };
  }

  #words() {
    const command = { assignments: [], words: [], output: "stdout" };
    for (;;) {
      this.#skip(false);
      const assigned = command.words.length === 0 && this.#match(ASSIGNMENT);
      if (assigned) command.assignments.push({ name: assigned[1], word: this.#parts() });
      else if (this.#take(">/dev/null")) command.output = "none";
      else if (this.#take(">&2")) command.output = "stderr";
      else if (this.at >= this.text.length || DELIMITERS.includes(this.text[this.at])) return command;
      else command.words.push(this.#parts());
    }
  }

  /** Parses a word: literal texts and expansions, each quoted or not. */
  #parts(isEnd = () => DELIMITERS.includes(this.text[this.at]), isQuoted = false) {
    const parts = [];
    const literal = (text) => parts.push({ text, isQuoted });
    while (this.at < this.text.length && !isEnd()) {
      if (this.#take("\\\n")) continue;
      if (this.text[this.at] === "$") parts.push({ ...this.#expansion(), isQuoted });
      else if (!isQuoted && this.#take("'")) parts.push({ text: this.#match(/[^']*/y)[0], isQuoted: true }, ...this.#close("'"));
      else if (this.#take('"'))
        parts.push({ text: "", isQuoted: true }, ...this.#parts(() => this.text[this.at] === '"', true), ...this.#close('"'));
      else if (this.#take("\\")) literal(this.text[this.at++]);
      else literal(this.text[this.at++]);
    }
    return parts;
  }

  #close(text) {
    this.#expect(text);
    return [];
  }

  #expansion() {
    this.#expect("$");
    if (this.#take("((")) {
      const parts = this.#parts(() => this.text.startsWith("))", this.at), true);
      this.#expect("))");
      return { arithmetic: parts };
    }
    if (this.#take("(")) return { command: this.list(")") };
    if (!this.#take("{")) return { name: this.#match(/\d|[A-Za-z_]\w*/y)[0] };
    const name = this.#match(/\w+/y)[0];
    const fallback = this.#take(":-") ? this.#parts(() => this.text[this.at] === "}", true) : null;
    this.#expect("}");
    return { name, fallback };
  }
}

/** Returns the statements of a script. */
export function parse(text) {
  return new Parser(text).list();
}

class Break extends Error {}
class Return extends Error {
  constructor(status) {
    super("return");
    this.status = status;
  }
}

/** Runs statements. `tools` are the commands: functions of `(words, input, write)` that return a status. */
export class Shell {
  #variables = new Map();
  #functions = new Map();
  #positional = [];
  #substitutionStatus = 0;

  constructor(tools, report) {
    this.tools = tools;
    this.report = report;
  }

  async run(statements, input, write) {
    let status = 0;
    for (const { choices } of statements) {
      for (const { operator, pipeline } of choices) {
        if ((operator === "&&" && status !== 0) || (operator === "||" && status === 0)) continue;
        status = await this.#pipeline(pipeline, input, write);
      }
    }
    return status;
  }

  async #pipeline(commands, input, write) {
    let status = 0;
    let passed = input;
    for (const [index, command] of commands.entries()) {
      let printed = "";
      const isLast = index === commands.length - 1;
      status = await this.#command(command, passed, isLast ? write : (text) => (printed += text));
      passed = printed;
    }
    return status;
  }

  async #command(command, input, write) {
    if (command.kind === "function") return this.#functions.set(command.name, command.body) && 0;
    if (command.kind === "if") return (await this.run(command.condition, input, write)) === 0 ? this.run(command.body, input, write) : 0;
    if (command.kind === "for") return this.#loop(command, input, write);
    const output = { stdout: write, stderr: this.report, none: () => {} }[command.output];
    this.#substitutionStatus = 0;
    for (const { name, word } of command.assignments) this.#variables.set(name, await this.#text(word));
    const words = await this.#expand(command.words);
    if (words.length === 0) return this.#substitutionStatus;
    return this.#call(words, input, output);
  }

  async #loop({ name, words, body }, input, write) {
    try {
      for (const value of await this.#expand(words)) {
        this.#variables.set(name, value);
        await this.run(body, input, write);
      }
    } catch (error) {
      if (!(error instanceof Break)) throw error;
    }
    return 0;
  }

  async #call([name, ...words], input, write) {
    if (name === "break") throw new Break();
    if (name === "return") throw new Return(Number(words[0] ?? 0));
    if (name === "eval") return this.run(parse(words.join(" ")), input, write);
    if (!this.#functions.has(name)) {
      if (!this.tools[name]) throw new Error(`${name}: no such command on this page`);
      return this.tools[name](words, input, write);
    }
    const outer = this.#positional;
    this.#positional = words;
    try {
      return await this.run(this.#functions.get(name), input, write);
    } catch (error) {
      if (!(error instanceof Return)) throw error;
      return error.status;
    } finally {
      this.#positional = outer;
    }
  }

  /** Expands words. An unquoted expansion is split at blanks. */
  async #expand(words) {
    const all = [];
    for (const parts of words) {
      let current = null;
      for (const part of parts) {
        const text = await this.#part(part);
        const pieces = part.isQuoted || part.text !== undefined ? [text] : text.trim().split(/\s+/).filter(Boolean);
        for (const [index, piece] of pieces.entries()) {
          if (index > 0) {
            all.push(current);
            current = null;
          }
          current = (current ?? "") + piece;
        }
      }
      if (current !== null) all.push(current);
    }
    return all;
  }

  async #text(parts) {
    let text = "";
    for (const part of parts) text += await this.#part(part);
    return text;
  }

  async #part({ text, name, fallback, command, arithmetic }) {
    if (text !== undefined) return text;
    if (command) {
      let printed = "";
      this.#substitutionStatus = await this.run(command, "", (more) => (printed += more));
      return printed.replace(/\n+$/, "");
    }
    if (arithmetic) return String(this.#calculate(await this.#text(arithmetic)));
    const value = /^\d$/.test(name) ? this.#positional[Number(name) - 1] : this.#variables.get(name);
    if (!value && fallback) return this.#text(fallback);
    if (value === undefined) throw new Error(`${name} has no value yet: run the commands above first`);
    return value;
  }

  /** Calculates sums and remainders from left to right. */
  #calculate(text) {
    const [first, ...rest] = text.trim().split(/\s+/);
    const number = (word) => Number(this.#variables.get(word) ?? word);
    let value = number(first);
    for (let at = 0; at < rest.length; at += 2) {
      const right = number(rest[at + 1]);
      value = { "+": value + right, "-": value - right, "%": value % right }[rest[at]];
    }
    return value;
  }
}
