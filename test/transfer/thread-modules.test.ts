import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

test('a transfer thread does not load the HTTP client that is a part of Node, next to its own', () => {
  const program = new URL('../../src/transfer/inline.ts', import.meta.url).href;
  const script = `await import(${JSON.stringify(program)}); console.log(process.moduleLoadList.join('\\n'))`;
  const loaded = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
  assert.match(loaded, /^NativeModule net$/m);
  assert.doesNotMatch(loaded, /deps\/undici/);
});
