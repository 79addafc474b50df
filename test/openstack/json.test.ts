import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseExactJson, parseJson } from '../../src/openstack/json.ts';

test('JSON whose numbers JavaScript wrote is parsed as always', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.deepEqual(parseExactJson(text), parseJson(text));
    }),
  );
});

for (const text of ['1.0', '-0', '0.00', '1e2', '1E+2', '100e-2', '9007199254740992', '1e21', '5e-324']) {
  test(`the number ${text} is exact`, () => {
    // JSON is written without -0.
    const value = JSON.parse(text) + 0;
    assert.equal(parseExactJson(text), value);
    assert.deepEqual(parseExactJson(`[{"a": ${text}}]`), [{ a: value }]);
  });
}

for (const text of [
  '9007199254740993',
  '12345678901234567890',
  '1e999',
  '-1e999',
  '1e-999',
  '0.1000000000000000055511151231257827',
]) {
  test(`the number ${text} is not exact, also not deep in other values`, () => {
    assert.equal(parseExactJson(text), undefined);
    assert.equal(parseExactJson(`{"a": [1, ${text}, null]}`), undefined);
    assert.deepEqual(parseExactJson(`"${text}"`), text);
  });
}

for (const text of ['', '{', 'nan', '01']) {
  test(`${JSON.stringify(text)} is not JSON`, () => assert.equal(parseExactJson(text), undefined));
}
