// Writes crates/loopline-workflow/src/github/check/rules/action_{inputs,outdated}.txt: what widely
// used actions take and give, and which of their versions no longer run.
//
// usage: npm install --prefix FOLDER yaml
//        node scripts/popular-actions.mjs FOLDER [--check]
//
// FOLDER mirrors the actions' published metadata: OWNER/REPOSITORY[/PATH]/action.yml@REF, a file
// for each version. A version that is in FOLDER replaces the one in the tables; the others stay as
// they are. With --check nothing is written, and the exit status says whether something would be.
//
// The facts (names of inputs and outputs, whether they are required or deprecated, the runtime) are
// those of each action's own action.yml. Which actions are widely used, and versions that no
// mirror holds any more, follow the table that actionlint publishes ((c) rhysd, MIT licence).

import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [folder, flag] = process.argv.slice(2);
if (!folder || (flag && flag !== "--check")) {
  console.error("usage: node scripts/popular-actions.mjs FOLDER [--check]");
  process.exit(2);
}
const { parse } = createRequire(join(resolve(folder), "package.json"))("yaml");
const rules = join(
  dirname(fileURLToPath(import.meta.url)),
  "../crates/loopline-workflow/src/github/check/rules",
);
const METADATA = /^action\.ya?ml@(.+)$/;
const RETIRED = new Set(["node12", "node16"]);

function* metadata(at) {
  for (const name of readdirSync(at).sort()) {
    if (name === "node_modules") continue;
    const path = join(at, name);
    if (statSync(path).isDirectory()) yield* metadata(path);
    // A reference such as `release/v1` is written with `%2F`.
    else if (METADATA.test(name)) {
      const version = decodeURIComponent(METADATA.exec(name)[1]);
      yield { action: relative(folder, at).replaceAll("\\", "/"), version, path };
    }
  }
}

// Reads a table into Map(action -> Map(version -> rest of the line)).
function table(file) {
  const actions = new Map();
  for (const line of readFileSync(join(rules, file), "utf8").split("\n")) {
    if (line === "") continue;
    const [, action, versions, rest] = /^(\S+) (\S+)(.*)$/.exec(line);
    const known = actions.get(action) ?? new Map();
    for (const version of versions.split(",")) known.set(version, rest);
    actions.set(action, known);
  }
  return actions;
}

const compare = (a, b) => a.localeCompare(b, "en", { numeric: true, sensitivity: "base" });

// Writes a table: versions that share a line together, all in a fixed order.
function lines(actions) {
  const rows = [];
  for (const [action, versions] of actions) {
    const shared = new Map();
    for (const [version, rest] of versions) {
      shared.set(rest, [...(shared.get(rest) ?? []), version]);
    }
    for (const [rest, list] of shared) rows.push({ action, list: list.sort(compare), rest });
  }
  rows.sort((a, b) => compare(a.action, b.action) || compare(a.list[0], b.list[0]));
  return rows.map(({ action, list, rest }) => `${action} ${list.join(",")}${rest}\n`).join("");
}

function isTrue(value) {
  return value === true || String(value).toLowerCase() === "true";
}

// `open` is an action whose outputs are not those that it declares: its user sets them.
function describe(document, open) {
  const inputs = Object.entries(document.inputs ?? {}).map(([name, input]) => {
    const required = isTrue(input?.required) && input?.default === undefined;
    return name + (required ? "!" : "") + (input?.deprecationMessage ? "~" : "");
  });
  const outputs = Object.keys(document.outputs ?? {}).sort(compare);
  const given = open ? "*" : outputs.join(" ");
  return ` | ${inputs.sort(compare).join(" ")} | ${given}`;
}

function entry(actions, wanted) {
  const known = [...actions.keys()].find((name) => name.toLowerCase() === wanted.toLowerCase());
  if (known) return actions.get(known);
  const versions = new Map();
  actions.set(wanted, versions);
  return versions;
}

const inputs = table("action_inputs.txt");
const outdated = table("action_outdated.txt");
let read = 0;
for (const { action, version, path } of metadata(folder)) {
  const document = parse(readFileSync(path, "utf8"));
  if (!document?.runs?.using) throw new Error(`${path}: runs.using is missing`);
  read += 1;
  if (RETIRED.has(document.runs.using)) {
    entry(outdated, action).set(version, "");
    inputs.get(action)?.delete(version);
  } else {
    const versions = entry(inputs, action);
    const open = [...versions.values()].some((rest) => rest.endsWith("| *"));
    versions.set(version, describe(document, open));
    outdated.get(action)?.delete(version);
  }
}
let changed = false;
for (const [file, actions] of [["action_inputs.txt", inputs], ["action_outdated.txt", outdated]]) {
  const path = join(rules, file);
  const text = lines(actions);
  if (readFileSync(path, "utf8") === text) continue;
  changed = true;
  if (flag !== "--check") writeFileSync(path, text);
}
console.log(`${read} versions read; the tables ${changed ? "differ" : "are current"}`);
process.exit(changed && flag === "--check" ? 1 : 0);
