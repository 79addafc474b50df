/**
 * The image service of one cloud for programs that make volumes, servers or copies from images: the functions of
 * Cinder's `GlanceImageService`, in the terms of TypeScript. `ImageClient` below it makes one call per method.
 * Functions that take several calls, or a decision, are in files of their own.
 *
 * Guarantees: every call is retried, fails over and is translated alike; names of properties are only data; and a
 * request is repeated only if it is safe.
 */
import { randomUUID } from 'node:crypto';
import type { Writable } from 'node:stream';
import {
  createImageClient,
  type ImageMember,
  type ImageStore,
  type ImageStoreDetails,
  type ImageTask,
  type ImportRequest,
  type QuotaUsage,
} from '../glance/client/index.ts';
import { storeProblem } from '../glance/client/stores.ts';
import { InvalidRequest } from '../glance/errors.ts';
import { systemClock } from '../lib/clock.ts';
import type { Session } from '../openstack/session.ts';
import type { Requester } from './availability.ts';
import { barbicanCertificates, type CertificateStore, cachedCertificates } from './certificates.ts';
import {
  checkImport,
  checkServiceOptions,
  checkSink,
  checkText,
  checkTexts,
  createOptionsIn,
  dataIn,
  locationIn,
  signalIn,
  stageOptionsIn,
  updateOptionsIn,
} from './check.ts';
import { closedOnFailure, type ImageContent, uploadDataOf } from './content.ts';
import { createDownloads, type ImageDownload } from './download.ts';
import type { ImageFields } from './fields.ts';
import { createLifetime, type Lifetime } from './lifetime.ts';
import { createLocations, type FoundLocations, type NewLocation } from './locations.ts';
import { createReads, type ImageQuery } from './reads.ts';
import { type ServiceImage, serviceImageOf } from './service-image.ts';
import { type CreateOptions, createWrites, type UpdateOptions } from './writes.ts';

export interface Abortable {
  /** Ends the call when it aborts; the call then rejects with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * All methods throw the classes of errors.ts: about an image ImageNotFound, ImageNotAuthorized; else NotFound,
 * NotAuthorized; InvalidRequest, Conflict, ImageLimitExceeded, GlanceUnavailable, and GlanceConnectionFailed after the
 * last attempt. Each has a `code`, and the HTTP status and request id if Glance responded. Failures of Keystone are
 * AuthenticationFailed, KeystoneUnreachable, KeystoneUnavailable and EndpointNotFound. An id that is not a UUID is an
 * InvalidRequest, as are all arguments and options of another type, and options that do not exist; nothing is sent then. A call
 * after or during the closing of the service is a SessionClosed.
 */
export interface ImageService {
  /** The available images; each page is fetched when it is needed. An unknown marker is an InvalidRequest. */
  detail(query?: ImageQuery, options?: Abortable): AsyncGenerator<ServiceImage>;
  show(id: string, options?: Abortable): Promise<ServiceImage>;
  /**
   * Creates an image under a new id, or the given one, and fills it if there is `data`; if that fails or is aborted, the image
   * is deleted again, which an abort waits for up to ten seconds. After a creation without a response an image can remain
   * if its id was given, or if Glance makes it only later. Conflict: the given id exists or existed once.
   */
  create(fields: ImageFields, options?: CreateOptions & Abortable): Promise<ServiceImage>;
  /**
   * Changes the image to the given fields, by one PATCH of the differences, if any, and then fills it if there is `data`. Data and
   * changes of the formats require a queued image. Changes of one image, and of its tags, are made one after the other.
   */
  update(id: string, fields: ImageFields, options?: UpdateOptions & Abortable): Promise<ServiceImage>;
  /**
   * ImageNotAuthorized: it is protected. Conflict: it is in use. ImageNotFound: it does not exist, or no longer after a lost response, because
   * the request is then made again.
   */
  delete(id: string, options?: Abortable): Promise<void>;
  /** Usually only for administrators. From then on other users cannot read the data. */
  deactivate(id: string, options?: Abortable): Promise<void>;
  reactivate(id: string, options?: Abortable): Promise<void>;
  addTag(id: string, tag: string, options?: Abortable): Promise<void>;
  /** ImageNotFound: the image does not exist or has no such tag. */
  removeTag(id: string, tag: string, options?: Abortable): Promise<void>;

  /** A stream of the data; see `ImageDownload`. ImageDownloadFailed: the image has no data. */
  download(id: string, options?: Abortable): Promise<ImageDownload>;
  /** Ends the sink, or destroys it on failure. A sink that has ended is an InvalidRequest. Returns the number of bytes. */
  downloadTo(id: string, sink: Writable, options?: Abortable): Promise<number>;
  /** Overwrites the file, or the one that a link leads to; removes it on failure. Returns the number of bytes. */
  downloadToFile(id: string, path: string, options?: Abortable): Promise<number>;

  /** Stages data of a queued image for an import by `glance-direct`. It cannot be replaced or removed. */
  stage(id: string, data: ImageContent, options?: { size?: number } & Abortable): Promise<void>;
  /** Returns when Glance has accepted the import; `importState` of the image shows its progress. */
  importImage(id: string, request: ImportRequest, options?: Abortable): Promise<void>;
  /** The same, from the stores that have the data to others. Usually for administrators only. */
  copyToStores(id: string, stores: readonly string[] | 'all', options?: Abortable): Promise<void>;
  /** Removes one copy. ImageNotAuthorized: it is the last one, or only administrators may remove it. */
  deleteFromStore(id: string, store: string, options?: Abortable): Promise<void>;
  /** Glance's recent tasks for the image, newest last. */
  tasks(id: string, options?: Abortable): Promise<ImageTask[]>;
  importMethods(options?: Abortable): Promise<string[]>;

  getLocation(id: string, options?: Abortable): Promise<FoundLocations>;
  /** `accepted`: Glance checks the location by itself; `importState` of the image shows the progress. */
  addLocation(id: string, location: NewLocation, options?: Abortable): Promise<'done' | 'accepted'>;

  listMembers(id: string, options?: Abortable): Promise<ImageMember[]>;
  /** Shares an image with visibility `shared` with a project. */
  addMember(id: string, projectId: string, options?: Abortable): Promise<ImageMember>;
  removeMember(id: string, projectId: string, options?: Abortable): Promise<void>;
  /** For the member: afterwards its lists contain the image. */
  acceptMembership(id: string, options?: Abortable): Promise<ImageMember>;
  rejectMembership(id: string, options?: Abortable): Promise<ImageMember>;

  /** Undefined on a cloud with a single store that has no name. */
  getStores(options?: Abortable): Promise<ImageStore[] | undefined>;
  /** For administrators. */
  getStoreDetails(options?: Abortable): Promise<ImageStoreDetails[] | undefined>;
  /** Throws StoreNotFound or StoreReadOnly unless all of them accept data. */
  checkStores(names: readonly string[], options?: Abortable): Promise<void>;
  /** Of the project, by quota. Empty on a cloud without quotas. */
  usage(options?: Abortable): Promise<Record<string, QuotaUsage>>;
  /** The versions of the Images API of the cloud: `v2.17`, `v2.16`, … */
  versions(options?: Abortable): Promise<readonly string[]>;
}

export interface ImageServiceOptions {
  /** A session with the role of a service, which may read and add locations. Default: the session itself. */
  privileged?: Session;
  /**
   * Directories of a file store of Glance that this machine can also read, as absolute paths. Data in a file below them is read from
   * the file, if it goes into a sink. Services for an address do not use it. Default: none.
   */
  fileDirectories?: readonly string[];
  /** Whether the data of signed images is verified by their signatures. Default: `enabled`. */
  signatures?: 'enabled' | 'disabled';
  /** The source of the certificates of signatures. Default: the key manager of the cloud. */
  certificates?: CertificateStore;
  /** The requester on a cloud without authentication. Default: a user with a token. */
  requester?: Requester;
  /** Images per request in lists; Glance may return fewer. */
  pageSize?: number;
  /** A new UUID. */
  newId?: () => string;
}

/**
 * The caller ends the lifetime, if it has given one, and then closes the session. Throws InvalidRequest for options that cannot be
 * used.
 */
export function createImageService(
  session: Session,
  options: ImageServiceOptions = {},
  lifetime: Lifetime = createLifetime(systemClock),
): ImageService {
  checkServiceOptions(options);
  const { privileged, fileDirectories = [], requester = { token: true }, pageSize, newId = randomUUID } = options;
  const { signatures = 'enabled', certificates = cloudCertificates(session) } = options;
  const client = createImageClient(session, { useSchema: true, ...(pageSize === undefined ? {} : { pageSize }) });
  const { detail, find, expect } = createReads(client, requester);
  const { create, update, addTag, removeTag } = createWrites({ client, find, newId, lifetime });
  const downloads = createDownloads({ client, find, fileDirectories, signatures, certificates });
  const locations = createLocations({
    client,
    privileged: privileged === undefined ? client : createImageClient(privileged),
    find,
    expect,
  });

  async function setMembership(id: string, status: 'accepted' | 'rejected', signal: AbortSignal) {
    const project = requester.projectId ?? (await session.identity(signal)).project?.id;
    if (project === undefined) throw new InvalidRequest('only a project can be a member, and there is none');
    return client.members.setStatus(id, project, status, signal);
  }

  /** The call ends with the lifetime of the service, too. */
  const following = (given: AbortSignal | undefined): AbortSignal =>
    given === undefined ? lifetime.signal : AbortSignal.any([given, lifetime.signal]);
  const signalOf = (options: unknown) => following(signalIn(options));

  return {
    async *detail(query = {}, options) {
      for await (const image of detail(query, signalOf(options))) yield serviceImageOf(image);
    },
    show: async (id, options) => serviceImageOf(await find(id, signalOf(options))),
    async create(fields, options) {
      const { signal, ...rest } = closedOnFailure(
        () => options?.data,
        () => createOptionsIn(options),
      );
      return serviceImageOf(await create(fields, rest, following(signal)));
    },
    async update(id, fields, options) {
      const { signal, ...rest } = closedOnFailure(
        () => options?.data,
        () => updateOptionsIn(options),
      );
      return serviceImageOf(await update(id, fields, rest, following(signal)));
    },
    delete: async (id, options) => client.remove(id, signalOf(options)),
    deactivate: async (id, options) => client.deactivate(id, signalOf(options)),
    reactivate: async (id, options) => client.reactivate(id, signalOf(options)),
    addTag: async (id, tag, options) => addTag(id, tag, signalOf(options)),
    removeTag: async (id, tag, options) => removeTag(id, tag, signalOf(options)),

    download: async (id, options) => downloads.download(id, signalOf(options)),
    async downloadTo(id, sink, options) {
      checkSink(sink);
      try {
        return await downloads.downloadTo(id, sink, signalOf(options));
      } catch (error) {
        sink.destroy();
        throw error;
      }
    },
    async downloadToFile(id, path, options) {
      const signal = signalOf(options);
      checkText('path', path);
      // The file of a failed download is removed.
      return lifetime.during(() => downloads.downloadToFile(id, path, signal));
    },

    async stage(id, data, options) {
      const { signal, ...announced } = closedOnFailure(
        () => data,
        () => stageOptionsIn(options),
      );
      using content = uploadDataOf(dataIn(data), announced);
      const { body, size } = content;
      await client.stage(id, body, { ...(size === undefined ? {} : { size }), signal: following(signal) });
    },
    async importImage(id, request, options) {
      const signal = signalOf(options);
      checkImport(request);
      await client.importImage(id, request, signal);
    },
    async copyToStores(id, stores, options) {
      const signal = signalOf(options);
      if (stores !== 'all') checkTexts('stores', stores);
      const where = stores === 'all' ? { allStores: true } : { stores };
      await client.importImage(id, { method: { name: 'copy-image' }, ...where }, signal);
    },
    deleteFromStore: async (id, store, options) => client.removeFromStore(id, store, signalOf(options)),
    tasks: async (id, options) => client.tasks(id, signalOf(options)),
    importMethods: async (options) => client.importMethods(signalOf(options)),

    getLocation: async (id, options) => locations.getLocation(id, signalOf(options)),
    async addLocation(id, location, options) {
      const signal = signalOf(options);
      return locations.addLocation(id, locationIn(location), signal);
    },

    listMembers: async (id, options) => client.members.list(id, signalOf(options)),
    addMember: async (id, projectId, options) => client.members.add(id, projectId, signalOf(options)),
    removeMember: async (id, projectId, options) => client.members.remove(id, projectId, signalOf(options)),
    acceptMembership: async (id, options) => setMembership(id, 'accepted', signalOf(options)),
    rejectMembership: async (id, options) => setMembership(id, 'rejected', signalOf(options)),

    getStores: async (options) => client.stores(signalOf(options)),
    getStoreDetails: async (options) => client.storeDetails(signalOf(options)),
    async checkStores(names, options) {
      const signal = signalOf(options);
      checkTexts('names', names);
      const problem = storeProblem(names, (await client.stores(signal)) ?? []);
      if (problem !== undefined) throw problem;
    },
    usage: async (options) => client.usage(signalOf(options)),
    versions: async (options) => client.versions(signalOf(options)),
  };
}

function cloudCertificates(session: Session): CertificateStore {
  return cachedCertificates(barbicanCertificates(session), { clock: systemClock });
}
