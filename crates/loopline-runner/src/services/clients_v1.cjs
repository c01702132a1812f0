// Saves and restores with @actions/cache 3, which speaks the older protocol.
const assert = require('node:assert');
const fs = require('node:fs');
const crypto = require('node:crypto');
const cache = require('@actions/cache');

(async () => {
  process.chdir(process.argv[2]);
  fs.mkdirSync('kept');
  const bytes = crypto.randomBytes(3_000_000);
  fs.writeFileSync('kept/file', bytes);
  assert.strictEqual(await cache.restoreCache(['kept'], 'deps-1', ['none-']), undefined);
  // Small pieces, so that several are under way at once.
  const id = await cache.saveCache(['kept'], 'deps-1', { uploadChunkSize: 262144 });
  assert.ok(id > 0, `id ${id}`);
  assert.strictEqual(await cache.saveCache(['kept'], 'deps-1'), -1);
  fs.rmSync('kept', { recursive: true });
  assert.strictEqual(await cache.restoreCache(['kept'], 'deps-2', ['other-', 'deps-']), 'deps-1');
  assert.ok(fs.readFileSync('kept/file').equals(bytes));
  assert.strictEqual(await cache.restoreCache(['elsewhere'], 'deps-1'), undefined);
  assert.strictEqual(await cache.restoreCache(['kept'], 'deps-1', [], { lookupOnly: true }), 'deps-1');
  console.log('the clients are content');
})();
