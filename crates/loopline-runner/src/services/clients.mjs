// Uses the services as actions do, with the npm packages that actions are made of.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import artifacts from "@actions/artifact";
import * as cache from "@actions/cache";

const work = process.argv[2];
process.chdir(work);
process.env.GITHUB_WORKSPACE = work;
process.env.RUNNER_TEMP = join(work, "temp");
mkdirSync(join(work, "temp"), { recursive: true });
mkdirSync(join(work, "site", "deep"), { recursive: true });
const large = randomBytes(20 * 1024 * 1024);
writeFileSync(join(work, "site", "large.bin"), large);
writeFileSync(join(work, "site", "deep", "small.txt"), "small ä\n");

const client = artifacts.default ?? artifacts;
const files = [join(work, "site", "large.bin"), join(work, "site", "deep", "small.txt")];
const up = await client.uploadArtifact("my site", files, join(work, "site"), { retentionDays: 3 });
assert.ok(up.id > 0 && up.size > large.length && up.digest.length === 64, JSON.stringify(up));
await assert.rejects(client.uploadArtifact("my site", files, join(work, "site")), /already exists/);

const { artifacts: listed } = await client.listArtifacts();
assert.deepEqual(listed.map((one) => [one.name, one.id]), [["my site", up.id]]);
const { artifact } = await client.getArtifact("my site");
assert.equal(artifact.id, up.id);
const down = await client.downloadArtifact(artifact.id, {
  path: join(work, "down"),
  expectedHash: artifact.digest,
});
assert.ok(!down.digestMismatch);
assert.ok(readFileSync(join(work, "down", "large.bin")).equals(large));
assert.equal(readFileSync(join(work, "down", "deep", "small.txt"), "utf8"), "small ä\n");
await assert.rejects(client.getArtifact("none"), /not found/i);
assert.equal((await client.deleteArtifact("my site")).id, up.id);
assert.deepEqual((await client.listArtifacts()).artifacts, []);

assert.ok(cache.isFeatureAvailable());
assert.equal(await cache.restoreCache(["site"], "npm-Linux-1", ["npm-"]), undefined);
assert.ok((await cache.saveCache(["site"], "npm-Linux-1")) > 0);
assert.equal(await cache.saveCache(["site"], "npm-Linux-1"), -1);
rmSync(join(work, "site"), { recursive: true });
assert.equal(await cache.restoreCache(["site"], "npm-Linux-2", ["go-", "npm-Linux-"]), "npm-Linux-1");
assert.ok(readFileSync(join(work, "site", "large.bin")).equals(large));
rmSync(join(work, "site"), { recursive: true });
assert.equal(await cache.restoreCache(["site"], "npm-Linux-1", [], { lookupOnly: true }), "npm-Linux-1");
assert.equal(await cache.restoreCache(["other"], "npm-Linux-1"), undefined);
console.log("the clients are content");
process.exit(0);
