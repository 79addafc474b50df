import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { reasons } from '../../src/api/reasons.ts';

const entries = Object.entries(reasons);

test('every reason says what it means, where it is shown and who acts', () => {
  for (const [name, { meaning, shownBy, actor, remedy, command }] of entries) {
    assert.match(name, /^[A-Z][A-Za-z]+$/);
    assert.match(meaning, /^[A-Z].*\.$|^clouds\.yaml .*\.$|^spec\.suspend .*\.$/, name);
    assert.ok(shownBy.length > 0, name);
    if (remedy !== undefined) assert.match(remedy, /\.$/, name);
    if (actor !== 'operator') assert.ok(remedy !== undefined && command !== undefined, name);
  }
});

test('every command of a reason can be copied from a cell of a table', () => {
  const programs = /^(?:kubectl|helm|openstack|curl|qemu-img|tar|gpg) /;
  for (const [name, { command }] of entries) {
    if (command === undefined) continue;
    assert.match(command, programs, name);
    assert.doesNotMatch(command, /[`\n]/, name);
  }
});

test('the page of reasons has an anchor for every reason', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/reference/reasons.md'), 'utf8');
  for (const [name] of entries) assert.ok(page.includes(`<a id="${name.toLowerCase()}"></a>\`${name}\``), name);
});
