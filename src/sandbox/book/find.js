// The search in the book's text: pure functions over the sections of /book/index.json.

/** The characters around a match that are shown. */
const AROUND = 60;

/** Returns the words of a query in lower case. */
export const wordsOf = (query) => query.toLowerCase().split(/\s+/).filter(Boolean);

/** Returns the sections that contain every word, best first: a match in a title counts more than one in the text. */
export function find(sections, query, limit = 20) {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  const scored = sections.map((section, at) => ({ section, at, score: scoreOf(section, words) }));
  const found = scored.filter(({ score }) => score > 0).sort((one, other) => other.score - one.score || one.at - other.at);
  return found.slice(0, limit).map(({ section }) => section);
}

function scoreOf({ chapter, section, text }, words) {
  const places = [
    [chapter.toLowerCase(), 12],
    [section.toLowerCase(), 8],
    [text.toLowerCase(), 1],
  ];
  let total = 0;
  for (const word of words) {
    // The length of a section does not decide: more than five matches count as five.
    const score = places.reduce((sum, [place, weight]) => sum + weight * Math.min(matches(place, word), 5), 0);
    if (score === 0) return 0;
    total += score;
  }
  return total;
}

/** Counts a word in a text; at the start of a word it counts twice. */
function matches(text, word) {
  let count = 0;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) {
    count += at === 0 || !/[\p{L}\p{N}]/u.test(text[at - 1]) ? 2 : 1;
  }
  return count;
}

/** Returns the part of a text around the first match, as pieces `{text, isMatch}`. */
export function excerpt(text, query) {
  const words = wordsOf(query);
  const lower = text.toLowerCase();
  const first = Math.min(...words.map((word) => lower.indexOf(word)).filter((at) => at >= 0), Infinity);
  const start = first === Infinity ? 0 : Math.max(0, text.lastIndexOf(" ", Math.max(0, first - AROUND)) + 1);
  const end = text.indexOf(" ", (first === Infinity ? 0 : first) + 2 * AROUND);
  const shown = `${start > 0 ? "… " : ""}${text.slice(start, end < 0 ? undefined : end)}${end < 0 ? "" : " …"}`;
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  if (!pattern) return [{ text: shown, isMatch: false }];
  const pieces = shown.split(new RegExp(`(${pattern})`, "giu"));
  return pieces.map((piece, at) => ({ text: piece, isMatch: at % 2 === 1 })).filter((piece) => piece.text);
}
