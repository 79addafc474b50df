/** The values of fingerprints are on images in Glance, so no version may write another one for the same content. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { contentOf } from '../../src/image/model/content.ts';
import {
  bindingOf,
  contentMark,
  declarationOn,
  digestIn,
  type Fingerprinted,
  fingerprintOf,
  fingerprintOn,
} from '../../src/image/model/fingerprint.ts';
import { contentProperty } from '../../src/image/model/identity.ts';
import { fillPlan } from '../../src/image/model/transfer.ts';
import { defaultLimits } from '../../src/transfer/plan.ts';
import { imageOf, resourceOf } from './resource.ts';

const url = 'https://example.com/image.raw';
const sha256 = `sha256:${'1'.repeat(64)}`;
const sha512 = `sha512:${'e'.repeat(128)}`;
const md5 = `md5:${'a'.repeat(32)}`;
const id = '4beb43e2-a2cb-5e56-986a-6962fe5cfdbb';
const secretRef = { name: 'other' };

const rows: [fingerprint: string, content: object, image?: object][] = [
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url, digest: sha256 } }],
  [`v1;${sha512};Served;Auto;raw;bare`, { http: { url, digest: sha512 } }],
  [`v1;${md5};Served;Auto;raw;bare`, { http: { url, digest: md5 } }],
  [`v1;${sha256};Image;Auto;raw;bare`, { http: { url, digest: sha256, digestOf: 'Image' } }],
  [`v1;${sha256};Served;None;raw;bare`, { http: { url, digest: sha256, decompress: 'None' } }],
  [`v1;${sha256};Image;None;raw;bare`, { http: { url, digest: sha256, digestOf: 'Image', decompress: 'None' } }],
  [`v1;${sha256};Served;Auto;qcow2;bare`, { http: { url, digest: sha256 } }, { diskFormat: 'qcow2' }],
  [`v1;${sha256};Served;Auto;iso;bare`, { http: { url, digest: sha256 } }, { diskFormat: 'iso' }],
  [
    `v1;${sha256};Served;Auto;vmdk;ova`,
    { http: { url, digest: sha256 } },
    { diskFormat: 'vmdk', containerFormat: 'ova' },
  ],
  [
    `v1;${sha256};Served;Auto;raw;docker`,
    { http: { url, digest: sha256 } },
    { diskFormat: 'raw', containerFormat: 'docker' },
  ],
  [
    `v1;${sha256};Served;None;qcow2;compressed`,
    { http: { url, digest: sha256 } },
    { diskFormat: 'qcow2', containerFormat: 'compressed' },
  ],
  [
    `v1;${sha256};Served;None;aki;aki`,
    { http: { url, digest: sha256 } },
    { diskFormat: 'aki', containerFormat: 'aki' },
  ],
  // The name of a file in an archive came later.
  [`v1;${sha256};Served;Auto;raw;bare;member=*.raw`, { http: { url, digest: sha256, member: '*.raw' } }],
  [
    `v1;${sha256};Served;Auto;aki;aki;member=boot/vmlinuz`,
    { http: { url, digest: sha256, member: 'boot/vmlinuz' } },
    { diskFormat: 'aki', containerFormat: 'aki' },
  ],
  // So did the conversion.
  [`v1;${sha256};Served;None;raw;bare;convert=Raw`, { http: { url, digest: sha256 }, convert: 'Raw' }],
  [
    `v1;${sha256};Image;None;raw;bare;convert=Raw`,
    { http: { url, digest: sha256, digestOf: 'Image' }, convert: 'Raw' },
  ],
  // URLs, mirrors, methods, stores and minimum sizes do not change the bytes.
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url: 'https://elsewhere.example.com/x', digest: sha256 } }],
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url, digest: sha256, mirrors: [{ url: 'https://example.net/x' }] } }],
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url, digest: sha256 }, method: 'Stage' }],
  [`v1;${sha512};Served;None;raw;bare`, { http: { url, digest: sha512 }, method: 'WebDownload' }],
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url, digest: sha256 } }, { diskFormat: 'raw', stores: ['a'] }],
  [`v1;${sha256};Served;Auto;raw;bare`, { http: { url, digest: sha256 } }, { diskFormat: 'raw', minDiskGiB: 20 }],
  [`v1;glance=${id};raw;bare`, { glance: { image: id } }],
  [`v1;glance=${id};qcow2;bare`, { glance: { image: id, cloud: { secretRef, name: 'x' } } }, { diskFormat: 'qcow2' }],
  [
    `v1;glance=${id};raw;bare`,
    { glance: { image: `https://glance.example.com/v2/images/${id}`, cloud: { secretRef, name: 'x' } } },
  ],
];

describe('the fingerprint of a content', () => {
  for (const [index, [fingerprint, content, image = { diskFormat: 'raw' }]] of rows.entries()) {
    test(`fingerprint ${index + 1} is ${fingerprint}, of the content and of the plan of its transfer`, () => {
      const resource = resourceOf({ spec: { content, image } });
      const declared = contentOf(resource) ?? assert.fail();
      assert.equal(fingerprintOf(declared), fingerprint);
      const terms = { address: 'https://glance.example.com', limits: defaultLimits };
      const plan = fillPlan(resource, imageOf().id, declared, terms);
      assert.equal(fingerprintOf(plan), fingerprint);
      // The finding of a transfer is for the declaration that the transfer was started for.
      assert.equal(bindingOf(plan, plan.cloud), bindingOf(declared, resource.spec.cloud));
    });
  }

  test('the formats of a content that names no container format are those of a bare one', () => {
    const content: Fingerprinted = {
      source: { kind: 'http', url, mirrors: [] },
      digest: sha256.toUpperCase().replace('SHA256', 'sha256'),
      digestOf: 'Served',
      decompress: 'Auto',
      diskFormat: 'raw',
    };
    assert.equal(fingerprintOf(content), `v1;${sha256};Served;Auto;raw;bare`);
  });
});

describe('the digest in a fingerprint', () => {
  const digests: [fingerprint: string, digest: string | undefined][] = [
    [`v1;${sha256};Served;Auto;raw;bare`, sha256],
    [`v1;${sha512};Image;None;qcow2;bare;Raw`, sha512],
    [`v1;glance=${id};raw;bare`, undefined],
    [`v2;${sha256};Served;Auto;raw;bare`, undefined],
    ['v1;SHA256:11;Served;Auto;raw;bare', undefined],
    ['v1', undefined],
    ['', undefined],
  ];
  for (const [fingerprint, digest] of digests) {
    test(`the digest in ${JSON.stringify(fingerprint.slice(0, 24))} is ${digest?.slice(0, 12) ?? 'none'}`, () => {
      assert.equal(digestIn(fingerprint), digest);
    });
  }
});

describe('the property on an image whose digest a publisher provided', () => {
  const declaration = '0123456789abcdef';
  const withMark = (mark: string) => ({ properties: { [contentProperty]: mark } });

  test('the property has the declaration after the formats, and before the fields that were added later', () => {
    const marks: [fingerprint: string, mark: string][] = [
      [`v1;${sha256};Served;Auto;raw;bare`, `v1;${sha256};Served;Auto;raw;bare;source=${declaration}`],
      [
        `v1;${sha256};Served;Auto;raw;bare;convert=Raw;member=a.raw`,
        `v1;${sha256};Served;Auto;raw;bare;source=${declaration};convert=Raw;member=a.raw`,
      ],
      [`v1;glance=${id};raw;bare`, `v1;glance=${id};raw;bare`],
    ];
    for (const [fingerprint, mark] of marks) assert.equal(contentMark(fingerprint, declaration), mark);
  });

  test('the same fingerprint is read from the property with a declaration and without one, whatever the member is called', () => {
    for (const { 0: fingerprint } of rows)
      for (const added of [
        '',
        ';member=a',
        `;member=x;source=${declaration}`,
        `;convert=Raw;member=source=${declaration}`,
      ])
        for (const made of [undefined, declaration]) {
          const image = withMark(contentMark(`${fingerprint}${added}`, made));
          assert.equal(fingerprintOn(image), `${fingerprint}${added}`);
          const isListed = digestIn(fingerprint) !== undefined;
          assert.equal(declarationOn(image), isListed ? made : undefined);
        }
  });

  test('no declaration is read from a property without one or with another text', () => {
    const short = `v1;${sha256};Served;Auto;raw;bare;source=0123`;
    for (const mark of ['', 'x', `source=${declaration}`, short]) {
      assert.equal(declarationOn(withMark(mark)), undefined);
      assert.equal(fingerprintOn(withMark(mark)), mark);
    }
    assert.deepEqual([fingerprintOn({ properties: {} }), declarationOn({ properties: {} })], [undefined, undefined]);
  });
});
