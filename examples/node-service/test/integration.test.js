import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";

import { makeServer } from "../src/server.js";

let server;
let base;

before(async () => {
  server = makeServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${server.address().port}`;
});

after(() => server.close());

test("health says healthy", async () => {
  const answer = await fetch(`${base}/health`);
  assert.equal((await answer.json()).status, "healthy");
});

test("nonsense is a 400 and unknown paths a 404", async () => {
  assert.equal((await fetch(`${base}/height?hours=x`)).status, 400);
  assert.equal((await fetch(`${base}/nothing`)).status, 404);
});

test("high water is found", async () => {
  const answer = await (await fetch(`${base}/high-water?from=3`)).json();
  assert.ok(answer.hours >= 3 && answer.height > 0);
});
