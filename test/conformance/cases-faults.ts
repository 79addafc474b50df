/** A Glance, or a network, that fails. The faults are those of a proxy in front of the real one. */

import { createHash } from 'node:crypto';
import type { JsonValue } from '../../src/openstack/json.ts';
import type { ProxiedRequest, Rule } from '../env/proxy.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { onlyCindersIsActive } from './active.ts';
import type { Case } from './case.ts';
import type { Reason } from './reasons.ts';

const filled = { data: 'some data' };
const isImage = ({ method, path }: ProxiedRequest) => method === 'GET' && /^\/v2\/images\/[0-9a-f-]+$/.test(path);
const isFile =
  (asked: string) =>
  ({ method, path }: ProxiedRequest) =>
    method === asked && path.endsWith('/file');
const isCreation = ({ method, path }: ProxiedRequest) => method === 'POST' && path === '/v2/images';
const isDeletion = ({ method }: ProxiedRequest) => method === 'DELETE';
const isChange = ({ method }: ProxiedRequest) => method === 'PATCH';
const isList = ({ method, path }: ProxiedRequest) => method === 'GET' && /^\/v2\/images\?/.test(path);
const redirects = (status: number, matches: Rule['matches']): Rule => ({
  matches,
  fault: { kind: 'redirect', status },
  times: 1,
});
const page = { 'content-type': 'text/html' };
const binary = { 'content-type': 'application/octet-stream' };
const md5 = (data: string) => createHash('md5').update(data).digest('hex');
const answersJson = (body: JsonValue, matches: Rule['matches'], times?: number): Rule => ({
  matches,
  fault: {
    kind: 'answer',
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  },
  ...(times === undefined ? {} : { times }),
});
const answers = (status: number, matches: Rule['matches'], times?: number): Rule => ({
  matches,
  fault: { kind: 'answer', status, body: 'a fault' },
  ...(times === undefined ? {} : { times }),
});

function showing(name: string, status: number, cinder: string, ours: string, reason: Reason): Case {
  return {
    name,
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [answers(status, isImage)],
    retries: 1,
    cinder: [cinder],
    expect: { [reason]: { '/results/0': [cinder, ours] } },
  };
}

export const faultCases: readonly Case[] = [
  {
    name: 'show an image while Glance is unavailable, once',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [answers(503, isImage, 1)],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'show an image over connections that break, three times',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [{ matches: isImage, fault: { kind: 'refuse' }, times: 3 }],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'show an image over connections that always break',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [{ matches: isImage, fault: { kind: 'refuse' } }],
    retries: 1,
    cinder: ['GlanceConnectionFailed 500'],
    expect: { numbers: { '/results/0': ['GlanceConnectionFailed 500', 'GlanceConnectionFailed'] } },
  },
  {
    name: 'show an image while Glance rejects the token once',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [answers(401, isImage, 1)],
    cinder: ['ImageNotAuthorized 500'],
    expect: { token: { '/results/0': ['ImageNotAuthorized 500', 'returned'] } },
  },
  showing(
    'show an image while Glance is unavailable',
    503,
    'GlanceConnectionFailed 500',
    'GlanceConnectionFailed 503',
    'numbers',
  ),
  showing(
    'show an image while Glance has an error of its own',
    500,
    'HTTPInternalServerError 500',
    'GlanceUnavailable 500',
    'classes',
  ),
  showing(
    'show an image while the gateway to Glance is bad',
    502,
    'HTTPBadGateway 502',
    'GlanceUnavailable 502',
    'classes',
  ),
  showing(
    'show an image while the gateway to Glance is too slow',
    504,
    'HTTPException',
    'GlanceUnavailable 504',
    'classes',
  ),
  showing(
    'show an image while Glance limits the request rate',
    429,
    'HTTPException',
    'GlanceUnavailable 429',
    'classes',
  ),
  {
    name: 'list images while Glance is unavailable, once',
    given: { '<image>': { fields: { mark: '<mark>' } } },
    operations: [{ op: 'detail', filters: { owner: '<project>', mark: '<mark>' } }],
    faults: [answers(503, ({ path }) => path.startsWith('/v2/images?'), 1)],
    cinder: ['HTTPServiceUnavailable 503'],
    expect: { retries: { '/results/0': ['HTTPServiceUnavailable 503', 'returned'] } },
  },
  {
    name: 'list members while Glance is unavailable, once',
    given: { '<image>': { members: ['stranger'] } },
    operations: [{ op: 'listMembers', image: '<image>' }],
    faults: [answers(503, ({ path }) => path.endsWith('/members'), 1)],
    cinder: ['HTTPServiceUnavailable 503'],
    expect: { retries: { '/results/0': ['HTTPServiceUnavailable 503', 'returned'] } },
  },
  {
    name: 'create an image and lose the response',
    operations: [{ op: 'create', meta: { name: 'image', disk_format: 'raw', container_format: 'bare' } }],
    faults: [{ matches: isCreation, fault: { kind: 'loseAnswer' }, times: 1 }],
    cinder: ['returned'],
    expect: { onlyOnce: { '/glance/<new 2>': [{ status: 'queued' }, undefined] } },
  },
  {
    name: 'delete an image and lose the response',
    given: { '<image>': {} },
    operations: [{ op: 'delete', image: '<image>' }],
    faults: [{ matches: ({ method }) => method === 'DELETE', fault: { kind: 'loseAnswer' }, times: 1 }],
    cinder: ['ImageNotFound 404'],
    expect: 'same',
  },
  {
    name: 'upload data while Glance is unavailable, once',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data' }],
    faults: [answers(503, isFile('PUT'), 1)],
    cinder: ['returned'],
    expect: {
      replay: {
        '/results/0': ['returned', 'GlanceConnectionFailed 503'],
        ...onlyCindersIsActive(''),
      },
    },
  },
  {
    name: 'download an image whose data breaks off',
    given: { '<image>': filled },
    operations: [{ op: 'download', image: '<image>' }],
    faults: [{ matches: isFile('GET'), fault: { kind: 'truncate', bytes: 4 } }],
    retries: 0,
    cinder: ['ChunkedEncodingError'],
    expect: { downloads: { '/results/0': ['ChunkedEncodingError', 'ImageDownloadFailed'] } },
  },
  {
    name: 'download an image whose data is not what was stored',
    given: { '<image>': filled },
    operations: [{ op: 'download', image: '<image>' }],
    faults: [
      {
        matches: isFile('GET'),
        fault: {
          kind: 'answer',
          status: 200,
          headers: binary,
          body: 'same size',
        },
      },
    ],
    cinder: ['BrokenPipeError'],
    expect: { downloads: { '/results/0': ['BrokenPipeError', 'ImageCorrupted'] } },
  },
  {
    name: 'download an image whose digest has an unknown algorithm',
    operations: [{ op: 'download', image: imageId }],
    faults: [
      answersJson(
        wireImage({ size: 9, checksum: md5('some data'), os_hash_algo: 'sha999', os_hash_value: 'abc' }),
        isImage,
      ),
      { matches: isFile('GET'), fault: { kind: 'answer', status: 200, headers: binary, body: 'some data' } },
    ],
    cinder: ['ValueError'],
    expect: { digests: { '/results/0': ['ValueError', 'returned'] } },
  },
  {
    name: 'download an image whose digest has an unknown algorithm, and whose data is not what was stored',
    operations: [{ op: 'download', image: imageId }],
    faults: [
      answersJson(
        wireImage({ size: 9, checksum: md5('some data'), os_hash_algo: 'sha999', os_hash_value: 'abc' }),
        isImage,
      ),
      { matches: isFile('GET'), fault: { kind: 'answer', status: 200, headers: binary, body: 'same size' } },
    ],
    cinder: ['ValueError'],
    expect: { digests: { '/results/0': ['ValueError', 'ImageCorrupted'] } },
  },
  ...['/v2', '/v2/'].map(
    (suffix): Case => ({
      name: `show an image where the address of the server ends in ${suffix}`,
      given: { '<image>': {} },
      operations: [{ op: 'show', image: '<image>' }],
      suffix,
      cinder: ['ImageNotFound 404'],
      expect: { addresses: { '/results/0': ['ImageNotFound 404', 'returned'] } },
    }),
  ),
  {
    name: 'show an image where the address of the server ends in a slash',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    suffix: '/',
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'create an image where the response is a conflict, although there is no such image',
    operations: [{ op: 'create', meta: { name: 'image', disk_format: 'raw', container_format: 'bare' } }],
    faults: [answers(409, isCreation, 1)],
    cinder: ['HTTPConflict 409'],
    expect: { classes: { '/results/0': ['HTTPConflict 409', 'Conflict 409'] } },
  },
  ...[307, 308].map(
    (status): Case => ({
      name: `rename an image where the change is redirected to the same server by ${status}`,
      given: { '<image>': {} },
      operations: [{ op: 'update', image: '<image>', meta: { name: 'after' }, purge: false }],
      faults: [redirects(status, isChange)],
      cinder: ['returned'],
      expect: 'same',
    }),
  ),
  {
    name: 'rename an image where the change is redirected to the same server by 302',
    given: { '<image>': { fields: { name: 'before' } } },
    operations: [{ op: 'update', image: '<image>', meta: { name: 'after' }, purge: false }],
    faults: [redirects(302, isChange)],
    cinder: ['returned'],
    expect: {
      redirects: {
        '/results/0': ['returned', 'GlanceUnavailable 302'],
        '/glance/<image>/name': ['after', 'before'],
      },
    },
  },
  {
    name: 'delete an image where the deletion is redirected to the same server by 307',
    given: { '<image>': {} },
    operations: [{ op: 'delete', image: '<image>' }],
    faults: [redirects(307, ({ method }) => method === 'DELETE')],
    cinder: ['returned'],
    expect: 'same',
  },
  {
    name: 'upload data where the upload is redirected to the same server',
    given: { '<image>': {} },
    operations: [{ op: 'update', image: '<image>', meta: {}, data: 'some data' }],
    faults: [redirects(307, isFile('PUT'))],
    cinder: ['returned'],
    expect: { redirects: { '/results/0': ['returned', 'GlanceUnavailable 307'], ...onlyCindersIsActive('') } },
  },
  {
    name: 'show an image whose creation time is no time',
    operations: [{ op: 'show', image: imageId }],
    faults: [answersJson(wireImage({ created_at: 'junk' }), isImage, 1)],
    cinder: ['ValueError'],
    expect: { malformed: { '/results/0': ['ValueError', 'GlanceUnavailable'] } },
  },
  {
    name: 'show an image where the response is a redirect to nowhere',
    given: { '<image>': {} },
    operations: [{ op: 'show', image: '<image>' }],
    faults: [answers(302, isImage, 1)],
    cinder: ['AttributeError'],
    expect: { malformed: { '/results/0': ['AttributeError', 'GlanceUnavailable 302'] } },
  },
  {
    name: 'show an image where the response contains no image',
    operations: [{ op: 'show', image: imageId }],
    faults: [answersJson({ versions: [] }, isImage, 1)],
    cinder: ['returned'],
    expect: { malformed: { '/results/0': ['returned', 'GlanceUnavailable'] } },
  },
  {
    name: 'delete an image where a portal in front of Glance responds with its page',
    given: { '<image>': {} },
    operations: [{ op: 'delete', image: '<image>' }],
    faults: [{ matches: isDeletion, fault: { kind: 'answer', status: 200, headers: page, body: '<html>' }, times: 1 }],
    cinder: ['returned'],
    expect: { malformed: { '/results/0': ['returned', 'GlanceUnavailable'] } },
  },
  {
    name: 'list the stores of a cloud without named stores',
    operations: [{ op: 'getStores' }],
    faults: [answers(404, ({ path }) => path.startsWith('/v2/info/stores'), 1)],
    cinder: ['NotFound 404'],
    expect: { stores: { '/results/0': ['NotFound 404', 'returned'] } },
  },
  {
    name: 'list images where an empty page leads to another page',
    operations: [{ op: 'detail', filters: { owner: '<project>', mark: '<mark>' } }],
    faults: [answersJson({ images: [], next: '/v2/images?mark=nothing' }, isList, 1)],
    cinder: ['returned'],
    expect: { malformed: { '/results/0': ['returned', 'GlanceUnavailable'] } },
  },
];
