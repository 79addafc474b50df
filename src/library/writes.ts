/**
 * Creates and changes images.
 *
 * Invariant: an image is created once, even if responses are lost; a change contains only differences, and without any
 * it is not sent; arguments and the state of the image are checked before anything is changed; data is uploaded once, and
 * its size is checked afterwards.
 */
import { expectQueued } from '../glance/client/data.ts';
import type { ImageClient } from '../glance/client/index.ts';
import { storeProblem } from '../glance/client/stores.ts';
import { fitsInPath } from '../glance/client/tags.ts';
import {
  Conflict,
  GlanceUnavailable,
  ImageCorrupted,
  ImageNotFound,
  InvalidRequest,
  NotAuthorized,
  NotFound,
} from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import { imagePath, isSameId } from '../glance/ref.ts';
import type { WantedImage } from '../glance/translation.ts';
import { abortable } from '../lib/abort.ts';
import { checkText } from './check.ts';
import { type DataOptions, type ImageContent, type UploadData, uploadDataOf } from './content.ts';
import {
  type CheckedFields,
  checkFields,
  fieldsIn,
  givesReadOnly,
  type ImageFields,
  withoutUnchanged,
} from './fields.ts';
import type { Lifetime } from './lifetime.ts';
import { serviceImageOf } from './service-image.ts';
import { type Sending, startSending, withdraw } from './withdraw.ts';

export interface CreateOptions extends DataOptions {
  data?: ImageContent;
}

export interface UpdateOptions extends CreateOptions {
  /** Whether properties that are not given are removed, if `properties` is given. Default: true. */
  purge?: boolean;
}

export interface Writes {
  create(fields: ImageFields, options: CreateOptions, signal: AbortSignal): Promise<Image>;
  update(id: string, fields: ImageFields, options: UpdateOptions, signal: AbortSignal): Promise<Image>;
  addTag(id: string, tag: string, signal: AbortSignal): Promise<void>;
  /** ImageNotFound: the image does not exist or has no such tag. */
  removeTag(id: string, tag: string, signal: AbortSignal): Promise<void>;
}

export interface WriteOptions {
  client: ImageClient;
  /** Throws ImageNotFound if the image is not available. */
  find: (id: string, signal: AbortSignal) => Promise<Image>;
  newId: () => string;
  lifetime: Pick<Lifetime, 'during' | 'graceAfter'>;
}

interface Change {
  purge: boolean;
  /** Throws for an image that must not be changed. */
  check?: (image: Image) => void;
  signal: AbortSignal;
}

/** Other clients may change the image between reading and changing it; after so many attempts the change fails. */
const maxReads = 4;

export function createWrites({ client, find, newId, lifetime }: WriteOptions): Writes {
  /** `isNew`: no other client knows the id. If the image exists, our own earlier attempt has created it, and its response was lost. */
  async function createRecord(id: string, isNew: boolean, wanted: WantedImage, signal: AbortSignal): Promise<Image> {
    try {
      return await newRecord(id, isNew, wanted, signal);
    } catch (failure) {
      // Whatever the failure is: an earlier attempt can have created the image, and then used up the quota, for example.
      const mayExist = isNew && !(failure instanceof InvalidRequest || failure instanceof Conflict);
      if (mayExist) await withdraw(client, id, { failure, isNew }, signal).catch(() => undefined);
      throw failure;
    }
  }

  async function newRecord(id: string, isNew: boolean, wanted: WantedImage, signal: AbortSignal): Promise<Image> {
    try {
      const image = await client.create(id, wanted, signal);
      if (isSameId(image.id, id)) return image;
      throw new GlanceUnavailable(`the response to the creation of image ${id} contains image ${image.id}`, {});
    } catch (error) {
      if (!isNew || !(error instanceof Conflict)) throw error;
      return await client.get(id, signal).catch((looked: unknown) => {
        throw looked instanceof NotFound ? error : looked;
      });
    }
  }

  async function change(id: string, fields: CheckedFields, { purge, check, signal }: Change): Promise<Image> {
    const purges = fields.properties === 'cleared' || (fields.properties === 'declared' && purge);
    const wantedOf = (image: Image) => {
      check?.(image);
      return fields.wanted;
    };
    return inTurn(id, signal, () => changeTo(id, wantedOf, purges, signal));
  }

  /** All tags are sent at once. */
  async function changeTags(id: string, tagsOf: (tags: readonly string[]) => readonly string[], signal: AbortSignal) {
    await inTurn(id, signal, () => changeTo(id, ({ tags }) => ({ tags: tagsOf(tags) }), false, signal));
  }

  async function changeTo(
    id: string,
    wantedOf: (image: Image) => WantedImage,
    purge: boolean,
    signal: AbortSignal,
  ): Promise<Image> {
    const schema = await client.schema(signal);
    for (let reads = 1; ; reads++) {
      const image = await find(id, signal);
      const wanted = wantedOf(image);
      const differences = (to: Image) => diffImage(to, wanted, { purge, keep: () => false, schema });
      const operations = differences(image);
      if (operations.length === 0) return image;
      try {
        const changed = await client.patch(id, operations, signal);
        const left = differences(changed).map(({ path }) => path);
        if (left.length === 0) return changed;
        const isUndone = operations.some(({ path }) => left.includes(path));
        // Other differences are changes of other clients.
        if (isUndone || reads === maxReads)
          throw new InvalidRequest(`Glance accepted the change of image ${id} but did not make it: ${left.join(', ')}`);
      } catch (error) {
        if (!(error instanceof Conflict) || reads === maxReads) throw error;
      }
    }
  }

  const turns = new Map<string, Promise<unknown>>();

  /** One after the other for each image: changes at the same time could undo each other, here or in Glance, which saves whole images. */
  async function inTurn<T>(id: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    imagePath(id);
    const key = id.toLowerCase();
    const before = turns.get(key);
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const turn = Promise.all([before, over]).then(() => undefined);
    turns.set(key, turn);
    try {
      if (before !== undefined) await abortable(before, signal);
      return await work();
    } finally {
      resolve();
      if (turns.get(key) === turn) void turn.then(() => turns.get(key) === turn && turns.delete(key));
    }
  }

  /** Throws StoreNotFound or StoreReadOnly if the list of stores is readable and shows it. */
  async function checkStore(store: string, signal: AbortSignal): Promise<void> {
    const known = await client.stores(signal).catch((error: unknown) => {
      if (error instanceof NotAuthorized) return undefined;
      throw error;
    });
    const problem = known === undefined ? undefined : storeProblem([store], known);
    if (problem !== undefined) throw problem;
  }

  async function fill(
    id: string,
    { size, body }: UploadData,
    { store, baseImageRef }: DataOptions,
    { signal, sending }: { signal: AbortSignal; sending: Sending },
  ): Promise<Image> {
    await client.upload(id, sending.through(body), {
      ...(size === undefined ? {} : { size }),
      ...(store === undefined ? {} : { store }),
      ...(baseImageRef === undefined ? {} : { baseImageRef }),
      signal,
    });
    sending.confirm();
    const image = await client.get(id, signal);
    const { bytes } = sending;
    // A policy may hide the size.
    if (image.size === bytes || (image.size === null && image.status === 'active')) return image;
    throw new ImageCorrupted(`Glance has ${image.size ?? 0} bytes of image ${id}, but ${bytes} were sent`);
  }

  return {
    async create(given, { data, ...options }, signal) {
      using content = data === undefined ? undefined : uploadDataOf(data, options);
      const fields = checkFields(fieldsIn(given));
      const chosen = fields.id ?? newId();
      imagePath(chosen);
      return await lifetime.during(async () => {
        // Signs in, where an abort leaves nothing behind.
        await client.schema(signal);
        using grace = lifetime.graceAfter(signal);
        const created = await createRecord(chosen, fields.id === undefined, fields.wanted, grace.signal).catch(
          (error: unknown) => {
            signal.throwIfAborted();
            throw error;
          },
        );
        const sending = startSending();
        try {
          signal.throwIfAborted();
          return content === undefined ? created : await fill(chosen, content, options, { signal, sending });
        } catch (failure) {
          const isNew = fields.id === undefined;
          // The error of the creation is thrown, not that of the clean-up.
          await withdraw(client, chosen, { failure, isNew, sending }, grace.signal).catch(() => undefined);
          throw failure;
        }
      });
    },

    async update(id, given, { data, purge = true, ...options }, signal) {
      using content = data === undefined ? undefined : uploadDataOf(data, options);
      const own = fieldsIn(given);
      const fields = checkFields(
        givesReadOnly(own) ? withoutUnchanged(own, serviceImageOf(await find(id, signal))) : own,
      );
      const isChange = Object.keys(fields.wanted).length > 0;
      if (content === undefined) return isChange ? change(id, fields, { purge, signal }) : find(id, signal);
      if (isChange) {
        if (options.store !== undefined) await checkStore(options.store, signal);
        // Before the data, because formats cannot be set after it, and so that the image is never active with its old name.
        await change(id, fields, { purge, check: expectQueued, signal });
      }
      return await fill(id, content, options, { signal, sending: startSending() });
    },

    async addTag(id, tag, signal) {
      checkText('tag', tag);
      if (fitsInPath(tag)) return inTurn(id, signal, () => client.addTag(id, tag, signal));
      await changeTags(id, (tags) => [...tags, tag], signal);
    },

    async removeTag(id, tag, signal) {
      checkText('tag', tag);
      if (fitsInPath(tag)) return inTurn(id, signal, () => client.removeTag(id, tag, signal));
      const without = (tags: readonly string[]) => {
        if (tags.includes(tag)) return tags.filter((one) => one !== tag);
        throw new ImageNotFound(`image ${id} has no tag ${JSON.stringify(tag)}`, {});
      };
      await changeTags(id, without, signal);
    },
  };
}
