/** Every combination of what ownership depends on, and the one place that decides it. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { test } from 'node:test';
import { clusterProperty, imageIDOf, ownerProperty } from '../../src/image/model/identity.ts';
import { type Claim, type Ownership, ownershipOf } from '../../src/image/model/ownership.ts';
import { identity, imageOf, projectID, uid } from './resource.ts';

type Project = 'declared' | 'of the credentials' | 'applied last' | 'another' | 'none';
type OwnerMark = 'ours' | 'missing' | 'of another';
type ClusterMark = 'ours' | 'missing' | 'inherited' | 'of another' | 'no text';
type ImageID = 'derived' | 'of another uid';

interface Row {
  project: Project;
  owner: OwnerMark;
  cluster: ClusterMark;
  isRecorded: boolean;
  id: ImageID;
  isMoved: boolean;
}

const projects = {
  'of the credentials': projectID,
  declared: 'b'.repeat(32),
  'applied last': 'c'.repeat(32),
  another: 'd'.repeat(32),
  none: null,
};
const owners = { ours: identity.owner, missing: undefined, 'of another': `demo/debian/${'0'.repeat(32)}` };
const clusters = {
  ours: identity.cluster,
  missing: undefined,
  inherited: 'cluster-before',
  'of another': 'cluster-elsewhere',
  'no text': 7,
};
const ids = { derived: imageIDOf(uid, 3), 'of another uid': imageIDOf('11111111-1111-4111-8111-111111111111', 0) };

const keysOf = <Key extends string>(map: Record<Key, unknown>): Key[] => {
  const isKey = (key: string): key is Key => Object.hasOwn(map, key);
  return Object.keys(map).filter(isKey);
};

const rows: Row[] = keysOf(projects).flatMap((project) =>
  keysOf(owners).flatMap((owner) =>
    keysOf(clusters).flatMap((cluster) =>
      [true, false].flatMap((isRecorded) =>
        keysOf(ids).flatMap((id) =>
          [true, false].map((isMoved) => ({ project, owner, cluster, isRecorded, id, isMoved })),
        ),
      ),
    ),
  ),
);

function ownership({ project, owner, cluster, isRecorded, id, isMoved }: Row): Ownership {
  const claim: Claim = {
    ...identity,
    isOriginal: !isMoved,
    inheritFrom: [clusters.inherited],
    projects: [projects['of the credentials'], projects.declared, projects['applied last']],
    recorded: isRecorded ? [ids[id]] : [],
    next: 1,
  };
  const marks = {
    ...(owners[owner] === undefined ? {} : { [ownerProperty]: owners[owner] }),
    ...(clusters[cluster] === undefined ? {} : { [clusterProperty]: clusters[cluster] }),
  };
  return ownershipOf(imageOf({ id: ids[id], owner: projects[project], properties: marks }), claim);
}

/** As the design says it, without the order of the code. */
function isOurs({ project, owner, cluster, isRecorded, id, isMoved }: Row): boolean {
  const isOurProject = project !== 'another' && project !== 'none';
  const isOurCluster = cluster === 'ours' || cluster === 'inherited' || cluster === 'missing';
  const isOurMark = owner === 'ours' && (id === 'derived' || isRecorded || isMoved);
  const isRestorable = owner === 'missing' && isRecorded && id === 'derived';
  return isOurProject && isOurCluster && (isOurMark || isRestorable);
}

test('an image is ours exactly if project, marks, record and ID say so, in each of the 600 combinations', () => {
  assert.equal(rows.length, 600);
  for (const row of rows) {
    const found = ownership(row);
    assert.equal(found.kind === 'created', isOurs(row), JSON.stringify({ row, found }));
  }
  assert.equal(rows.filter(isOurs).length, 81);
});

test('an image of ours whose owner mark is missing is not marked, and any other of ours is', () => {
  for (const row of rows.filter(isOurs)) {
    const found = ownership(row);
    assert.equal(found.kind === 'created' && found.isMarked, row.owner === 'ours', JSON.stringify(row));
  }
});

test('an image with an ID of this uid has its number, and one of a moved object has the number 0', () => {
  for (const row of rows.filter(isOurs)) {
    const found = ownership(row);
    assert.equal(found.kind === 'created' && found.number, row.id === 'derived' ? 3 : 0, JSON.stringify(row));
  }
});

test('the reason why an image is foreign is that of the first difference: project, owner mark, cluster mark, ID', () => {
  for (const row of rows.filter((one) => !isOurs(one))) {
    const { project, owner, cluster, isRecorded } = row;
    const why =
      project === 'another' || project === 'none'
        ? 'project'
        : owner === 'of another'
          ? 'owner'
          : cluster === 'of another' || cluster === 'no text'
            ? 'cluster'
            : owner === 'missing' && !isRecorded
              ? 'owner'
              : 'id';
    assert.deepEqual(ownership(row), { kind: 'foreign', why }, JSON.stringify(row));
  }
});

test('the images of a moved object, whose IDs follow from another uid, cost few hashes', (t) => {
  const hashes = t.mock.method(crypto, 'createHash');
  syncBuiltinESMExports();
  try {
    for (const isRecorded of [true, false])
      ownership({
        project: 'declared',
        owner: 'ours',
        cluster: 'ours',
        isRecorded,
        id: 'of another uid',
        isMoved: true,
      });
    assert.ok(hashes.mock.callCount() > 0 && hashes.mock.callCount() < 300, `${hashes.mock.callCount()} hashes`);
  } finally {
    hashes.mock.restore();
    syncBuiltinESMExports();
  }
});
