/**
 * Our side of a comparison: the library `glance-image-operator/glance`, called as a program without types would call
 * it, so that odd values reach it, too.
 *
 * Invariant: names are translated and values never, so every difference in a value is found.
 */
import { createHash } from 'node:crypto';
import { Writable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import {
  type ConnectedImageService,
  type ConnectOptions,
  connectImageService,
  getRemoteImageService,
  type ImageFields,
  type ImageQuery,
  type ImageService,
  isImageAvailable,
  OperatorError,
  type ServiceImage,
} from '../../src/library/index.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../src/openstack/json.ts';
import type { Project } from '../env/project.ts';
import type { Meta, Operation, Who } from './operation.ts';
import type { Outcome, RunOptions, Side } from './side.ts';

export interface OursOptions {
  /** Glance without a version. */
  glance: string;
  own: Project;
  stranger: Project;
}

export function createOurs({ glance: usual, own, stranger }: OursOptions): Side {
  const open = new Map<string, Promise<ConnectedImageService>>();

  async function connect(who: Who, imageUrl: string, options: Partial<ConnectOptions>) {
    const project = who === 'stranger' ? stranger : own;
    const cloudsYaml = await project.cloudsYaml({ user: who === 'reader' ? 'reader' : 'member', imageUrl });
    // Cinder sends its token wherever a reference leads; here it has to be allowed.
    const trustedEndpoints = [usual, `${imageUrl}/another`];
    return connectImageService({ cloudsYaml, cloud: 'demo', trustedEndpoints, ...options });
  }

  /** One service for all cases that ask alike, so that not each of them has to sign in. */
  async function connected(
    operation: Operation,
    { glance = usual, retries }: RunOptions,
  ): Promise<ConnectedImageService> {
    const who = operation.as ?? 'member';
    // Cinder opens any path.
    const fileDirectories = operation.op === 'download' && operation.schemes?.includes('file') ? ['/'] : [];
    const key = JSON.stringify([who, glance, retries, fileDirectories]);
    const service =
      open.get(key) ?? connect(who, glance, { fileDirectories, ...(retries === undefined ? {} : { retries }) });
    open.set(key, service);
    return service;
  }

  return {
    async run(operations, options) {
      const outcomes: Outcome[] = [];
      for (const operation of operations) {
        const base = await connected(operation, options);
        const parts = { service: base, connect: base.at };
        await using remote = options.remote === undefined ? undefined : getRemoteImageService(options.remote, parts);
        outcomes.push(await outcomeOf(() => perform(remote?.service ?? base, base, operation)));
      }
      return outcomes;
    },
    async close() {
      for (const service of open.values()) await (await service).close();
    },
  };
}

async function outcomeOf(work: () => Promise<JsonValue>): Promise<Outcome> {
  try {
    return { returned: await work() };
  } catch (error) {
    // Everything else, such as a TypeError, is a mistake of ours.
    if (!(error instanceof OperatorError)) throw error;
    const { name } = error.constructor;
    return { error: cindersNames[name] ?? name, code: error.httpStatus ?? null, text: error.message };
  }
}

const cindersNames: Readonly<Record<string, string>> = { InvalidRequest: 'Invalid' };

async function perform(service: ImageService, base: ConnectedImageService, asked: Operation): Promise<JsonValue> {
  switch (asked.op) {
    case 'create':
      return inCindersShape(await service.create(fieldsOf(asked.meta), dataOf(asked)));
    case 'update': {
      const { image, meta, purge, store, baseImageRef } = asked;
      const where = { ...(store ? { store } : {}), ...(baseImageRef ? { baseImageRef } : {}) };
      const options = { ...dataOf(asked), ...where, ...(purge === undefined ? {} : { purge }) };
      return inCindersShape(await service.update(image, fieldsOf(meta), options));
    }
    case 'giveBack': {
      const shown = await service.show(asked.image);
      return inCindersShape(await service.update(asked.image, { ...shown, ...fieldsOf(asked.meta) }));
    }
    case 'show':
      return inCindersShape(await service.show(asked.image));
    case 'showRef': {
      await using remote = getRemoteImageService(asked.ref, { service, connect: base.at });
      return inCindersShape(await remote.service.show(remote.id));
    }
    case 'detail': {
      const images: JsonObject[] = [];
      for await (const image of service.detail(queryOf(asked))) images.push(inCindersShape(image));
      return images;
    }
    case 'isAvailable': {
      const { token, admin, project, user } = asked.to;
      const { visibility, properties, ...rest } = asked.image;
      const image = {
        visibility: String(visibility),
        properties: { ...rest, ...(isJsonObject(properties) ? properties : {}) },
      };
      const requester = { token: token !== null, admin, projectId: project, userId: user };
      const members = asked.members.map((member) => ({ memberId: member.project, status: member.status }));
      return isImageAvailable(image, requester, members);
    }
    case 'delete':
      await service.delete(asked.image);
      return true;
    case 'listMembers':
      return (await service.listMembers(asked.image)).map(({ imageId, memberId, status, createdAt, updatedAt }) => ({
        image_id: imageId,
        member_id: memberId,
        status,
        created_at: createdAt,
        updated_at: updatedAt,
      }));
    case 'getStores':
      return {
        stores: ((await service.getStores()) ?? []).map(({ isDefault, readOnly, ...rest }) => ({
          ...rest,
          default: isDefault,
          'read-only': readOnly,
        })),
      };
    case 'getLocation': {
      const { directUrl, locations } = await service.getLocation(asked.image);
      return [directUrl, locations.map((location) => ({ ...location }))];
    }
    case 'addLocation':
      return service.addLocation(asked.image, { url: asked.url, metadata: asked.metadata });
    case 'download':
      return digestOf(
        asked.sink === false ? await streamed(service, asked.image) : await written(service, asked.image),
      );
  }
}

function dataOf({ data }: { data?: string }): { data?: Buffer } {
  return data === undefined ? {} : { data: Buffer.from(data) };
}

async function streamed(service: ImageService, id: string): Promise<Buffer> {
  return buffer((await service.download(id)).body);
}

async function written(service: ImageService, id: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  await service.downloadTo(id, sink);
  return Buffer.concat(chunks);
}

function digestOf(data: Buffer): JsonValue {
  return { size: data.length, sha256: createHash('sha256').update(data).digest('hex') };
}

const fieldNames: Readonly<Record<string, keyof ImageFields>> = {
  os_hidden: 'hidden',
  disk_format: 'diskFormat',
  container_format: 'containerFormat',
  min_disk: 'minDiskGiB',
  min_ram: 'minRAMMiB',
  cinder_encryption_key_id: 'cinderEncryptionKeyId',
};

function fieldsOf(meta: Meta): ImageFields {
  const fields: ImageFields = {};
  return Object.assign(
    fields,
    Object.fromEntries(Object.entries(meta).map(([key, value]) => [fieldNames[key] ?? key, value])),
  );
}

function queryOf({ filters = {}, marker, limit, sortKey, sortDir }: Extract<Operation, { op: 'detail' }>): ImageQuery {
  const { owner, name, tag, visibility, os_hidden: hidden, min_disk: minDisk, ...properties } = filters;
  const query: ImageQuery = {};
  return Object.assign(query, {
    filters: {
      ...(owner === undefined ? {} : { owner }),
      ...(name === undefined ? {} : { name }),
      ...(tag === undefined ? {} : { tags: tag }),
      ...(visibility === undefined ? {} : { visibility }),
      ...(minDisk === undefined ? {} : { minDiskGiB: Number(minDisk) }),
      ...(hidden === undefined ? {} : { hidden: hidden === 'true' }),
      properties,
    },
    ...(marker === undefined ? {} : { marker }),
    ...(limit === undefined ? {} : { limit }),
    ...(sortKey === undefined ? {} : { sort: [{ key: sortKey, direction: sortDir }] }),
  });
}

function inCindersShape(image: ServiceImage): JsonObject {
  const { cinderEncryptionKeyId, directUrl, locations, stores, otherAttributes } = image;
  return {
    id: image.id,
    name: image.name,
    status: image.status,
    visibility: image.visibility,
    protected: image.protected,
    os_hidden: image.hidden,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    min_disk: image.minDiskGiB,
    min_ram: image.minRAMMiB,
    owner: image.owner,
    tags: image.tags,
    size: image.size,
    virtual_size: image.virtualSize,
    checksum: image.checksum,
    os_hash_algo: image.hash?.algorithm ?? null,
    os_hash_value: image.hash?.value ?? null,
    created_at: image.createdAt.toISOString(),
    updated_at: image.updatedAt.toISOString(),
    ...(directUrl === undefined ? {} : { direct_url: directUrl }),
    ...(locations === undefined ? {} : { locations: locations.map((location) => ({ ...location })) }),
    ...(stores === undefined ? {} : { stores: stores.join(',') }),
    ...(cinderEncryptionKeyId === undefined ? {} : { cinder_encryption_key_id: cinderEncryptionKeyId }),
    ...otherAttributes,
    properties: image.properties,
  };
}
