/** The order of versions, and patterns. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { compareVersions, matchPattern, versionBetween } from '../../../src/source/checksums/names.ts';

describe('versions and patterns', () => {
  test('versions are compared by their numbers, and previews are before what they announce', () => {
    const inOrder = [
      '1.9-rc1',
      '1.9',
      '1.10-beta2',
      '1.10-rc1',
      '1.10-rc2',
      '1.10',
      '1.10-1',
      '1.10.1',
      '2.0',
      '20260101.9',
      '20260101.10',
    ];
    const shuffled = fc.shuffledSubarray(inOrder, { minLength: inOrder.length });
    fc.assert(
      fc.property(shuffled, (list) => {
        assert.deepEqual([...list].sort(compareVersions).map(canonical), inOrder.map(canonical));
      }),
    );
  });

  test('the order of versions is total', () => {
    const version = fc.stringMatching(/^[0-9a-cA-C.-]{0,8}$/);
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        assert.equal(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a)), 0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0);
      }),
    );
  });

  test('versions with numbers beyond 2^53 are compared exactly', () => {
    assert.ok(compareVersions('20260928120000123456', '20260928120000123457') < 0);
    assert.equal(compareVersions('007', '7'), 0);
  });

  test('a pattern gives what its stars stand for', () => {
    assert.deepEqual(matchPattern('a-*-b*.img', 'a-1-x-b2.img'), ['1-x', '2']);
    assert.deepEqual(matchPattern('disk.img', 'disk.img'), []);
    for (const [pattern, name] of [
      ['disk.img', 'disk_img'],
      ['a*a', 'a'],
      ['*.img', 'x/y.img'],
      ['a*b*c', 'a-c-b'],
    ] as const)
      assert.equal(matchPattern(pattern, name), undefined, `${pattern} ${name}`);
  });

  test('a pattern matches as a regular expression of the same meaning does', () => {
    const text = fc.stringMatching(/^[ab*/]{0,6}$/);
    fc.assert(
      fc.property(text, fc.stringMatching(/^[ab/]{0,8}$/), (pattern, name) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '[^/]*')}$`);
        assert.equal(matchPattern(pattern, name) !== undefined, expression.test(name));
      }),
      { numRuns: 1000 },
    );
  });

  test('the version of a dated name is what the other name does not have', () => {
    assert.equal(versionBetween('disk-latest.x86_64.qcow2', 'disk-9.8-2026.x86_64.qcow2'), '9.8-2026');
    assert.equal(versionBetween('disk.qcow2', 'disk-20260101.qcow2'), '20260101');
  });
});

/** Without what separates its parts. */
function canonical(version: string): string {
  return version.replaceAll(/[.-]/g, ' ');
}
