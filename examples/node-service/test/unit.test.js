import assert from "node:assert/strict";
import { test } from "node:test";

import { height, nextHighWater } from "../src/tide.js";

const M2 = { amplitude: 1.2, speed: 28.9841, phase: 0 };

test("the height at the phase is the amplitude", () => {
  assert.equal(height([M2], 0), 1.2);
});

test("no constituent is refused", () => {
  assert.throws(() => height([], 0), TypeError);
});

test("high water comes about every 12.42 hours", () => {
  const first = nextHighWater([M2], 1);
  const second = nextHighWater([M2], first.hours + 1);
  assert.ok(Math.abs(second.hours - first.hours - 12.42) < 0.2);
});

test("a flat sea has no high water", () => {
  assert.equal(nextHighWater([{ amplitude: 0, speed: 0, phase: 0 }], 0), null);
});
