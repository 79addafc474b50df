import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { pictures } from './pictures.ts';

test('the pictures of the command line show what the commands print now', async () => {
  for (const { file, svg } of await pictures())
    assert.equal(readFileSync(file, 'utf8'), svg, `${file}: draw it again with node test/commands/pictures.ts`);
});
