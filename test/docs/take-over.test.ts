/** Takes an image over as the how-to says: its blocks run as written, against the real servers and Terraform where it is installed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { z } from 'zod';
import { markProperties } from '../../src/image/model/identity.ts';
import { raw } from '../env/images.ts';
import { kubeconfig } from '../env/kubeconfig.ts';
import type { ImageRecord } from '../env/project.ts';
import { digestOf } from '../operator/digest.ts';
import { World } from '../operator/world.ts';
import { type Block, readPage } from './pages.ts';
import { type Reader, startReader } from './reader.ts';

const body = raw(64 * 1024);
const idInPage = '6b1fd7a2-27a5-590a-a79f-a615feb2aec1';
const digestInPage = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

/** Does what `terraform state rm` does to a state file. */
const terraform = `#!/usr/bin/env node
const fs = require('node:fs');
const [, , what, how, address = ''] = process.argv;
if (what !== 'state' || how !== 'rm') throw new Error('it is not there');
const state = JSON.parse(fs.readFileSync('terraform.tfstate', 'utf8'));
const left = state.resources.filter(({ type, name }) => type + '.' + name !== address);
if (left.length === state.resources.length) throw new Error('no such resource');
fs.writeFileSync('terraform.tfstate', JSON.stringify({ ...state, resources: left }));
`;
const hasTerraform = spawnSync('terraform', ['version']).status === 0;
const stateSchema = z.object({ resources: z.array(z.object({ type: z.string(), name: z.string() })) });

const stateOf = (id: string) => ({
  version: 4,
  terraform_version: '1.7.0',
  serial: 1,
  lineage: 'a',
  outputs: {},
  resources: ['openstack_images_image_v2.golden', 'openstack_compute_instance_v2.web'].map((address) => {
    const [type, name] = address.split('.');
    const provider = 'provider["registry.terraform.io/terraform-provider-openstack/openstack"]';
    return { mode: 'managed', type, name, provider, instances: [{ schema_version: 0, attributes: { id } }] };
  }),
});

/** The fields that the page changes of the Image of ORC. */
const ofORC = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: 'images.openstack.k-orc.cloud',
    annotations: { 'api-approved.kubernetes.io': 'unapproved, for a test' },
  },
  spec: {
    group: 'openstack.k-orc.cloud',
    names: { kind: 'Image', plural: 'images' },
    scope: 'Namespaced',
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
      },
    ],
  },
};

describe('a reader who takes an image over', () => {
  const directory = mkdtempSync(join(tmpdir(), 'take-over-'));
  let world: World;
  let reader: Reader;
  let image: ImageRecord;
  let copyOfImage: () => Promise<ImageRecord>;
  before(async () => {
    world = await World.create();
    const { stack, project, namespace } = world;
    image = await project.createImage(
      {
        name: 'golden',
        disk_format: 'raw',
        container_format: 'bare',
        tags: ['golden', 'managed_by_osism'],
        os_distro: 'debian',
        internal_version: '20261101',
      },
      body,
    );
    copyOfImage = () => project.getImage(image.id);
    const { kubernetes } = stack;
    await kubernetes.apply(JSON.stringify(ofORC));
    await kubernetes.kubectl(['wait', '--for=condition=Established', `crd/${ofORC.metadata.name}`, '--timeout=60s']);
    const metadata = { name: 'golden', namespace };
    await kubernetes.apply(JSON.stringify({ apiVersion: 'openstack.k-orc.cloud/v1alpha1', kind: 'Image', metadata }));
    const access = join(directory, '.kubeconfig');
    const { server, caPem: ca, adminToken: token } = kubernetes;
    writeFileSync(access, kubeconfig({ server, ca, token, namespace }), { mode: 0o600 });
    writeFileSync(join(directory, 'terraform.tfstate'), JSON.stringify(stateOf(image.id)));
    reader = await startReader({
      directory,
      kubeconfig: access,
      project,
      replacements: [
        [idInPage, image.id],
        [digestInPage, digestOf(body)],
        ['https://images.example.com/golden.raw', world.source.add('/golden.raw', { body })],
      ],
      programs: hasTerraform ? {} : { terraform },
    });
  });
  after(async () => {
    await reader?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  const { blocks } = readPage('docs/how-to/take-over.md');
  /** Blocks of HCL are checked with those of all pages. */
  const under = (...headings: string[]) =>
    blocks.filter(({ heading, language }: Block) => headings.includes(heading) && language !== 'hcl');
  const walked = [
    ['1. Look at it'],
    ['Terraform and OpenTofu', 'ORC', 'image-manager'],
    ['3. Take it over'],
    ['4. Declare the rest'],
    ['Make another image instead'],
    ['Give it back'],
  ];

  test('every command of the page on taking over is run', () => {
    const ran = new Set(walked.flat());
    assert.deepEqual(
      blocks.filter(({ heading, language }) => language !== 'hcl' && !ran.has(heading)).map(({ at }) => at),
      [],
    );
  });

  test('an image is observed, taken over, declared and given back as the page says, and keeps its ID and data', async () => {
    await reader.walk(under('1. Look at it'));
    assert.deepEqual(await copyOfImage(), image, 'observing writes nothing');

    await reader.walk(under('Terraform and OpenTofu', 'ORC', 'image-manager'));
    const { resources } = stateSchema.parse(JSON.parse(readFileSync(join(directory, 'terraform.tfstate'), 'utf8')));
    assert.deepEqual(
      resources.map(({ name }) => name),
      ['web'],
    );
    const untagged = await copyOfImage();
    assert.deepEqual(untagged.tags, ['golden']);

    await reader.walk(under('3. Take it over'));
    assert.deepEqual(unmarked(await copyOfImage()), unmarked(untagged), 'only the marks are new');

    await reader.walk(under('4. Declare the rest'));
    const declared = await copyOfImage();
    assert.deepEqual(
      [declared['os_version'], declared['internal_version'], declared.os_hash_value],
      ['13', '20261101', image.os_hash_value],
    );

    const [copying, deletion] = [
      under('Make another image instead').slice(0, -1),
      under('Make another image instead').slice(-1),
    ];
    await reader.walk(copying);
    await reader.walk(under('Give it back'));
    const given = await copyOfImage();
    assert.deepEqual(
      markProperties.filter((mark) => given[mark] !== undefined),
      [],
    );
    await reader.walk(deletion);
    assert.deepEqual(
      (await world.images()).map(({ name }) => name),
      ['golden-copy'],
    );
  });
});

/** Without the marks, and the time that Glance changes with them. */
function unmarked(image: ImageRecord): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(image).filter(([key]) => key !== 'updated_at' && !markProperties.includes(key)),
  );
}
