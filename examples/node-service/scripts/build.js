// Copies the sources into dist/ with a manifest of their digests.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";

mkdirSync("dist", { recursive: true });
const manifest = {};
for (const name of readdirSync("src").sort()) {
  const text = readFileSync(`src/${name}`);
  writeFileSync(`dist/${name}`, text);
  manifest[name] = createHash("sha256").update(text).digest("hex");
}
writeFileSync("dist/manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
console.log(`built ${Object.keys(manifest).length} files`);
