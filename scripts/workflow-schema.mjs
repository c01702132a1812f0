// Writes crates/loopline-workflow/src/github/schema/{workflow,action}-v1.0.json: GitHub's schemas
// of workflows and actions without their descriptions.
//
// usage: npm install --prefix FOLDER @actions/workflow-parser
//        node scripts/workflow-schema.mjs FOLDER
//
// The schemas come from the npm package @actions/workflow-parser (actions/languageservices),
// (c) GitHub and contributors, MIT licence.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node scripts/workflow-schema.mjs FOLDER");
  process.exit(2);
}
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const source = join(folder, "node_modules/@actions/workflow-parser");
const { version } = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));

// A `description` is text for editors, except where it is itself the name of a property.
function strip(value, names) {
  if (Array.isArray(value)) return value.map((item) => strip(item, false));
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([key]) => names || key !== "description");
  return Object.fromEntries(kept.map(([key, item]) => [key, strip(item, key === "properties")]));
}

// GitHub itself takes `inputs: {name: }`, which the package's strict definition does not.
function correct(definitions) {
  const input = definitions["workflow-dispatch-input"];
  if (!input) return definitions;
  const { "workflow-dispatch-input": _, ...rest } = definitions;
  return {
    ...rest,
    "workflow-dispatch-input": { "one-of": ["null", "workflow-dispatch-input-mapping"] },
    "workflow-dispatch-input-mapping": input,
  };
}

for (const name of ["workflow-v1.0", "action-v1.0"]) {
  const schema = JSON.parse(readFileSync(join(source, `dist/${name}.min.json`), "utf8"));
  const lines = Object.entries(correct(schema.definitions)).map(
    ([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(strip(value, false))}`,
  );
  const origin = `@actions/workflow-parser ${version} (actions/languageservices), (c) GitHub and contributors, MIT licence; written by scripts/workflow-schema.mjs`;
  const text = `{"source": ${JSON.stringify(origin)},\n"definitions": {\n${lines.join(",\n")}\n}}\n`;
  writeFileSync(join(root, `crates/loopline-workflow/src/github/schema/${name}.json`), text);
}
