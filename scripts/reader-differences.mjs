// Compares how workflows are read with GitHub's own reader, on thousands of broken workflows.
//
// usage: npm install --prefix FOLDER @actions/workflow-parser
//        node scripts/reader-differences.mjs make FOLDER CASES [SEED] [COUNT]
//        LOOPLINE_READER_CASES=CASES \
//          cargo test -p loopline-workflow --test it what_is_read -- --ignored
//        node scripts/reader-differences.mjs compare CASES
//
// The workflows are those of the reader's fuzz test with a value, a key or an item changed. The
// npm package checks less than GitHub's service; what is known to differ for that reason is
// listed in `KNOWN` and where texts are compared, and only the rest fails the comparison.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire, register } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");
const SEEDS = join(ROOT, "crates/loopline-workflow/tests/it/fuzz");
const CALLED = "./called.yml";

// What is put in the place of a value, as it is written.
const VALUES = `0o14|1e3|~|null|NULL|.inf|-.inf|.nan|2001-12-14|True|yes|0x1F|1_000|012|+1|-0|1.5|1.
'1'|""|' '|abc|a b|'\${{ x }}'|\${{ github.x }}|\${{ secrets.X }}|\${{ env.X }}|\${{ matrix.x }}
\${{ needs.x.result }}|\${{ hashFiles('a') }}|\${{ success() }}|\${{ insert }}|x \${{ insert }}
\${{ 'a' }}|\${{|\${{ }}|\${{ a }}|\${{ foo() }}|\${{ github.x }}-\${{ github.y }}|\${{ 1 + 1 }}
1e400|"a\\tb"|ubuntu-latest|inherit|write
read-all|bash|max|'* * * * *'|'61 * * * *'|string|boolean|choice|./x.yml|a/b@v1|a@v1|docker://|_x
__x|9x|a.b|two|build|1.10|é|😀`.split(/[|\n]/);
// What is put in the place of a key, or added as one.
const KEYS = `on jobs name env defaults concurrency permissions runs-on steps uses with secrets
needs if strategy matrix timeout-minutes continue-on-error container services outputs environment
snapshot run shell working-directory id image ports credentials group labels cancel-in-progress
queue fail-fast include exclude inputs type required default options branches branches-ignore tags
paths types workflows cron timezone push schedule workflow_call workflow_dispatch background wait
wait-all cancel parallel contents id-token image-name foo 1 null`.split(/\s+/);

// What only the service checks: forms of references, matrices, literals of typed inputs, tags. The
// package shows a key of null as `null`, the service as nothing, and places a value that is left
// out behind the space; it tells what cannot be called at
// the call; and it goes on with values of the wrong type. Tagged values, which it
// places elsewhere, and numbers of more than fifteen digits are not made.
const KNOWN = [
  /^ours: .*(Expected format|Matrix |exclude each other|Unexpected value|Unexpected tag)/,
  /^theirs: .*(Unexpected value '(null)?'$|Unexpected type |Expected one of|Cannot read properties )/,
  /workflow_call key is not defined/,
];

const [command, ...rest] = process.argv.slice(2);
if (command === "make" && rest.length >= 2) await make(...rest);
else if (command === "compare" && rest.length === 1) compare(rest[0]);
else {
  console.error("usage: node scripts/reader-differences.mjs make FOLDER CASES [SEED] [COUNT]");
  console.error("       node scripts/reader-differences.mjs compare CASES");
  process.exit(2);
}

async function make(folder, cases, seed = "1", count = "3000") {
  const { read, YAML } = await reader(folder);
  const random = numbers(Number(seed));
  const pick = (list) => list[random(list.length)];
  // The package wants settings for every input.
  const text = (name) => readFileSync(join(SEEDS, name), "utf8").replace(/^ *plain:\n/m, "");
  const load = (name) => tree(YAML, YAML.parseDocument(text(name)));
  const seeds = ["everything.yml", "called.yml"].map(load);
  const pieces = seeds.flatMap((seed) => nodes(seed));
  rmSync(cases, { recursive: true, force: true });
  mkdirSync(cases, { recursive: true });
  for (let index = 0; index < Number(count); index += 1) {
    const name = `g${String(index).padStart(6, "0")}`;
    const trees = structuredClone(seeds);
    for (let times = 1 + random(2); times > 0; times -= 1) change(pick(trees), pieces, pick, random);
    const [main, called] = trees.map((it) => emit(it, 0).trim());
    const files = [
      { name: `.github/workflows/${name}.yml`, content: main },
      { name: CALLED, content: called },
    ];
    const options = "allow-anchors: true\nskip:\n- C#\n- Go";
    const theirs = JSON.stringify(await read(files));
    const parts = [options, main, CALLED, called, theirs];
    writeFileSync(join(cases, `${name}.yml`), `${parts.join("\n---\n")}\n`);
  }
}

// Returns GitHub's reader, and the YAML library it uses.
async function reader(folder) {
  // The package imports its schemas without saying that they are JSON.
  const hook = `export const load = (url, context, next) => next(url, url.endsWith(".json")
    ? { ...context, format: "json", importAttributes: { type: "json" } } : context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
  const modules = resolve(folder, "node_modules");
  const load = (path) => import(pathToFileURL(join(modules, path)));
  const parser = "@actions/workflow-parser/dist";
  const { convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow } =
    await load(`${parser}/index.js`);
  const { TemplateContext, TemplateValidationErrors } =
    await load(`${parser}/templates/template-context.js`);
  const { getWorkflowSchema } = await load(`${parser}/workflows/workflow-schema.js`);
  const { FeatureFlags } = await load("@actions/expressions/dist/features.js");
  const YAML = createRequire(join(modules, "package.json"))("yaml");
  const featureFlags = new FeatureFlags({ all: true });
  const read = async ([main, called]) => {
    const trace = new NoOperationTraceWriter();
    const context = new TemplateContext(new TemplateValidationErrors(), getWorkflowSchema(), trace);
    context.state.featureFlags = featureFlags;
    const errors = (list) => ({ errors: list.map((error) => ({ Message: error.message })) });
    const { value } = parseWorkflow(main, context);
    if (value === undefined) return errors(context.errors.getErrors());
    const files = {
      getFileContent: async ({ path }) => {
        if (path !== CALLED.slice(2)) throw new Error("no such file");
        return called;
      },
    };
    const settings = { errorPolicy: 0, fetchReusableWorkflowDepth: 1, featureFlags };
    const found = await convertWorkflowTemplate(context, value, files, settings);
    return found.errors ? { errors: found.errors } : found;
  };
  return { read, YAML };
}

// Numbers that are the same for the same seed.
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

// A node is {text} as written, {pairs: [key, node]} or {items}; aliases are written out.
function tree(YAML, document) {
  const convert = (node) => {
    if (YAML.isAlias(node)) return convert(node.resolve(document));
    if (YAML.isMap(node)) {
      return { pairs: node.items.map((pair) => [written(pair.key), convert(pair.value)]) };
    }
    if (YAML.isSeq(node)) return { items: node.items.map(convert) };
    return { text: written(node) };
  };
  const written = (node) => {
    if (node?.value === null || node === null) return "";
    return typeof node.value === "string" ? JSON.stringify(node.value) : String(node.source);
  };
  return convert(document.contents);
}

function nodes(node) {
  const inner = node.pairs?.map((pair) => pair[1]) ?? node.items ?? [];
  return [node, ...inner.flatMap(nodes)];
}

function change(root, pieces, pick, random) {
  const set = (node, value) => {
    for (const key of Object.keys(node)) delete node[key];
    Object.assign(node, structuredClone(value));
  };
  const value = () => (random(3) ? { text: pick(VALUES) } : pick(pieces));
  const found = pick(nodes(root));
  const { pairs, items } = found;
  const list = pairs ?? items;
  if (!list?.length || random(3) === 0) return set(found, value());
  const at = random(list.length);
  switch (random(5)) {
    case 0:
      return void list.splice(at, 1);
    case 1: {
      if (!pairs) return void items.splice(at, 0, structuredClone(value()));
      const [key, kept] = pairs[at];
      return void pairs.push([pick([key, key.toUpperCase()]), structuredClone(kept)]);
    }
    case 2:
      return pairs ? void (pairs[at][0] = pick(KEYS)) : set(items[at], value());
    case 3:
      return pairs
        ? void pairs.splice(at, 0, [pick(KEYS), structuredClone(value())])
        : void items.push(structuredClone(value()));
    default:
      return set(pairs ? pairs[at][1] : items[at], value());
  }
}

function emit(node, indent) {
  const space = " ".repeat(indent);
  if (node.text !== undefined) return ` ${node.text}\n`;
  if (node.pairs) {
    const lines = node.pairs.map(([key, value]) => `${space}${key}:${emit(value, indent + 2)}`);
    return lines.length ? `\n${lines.join("")}` : " {}\n";
  }
  const lines = node.items.map((item) => `${space}-${emit(item, indent + 2)}`);
  return lines.length ? `\n${lines.join("")}` : " []\n";
}

// Returns an error's text without what the service words in its own way: it names the call of a
// called workflow, goes on behind an expression's error, and reads expressions from the left.
function shared({ Message: text }) {
  return text
    .replace(/^In .*?: Error from called workflow /, "")
    // The package places an expression in quotes behind the quote.
    .replace(/, Col: \d+(?=\): Invalid (input|secret))/, "")
    .replace(/(Unexpected symbol|Unexpected end of expression|Unrecognized |Too (few|many))[^]*/, "X");
}

// Returns what the two readers do not agree about, as text; nothing where they agree.
function differences(ours, theirs) {
  if (!ours.errors && !theirs.errors) return values(ours, theirs, "");
  const own = new Set(ours.errors?.map(shared));
  const other = new Set(theirs.errors?.map(shared));
  // The service reads called files only where the caller is right.
  const calls = own.size === 0 || [...own].some((text) => text.startsWith(CALLED));
  const missing = [...other].filter((text) => !own.has(text) && (calls || !text.startsWith(CALLED)));
  const more = [...own].filter((text) => !other.has(text));
  // Syntax of YAML is told in each library's own words, and a reader stops there.
  const place = /\(Line: \d+.*?\): /;
  const syntax = /while (scanning|parsing)|simple key|block sequence entries/;
  if ([...missing, ...more].some((text) => !place.test(text) || syntax.test(text))) return [];
  // The package goes on where the service has stopped.
  if (own.size > 0 && more.length === 0) return [];
  return [...missing.map((text) => `theirs: ${text}`), ...more.map((text) => `ours: ${text}`)];
}

// Compares what the package writes of a workflow; the service writes more.
function values(ours, theirs, path) {
  const empty = Array.isArray(theirs) && theirs.length === 0;
  // JSON has no infinities; a number as text has fifteen digits.
  if (theirs === null || (empty && ours === undefined) || Number(ours) === Number(theirs)) return [];
  if (typeof theirs === "object" && typeof ours === "object") {
    return Object.keys(theirs).flatMap((key) => values(ours[key], theirs[key], `${path}/${key}`));
  }
  if (ours === theirs || (Number(theirs) > 1e15 && Number(ours) > 1e15)) return [];
  return [`${path}: ours ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`];
}

function compare(cases) {
  let agreed = 0;
  const different = [];
  const names = readdirSync(cases).filter((name) => name.endsWith(".yml"));
  for (const name of names) {
    const theirs = JSON.parse(readFileSync(join(cases, name), "utf8").split("\n---\n").at(-1));
    const ours = JSON.parse(readFileSync(join(cases, name.replace(/yml$/, "json")), "utf8"));
    const left = differences(ours, theirs).filter(
      (line) => !KNOWN.some((pattern) => pattern.test(line)),
    );
    if (left.length === 0) agreed += 1;
    else different.push(`${name}\n  ${left.join("\n  ")}`);
  }
  console.log(`${agreed} of ${names.length} workflows are read alike, or differ as is known`);
  if (different.length) {
    console.log(different.join("\n"));
    process.exit(1);
  }
}
