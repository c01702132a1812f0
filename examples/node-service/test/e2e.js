// Talks to a server that is already running, as a browser's test would.
import assert from "node:assert/strict";
import process from "node:process";

const base = process.env.BASE_URL ?? "http://127.0.0.1:3000";
const health = await (await fetch(`${base}/health`)).json();
assert.equal(health.status, "healthy");
if (process.env.EXPECTED_VERSION) {
  assert.equal(health.version, process.env.EXPECTED_VERSION);
}
const tide = await (await fetch(`${base}/height?hours=6`)).json();
assert.equal(typeof tide.height, "number");
console.log(`e2e passed against ${base} (${health.version})`);
