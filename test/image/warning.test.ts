import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { readImage } from '../../src/glance/image.ts';
import { desire } from '../../src/image/model/desired.ts';
import { isMatch } from '../../src/image/observe/import-filter.ts';
import { warningOf } from '../../src/image/status/warning.ts';
import { parseResponseJson } from '../../src/kubernetes/response.ts';
import { wireImage } from '../glance/model.ts';
import { content, identity, imageOf, projectID, resourceOf } from './resource.ts';

const warned = (
  spec: Record<string, unknown>,
  properties?: Record<string, unknown>,
  seen: Partial<Parameters<typeof warningOf>[1]> = {},
) =>
  warningOf(resourceOf({ spec }), {
    properties,
    transferWarnings: undefined,
    unremovable: undefined,
    unknownUse: [],
    virtualSize: undefined,
    ...seen,
  });

const stuck = { image_id: 'x', __doc__: 'y', ' a': 'z', os_glance_importing_to_stores: '', ok: '1' };

test('properties that a purge cannot remove are reported as a Warning, by their names', () => {
  const warning = warned({}, stuck);
  assert.equal(warning?.reason, 'PropertyNotRemovable');
  assert.match(warning.message, /: "image_id", "__doc__", " a"$/);
});

test('properties that nothing asks to remove are no reason for a Warning', () => {
  assert.equal(warned({ propertyPolicy: 'Merge' }, stuck), undefined);
  assert.equal(warned({}, { ok: '1' }), undefined);
  assert.equal(warned({}, undefined), undefined);
});

test('properties that the cloud keeps from being removed are reported while the image has them', () => {
  const options = { unremovable: ['hw_rule', 'gone'] };
  for (const propertyPolicy of ['Purge', 'Merge']) {
    const warning = warned({ propertyPolicy }, { hw_rule: 'x', ok: '1' }, options);
    assert.equal(warning?.reason, 'PropertyNotRemovable');
    assert.match(warning.message, /property protections of this cloud keep: "hw_rule"$/);
  }
  assert.equal(warned({}, { ok: '1' }, options), undefined);
});

const declare = (properties: Record<string, unknown>) => resourceOf({ spec: { image: { properties } } });

test('a property that is named like a method or like the prototype of a JavaScript object is declared like any other', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const properties = Object.fromEntries(names.map((name) => [name, name]));
  const desired = desire(declare(properties), identity, projectID, undefined);
  assert.deepEqual(desired.propertyKeys, names.toSorted());
  const wanted = new Map(Object.entries(desired.image.properties ?? {}));
  for (const name of names) assert.equal(wanted.get(name), name);
});

test('a map of a declaration keeps each of its keys, in a filter too, which would otherwise match other images', () => {
  const properties: object = JSON.parse('{"__proto__":"1","constructor":"2"}');
  const keys = (map: object = {}) => Object.keys(map).toSorted();
  const found = resourceOf({
    spec: { managementPolicy: 'Observe', import: { filter: { properties }, select: 'Only' } },
  });
  assert.deepEqual(keys(found.spec.import?.filter?.properties), keys(properties));
  const made = resourceOf({ spec: { image: { properties } } });
  assert.deepEqual(keys(made.spec.image.properties), keys(properties));
});

test('an image without a property does not match a filter for it, whatever its name', () => {
  for (const name of ['__proto__', 'constructor', 'toString', 'os_distro']) {
    const filter = { properties: Object.fromEntries([[name, 'x']]) };
    assert.equal(isMatch(imageOf(), filter), false, name);
    assert.equal(isMatch(imageOf({ properties: Object.fromEntries([[name, 'x']]) }), filter), true, name);
  }
});

test('a list or object in a property keeps each of its keys', () => {
  const text = '{"__proto__":{"constructor":1},"list":[{"__proto__":2}]}';
  const desired = desire(declare({ mappings: JSON.parse(text) }), identity, projectID, undefined);
  assert.equal(JSON.stringify(desired.image.properties?.['mappings']), text);
});

test('a declared property is rejected by name if Glance cannot change a property of that name', () => {
  for (const name of ['__init__', '_abc_impl', 'size', 'os_glance_x', ' a', 'a\x1c']) {
    assert.throws(
      () => desire(declare({ [name]: 'x' }), identity, projectID, undefined),
      (error) => error instanceof Error && error.message.includes(`cannot contain ${JSON.stringify(name)}: `),
    );
  }
});

test('the names of a property that are rejected have a reason: no name, and the name of the ID', () => {
  assert.throws(
    () => desire(declare({ '': 'x' }), identity, projectID, undefined),
    /cannot contain "": a property needs a name/,
  );
  assert.throws(
    () => desire(declare({ id: 'x' }), identity, projectID, undefined),
    /the operator chooses the ID of the image/,
  );
});

test('a file that is trusted at its first use, and an unsigned list over http, are warnings', () => {
  const of = (scheme: string, digestFrom: Record<string, unknown>, verify?: Record<string, unknown>) => {
    const http = { url: `${scheme}://images.example.com/a`, digestFrom };
    const declared = resourceOf({ spec: { content: { http, verify }, image: { diskFormat: 'raw' } } }).spec.content;
    return warned({}, {}, { declared });
  };
  const list = (scheme: string) => ({ checksums: { url: `${scheme}://images.example.com/SHA256SUMS` } });
  const signed = { openPGP: { keysFrom: { secretRef: { name: 'keys' } } } };
  assert.equal(of('https', list('https')), undefined);
  assert.equal(of('http', list('https')), undefined);
  assert.equal(of('https', list('http'), signed), undefined);
  const unsigned = of('https', list('http'));
  assert.equal(unsigned?.reason, 'UnsignedList');
  assert.match(
    unsigned.message,
    /SHA256SUMS is read over http and has no declared signature.*declare content\.verify$/,
  );
  for (const scheme of ['http', 'https']) {
    const warning = of(scheme, { firstUse: {} });
    assert.equal(warning?.reason, 'FirstUse');
    assert.equal(/over http, where everyone/.test(warning.message), scheme === 'http');
  }
});

test('several warnings share the condition, with the reason of the first', () => {
  const http = { ...content.http, digest: `md5:${'1'.repeat(32)}` };
  const warning = warned({ content: { http }, image: { diskFormat: 'raw', properties: { os_version: 24.1 } } }, stuck, {
    transferWarnings: ['the source redirected to http'],
  });
  assert.equal(warning?.reason, 'WeakDigest');
  assert.match(warning.message, /^md5 detects .*; the source redirected to http; .*"os_version" is 24\.1.*; .*" a"$/);
});

test('a weak digest of a mirror is a warning, too', () => {
  const mirrors = [{ url: 'https://example.net/x.xz', digest: `sha1:${'1'.repeat(40)}` }];
  const warning = warned({ content: { http: { ...content.http, mirrors } }, image: { diskFormat: 'raw' } });
  assert.equal(warning?.reason, 'WeakDigest');
  assert.match(warning.message, /^sha1 detects/);
});

test('a warning fits into its condition, however many names it lists', () => {
  const properties = Object.fromEntries(
    Array.from({ length: 1000 }, (_, index) => [` ${'x'.repeat(200)}${index}`, '']),
  );
  assert.ok((warned({}, properties)?.message.length ?? 0) < 4096);
});

test('a fraction in a property is a Warning, because a version loses its zeros', () => {
  const warning = warned({ image: { properties: { os_version: 24.1, cores: 4, name: '24.10', deep: [1.5] } } });
  assert.equal(warning?.reason, 'FractionalProperty');
  assert.match(warning.message, /24\.10 becomes 24\.1.*"os_version" is 24\.1; put versions in quotes$/);
  assert.equal(warned({ image: { properties: { build: 20241101, os_version: '24.10' } } }), undefined);
});

test('a compressed file is a Warning with WebDownload, which stores it as it is', () => {
  const digest = `sha512:${'1'.repeat(128)}`;
  const of = (url: string, method: string, containerFormat = 'bare') =>
    warned({ content: { http: { url, digest }, method }, image: { diskFormat: 'raw', containerFormat } })?.reason;
  for (const name of ['a.raw.xz', 'a.raw.gz?sig=1', 'a.BZ2', 'a.zip', 'a.tar'])
    assert.equal(of(`https://example.com/${name}`, 'WebDownload'), 'NotDecompressed', name);
  assert.equal(of('https://example.com/a.raw.xz', 'Upload'), undefined);
  assert.equal(of('https://example.com/a.raw?x=.xz', 'WebDownload'), undefined);
  assert.equal(of('https://example.com/a.raw.gz', 'WebDownload', 'compressed'), undefined);
});

const fromApiServer = (json: string) => {
  const properties = parseResponseJson('GET', `{"properties":${json}}`);
  return resourceOf({ spec: { image: properties } });
};
const wanted = (json: string) => desire(fromApiServer(json), identity, projectID, undefined).image.properties;

test('an integer beyond 2^53 is exact in a property', () => {
  const large =
    '{"a": 20241101123456789, "b":9007199254740993, "c":-9007199254740993, "d": 9007199254740991, "e": "123"}';
  assert.partialDeepStrictEqual(wanted(large), {
    a: '20241101123456789',
    b: '9007199254740993',
    c: '-9007199254740993',
    d: 9007199254740991,
    e: '123',
  });
});

test('an integer that the API server rounds is rejected by its name', () => {
  assert.partialDeepStrictEqual(wanted('{"a": 9223372036854775807, "b": -9223372036854775808}'), {
    a: '9223372036854775807',
    b: '-9223372036854775808',
  });
  for (const integer of ['9223372036854775808', '-9223372036854775809', '12345678901234567000', '1e20', '-1e+22'])
    assert.throws(() => wanted(`{"build": ${integer}}`), {
      code: 'InvalidSpec',
      message: /"build" is an integer beyond 2\^63, which the API server rounds: put it in quotes/,
    });
  assert.throws(() => wanted('{"mappings": [{"x": 1e20}]}'), { code: 'InvalidSpec' });
});

test('an integer beyond 2^53 inside a list or object is rejected by its name', () => {
  assert.throws(() => wanted('{"mappings": [{"x": 9007199254740993}]}'), {
    code: 'InvalidSpec',
    message: /"mappings" has an integer beyond 2\^53 .*put it in quotes/,
  });
});

test('a property that is nested too deeply is rejected by its name, at any depth that the API server admits', () => {
  const nested = (levels: number, core = '') => `{"p": ${'['.repeat(levels)}${core}${']'.repeat(levels)}}`;
  assert.ok(wanted(nested(32)) !== undefined);
  for (const levels of [33, 1000, 9000])
    for (const core of ['', '9007199254740993'])
      assert.throws(() => wanted(nested(levels, core)), {
        code: 'InvalidSpec',
        message: /"p" (is nested|has an integer)/,
      });
});

test('deeply nested JSON in a property of Glance is read as text, and compared without an error', () => {
  const text = '['.repeat(20_000) + ']'.repeat(20_000);
  const image = () => readImage(wireImage({ block_device_mapping: text })) ?? assert.fail();
  assert.equal(image().properties['block_device_mapping'], text);
  assert.ok(isDeepStrictEqual(image(), image()));
});

const disk = (minDiskGiB: number, virtualSize: number) =>
  warned({ image: { diskFormat: 'qcow2', minDiskGiB } }, undefined, { virtualSize });

test('a minDiskGiB that was lowered below the disk of a verified image is applied, and reported as a Warning', () => {
  const warning = disk(5, 5 * 2 ** 30 + 1);
  assert.equal(warning?.reason, 'MinDiskTooSmall');
  assert.match(warning.message, /a disk of 5.* \(5368709121 bytes\).*set it to 6$/);
});

test('a minDiskGiB that the disk fits into, and one that is not declared, are no reason for a Warning', () => {
  assert.equal(disk(5, 5 * 2 ** 30), undefined);
  assert.equal(disk(0, 5 * 2 ** 30), undefined);
});
