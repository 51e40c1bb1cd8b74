"use strict";
// What the page holds comes from records, so it is put into the document as text only.

const data = JSON.parse(document.getElementById("data").textContent);
const MARKS = {
  holds: "✓", unsupported: "–", deviates: "≈", violated: "✗", vacuous: "∅", stale: "↺",
  crashed: "!", timeout: "∞", blocked: "⊘",
};
const AT_ONCE = 120;
const text = (number) => data.texts[number];
const find = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children); // strings become text nodes
  return element;
}

/** A name that may be broken after its underscores and slashes. */
function breakable(name) {
  return name.split(/(?<=[_/])/).flatMap((part, index) => index ? [make("wbr"), part] : [part]);
}

/** A sentence whose ``code`` is set as such. */
function sentence(words) {
  return words.split("``").map((part, index) => index % 2 ? make("code", {}, part) : part);
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// -- what the data says ------------------------------------------------------------------------

const verdicts = data.verdicts.map((verdict, number) => ({ ...verdict, number }));
const columns = data.columns.map((column) => ({
  ...column, label: column.note ? `${column.target} (${column.note})` : column.target,
}));
const laws = data.laws.map(([id, level, chapter, statement, documentation]) => ({
  id, level: text(level), chapter: text(chapter), statement: text(statement),
  documentation: text(documentation), cells: new Array(columns.length).fill(null), words: "",
}));
for (const row of data.rows) {
  const [law, column, verdict, seconds, examples, rejected, unsupported, checks, values, ...told] = row;
  const [message, dtypes, ranks, layouts, inputs, script, explanation, more, reason, link] =
    told.map(text);
  laws[law].cells[column] = {
    verdict: verdicts[verdict], seconds, examples, rejected, unsupported, checks, values, message,
    dtypes, ranks, layouts, inputs, script, explanation, more, reason, link,
  };
}
const severity = (law) => Math.max(
  ...law.cells.map((cell) => !cell || cell.verdict.name === "holds" ? 0 : cell.verdict.fails ? 2 : 1));
for (const law of laws) law.severity = severity(law);
laws.sort((a, b) => b.severity - a.severity || a.chapter.localeCompare(b.chapter));
const chapters = [...new Set(laws.map((law) => law.chapter))].sort();
const levels = [...new Set(laws.map((law) => law.level))].sort();

function words(law) {
  if (!law.words) {
    const told = law.cells.flatMap((cell) => cell ? [cell.message, cell.inputs, cell.reason] : []);
    law.words = [law.id, law.statement, ...new Set(told)].join("\n").toLowerCase();
  }
  return law.words;
}

// -- filters -----------------------------------------------------------------------------------

const NONE = { text: "", chapter: "", column: "", level: "", verdicts: "", law: "" };
let filter = { ...NONE };

function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  filter = { ...NONE };
  for (const name of Object.keys(NONE)) {
    filter[name] = given.get(name) ?? "";
  }
}

function choose(changes) {
  filter = { ...filter, law: "", ...changes };
  const kept = Object.entries(filter).filter(([, value]) => value !== "");
  const address = new URLSearchParams(kept).toString();
  history.replaceState(null, "", address ? `#${address}` : location.pathname + location.search);
  show();
}

function accepts() {
  const chosen = new Set(filter.verdicts ? filter.verdicts.split(" ") : []);
  const parts = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  const column = columns.find((entry) => String(entry.number) === filter.column);
  const cell = (found) => found && (!chosen.size || chosen.has(found.verdict.name));
  return (law) =>
    (!filter.law || law.id === filter.law) &&
    (!filter.chapter || law.chapter === filter.chapter) &&
    (!filter.level || law.level === filter.level) &&
    (column ? cell(law.cells[column.number]) : law.cells.some(cell)) &&
    parts.every((part) => words(law).includes(part));
}

function toggle(name) {
  const chosen = new Set(filter.verdicts ? filter.verdicts.split(" ") : []);
  if (!chosen.delete(name)) chosen.add(name);
  choose({ verdicts: [...chosen].join(" ") });
}

// -- records and matrix ------------------------------------------------------------------------

function recordDetails(record) {
  const facts = new Map(record.facts);
  const summary = make("summary", {},
    make("strong", {}, record.name),
    make("span", { class: "quiet" }, `  ${record.targets.join(", ")}: torch ${facts.get("torch")}, ` +
      `profile ${facts.get("profile")}, ${facts.get("examples")} examples a law` +
      (record.shards ? `, shards ${record.shards}` : "")));
  if (!record.ended) summary.append(make("span", { class: "warning" }, "  The run did not end."));
  const list = make("dl");
  for (const [name, value] of record.facts) {
    list.append(make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, value));
  }
  return make("details", {}, summary, list);
}

function tally(members, column) {
  const counts = new Array(verdicts.length).fill(0);
  for (const law of members) {
    const cell = law.cells[column];
    if (cell) counts[cell.verdict.number] += 1;
  }
  return counts;
}

function matrixCell(chapter, members, column) {
  const counts = tally(members, column.number);
  const present = verdicts.filter((verdict) => counts[verdict.number]);
  if (!present.length) return make("td");
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  const numbers = make("span", { class: "counts" });
  for (const { name, number } of present) {
    const piece = make("i", { class: name });
    piece.style.flexGrow = counts[number];
    bar.append(piece);
    numbers.append(make("span", { class: `count ${name}`, title: name },
      `${MARKS[name]}\u2009${counts[number].toLocaleString("en")}`));
  }
  const told = present.map(({ name, number }) => `${counts[number]} ${name}`).join(", ");
  const label = `${chapter || "all chapters"} on ${column.label}: ${told}`;
  const onclick = () => goto({ chapter, column: String(column.number) });
  const attributes = { type: "button", "aria-label": label, title: label, onclick };
  return make("td", {}, make("button", attributes, bar, numbers));
}

function goto(changes) {
  choose({ ...NONE, ...changes });
  find("laws-title").scrollIntoView();
}

function matrix() {
  const head = make("tr", {}, make("th", { scope: "col" }, "chapter"));
  for (const column of columns) {
    head.append(make("th", { scope: "col" }, ...breakable(column.target), make("small", {}, column.note)));
  }
  const body = make("tbody");
  for (const chapter of ["", ...chapters]) {
    const members = chapter ? laws.filter((law) => law.chapter === chapter) : laws;
    const name = make("button", { type: "button", onclick: () => goto({ chapter }) },
      ...breakable(chapter || "all chapters"));
    body.append(make("tr", {}, make("th", { scope: "row" }, name),
      ...columns.map((column) => matrixCell(chapter, members, column))));
  }
  find("matrix").append(make("thead", {}, head), body);
}

// -- laws --------------------------------------------------------------------------------------

function mark(cell, column) {
  if (!cell) return make("span", { class: "mark none", title: `${column.label}: not run` }, "·");
  const { name, fails } = cell.verdict;
  const told = columns.length === 1 ? `${MARKS[name]} ${name}` : MARKS[name];
  const label = `${column.label}: ${name}`;
  const kind = `mark ${name}${fails ? " fails" : ""}`;
  return make("span", { class: kind, title: label, "aria-label": label, role: "img" }, told);
}

function link(address, label) {
  // An address from a record may be no web page, but a script.
  const safe = /^https?:\/\//i.test(address);
  return safe ? make("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, label ?? address)
    : make("span", {}, address);
}

async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function codeBlock(title, content) {
  const code = make("code", {}, content);
  const button = make("button", { type: "button", "aria-label": `Copy ${title}` }, "Copy");
  button.addEventListener("click", () => copy(code, button));
  return make("div", { class: "code" }, make("div", {}, make("span", {}, title), button),
    make("pre", { tabindex: "0" }, code));
}

function evidence(cell) {
  const compared = `${plural(cell.values, "value")} compared in ${plural(cell.checks, "check")}`;
  const parts = [plural(cell.examples, "example"), compared];
  if (cell.rejected) parts.push(`${cell.rejected} rejected`);
  if (cell.unsupported) parts.push(`${cell.unsupported} unsupported`);
  if (cell.dtypes) parts.push(cell.dtypes);
  if (cell.ranks) parts.push(`ranks ${cell.ranks}`);
  if (cell.layouts) parts.push(cell.layouts);
  parts.push(`${cell.seconds} s`);
  return make("p", { class: "quiet" }, parts.join("; "));
}

function finding(law, cell, column) {
  const { name } = cell.verdict;
  const found = make("div", { class: `finding ${name}` },
    make("h3", {}, `${MARKS[name]} ${name} on ${column.label}`));
  if (cell.reason) found.append(make("p", {}, "Listed: ", cell.reason, " ", cell.link ? link(cell.link) : ""));
  if (cell.message) found.append(make("p", { class: "message" }, cell.message));
  found.append(evidence(cell));
  if (cell.more) found.append(codeBlock("what the process left", cell.more));
  if (cell.inputs) found.append(codeBlock("for these inputs", cell.inputs));
  if (cell.explanation) found.append(codeBlock("what does not matter", cell.explanation));
  if (cell.script) found.append(codeBlock("script that needs torch and NumPy only", cell.script));
  const alone = `conformance run --target ${column.target} --law '${law.id}'`;
  if (cell.verdict.fails) found.append(codeBlock("run it alone", alone));
  return found;
}

function body(law) {
  const address = `#${new URLSearchParams({ law: law.id })}`;
  const opened = make("div", { class: "body" },
    make("p", {}, `${law.chapter}, level ${law.level}. Documented: `, link(law.documentation)),
    make("p", {}, make("a", { href: address }, "Link to this law")));
  const chosen = columns.filter((column) => law.cells[column.number]);
  chosen.sort((a, b) => law.cells[b.number].verdict.fails - law.cells[a.number].verdict.fails);
  opened.append(...chosen.map((column) => finding(law, law.cells[column.number], column)));
  return opened;
}

function lawDetails(law) {
  const title = make("span", { class: "id" }, law.id);
  if (law.level !== "must") title.append(make("span", { class: "level" }, law.level));
  const marks = columns.map((column) => mark(law.cells[column.number], column));
  const details = make("details", { class: "law" }, make("summary", {}, title,
    make("span", { class: "statement" }, ...sentence(law.statement)),
    make("span", { class: "marks" }, ...marks)));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(body(law));
  });
  return details;
}

let waiting = [];
function showMore() {
  find("laws").append(...waiting.splice(0, AT_ONCE).map(lawDetails));
}

function show() {
  const found = laws.filter(accepts());
  for (const name of ["text", "chapter", "column", "level"]) find(name).value = filter[name];
  const chosen = new Set(filter.verdicts.split(" "));
  for (const button of find("verdicts").children) {
    button.setAttribute("aria-pressed", String(chosen.has(button.dataset.name)));
  }
  find("shown").textContent = found.length === laws.length ? plural(laws.length, "law")
    : `${found.length.toLocaleString("en")} of ${plural(laws.length, "law")}`;
  find("clear").hidden = Object.values(filter).every((value) => value === "");
  find("laws").replaceChildren();
  waiting = [...found];
  showMore();
  if (filter.law && found.length) find("laws").firstChild.open = true;
}

// -- the page ----------------------------------------------------------------------------------

function options(id, every, names) {
  const chosen = names.map(([value, name]) => make("option", { value }, name));
  find(id).append(make("option", { value: "" }, every), ...chosen);
  find(id).addEventListener("change", () => choose({ [id]: find(id).value }));
}

function begin() {
  const tallies = columns.map((column) => tally(laws, column.number));
  const totals = verdicts.map(({ number }) => tallies.reduce((sum, counts) => sum + counts[number], 0));
  const failing = laws.filter((law) => law.severity === 2).length;
  find("summary").textContent = `${plural(laws.length, "law")} on ${plural(columns.length, "target")}: ` +
    (failing ? `${plural(failing, "law")} ${failing === 1 ? "fails" : "fail"} somewhere.` : "nothing fails.");
  find("records").append(...data.records.map(recordDetails));
  matrix();
  options("chapter", "every chapter", chapters.map((name) => [name, name]));
  options("column", "every target", columns.map((column) => [String(column.number), column.label]));
  options("level", "every level", levels.map((name) => [name, name]));
  find("column").hidden = columns.length < 2;
  for (const { name, number } of verdicts.filter((verdict) => totals[verdict.number])) {
    const onclick = () => toggle(name);
    const attributes = { type: "button", class: name, "data-name": name, "aria-pressed": "false", onclick };
    find("verdicts").append(make("button", attributes, `${MARKS[name]} ${name} ${totals[number].toLocaleString("en")}`));
  }
  let pause = 0;
  find("text").addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => choose({ text: find("text").value }), 120);
  });
  find("clear").addEventListener("click", () => choose(NONE));
  addEventListener("hashchange", () => { fromAddress(); show(); });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      find("text").focus();
    }
  });
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) showMore();
  }, { rootMargin: "800px" }).observe(find("more"));
  fromAddress();
  show();
}

begin();
