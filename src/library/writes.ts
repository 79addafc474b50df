/**
 * Creates and changes images.
 *
 * Invariant: an image is created once, even if responses are lost; a change contains only differences, and without any
 * it is not sent; data is uploaded once, and its size is checked afterwards.
 */
import { Readable } from 'node:stream';
import type { ImageClient } from '../glance/client/index.ts';
import { fitsInPath } from '../glance/client/tags.ts';
import { Conflict, ImageCorrupted, ImageNotFound, InvalidRequest } from '../glance/errors.ts';
import type { Image } from '../glance/image.ts';
import { diffImage } from '../glance/patch.ts';
import { type CheckedFields, checkFields, givesReadOnly, type ImageFields, withoutUnchanged } from './fields.ts';
import { serviceImageOf } from './service-image.ts';

/** Bytes, or a stream of them, such as a `Readable`. A stream is read at most once. */
export type ImageContent = Uint8Array | AsyncIterable<Uint8Array>;

export interface DataOptions {
  /**
   * The size of a stream in bytes, if known: other numbers of bytes are then rejected, and quotas are checked up front.
   */
  size?: number;
  /** Default: the cloud's default store. */
  store?: string;
  /** An image on which the data is based, for stores that can share blocks. */
  baseImageRef?: string;
}

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
}

/** Other clients may change the image between reading and changing it; after so many attempts the change fails. */
const maxReads = 4;

export function createWrites({ client, find, newId }: WriteOptions): Writes {
  async function createRecord({ id: chosen, wanted }: CheckedFields, signal: AbortSignal): Promise<Image> {
    const id = chosen ?? newId();
    try {
      return await client.create(id, wanted, signal);
    } catch (error) {
      if (!(error instanceof Conflict) || chosen !== undefined) throw error;
      // No other client knows this id: it is our own earlier attempt, whose response was lost.
      return await client.get(id, signal);
    }
  }

  async function change(id: string, fields: CheckedFields, purge: boolean, signal: AbortSignal): Promise<Image> {
    const purges = fields.properties === 'cleared' || (fields.properties === 'declared' && purge);
    const schema = await client.schema(signal);
    const differences = (image: Image) => diffImage(image, fields.wanted, { purge: purges, keep: () => false, schema });
    for (let reads = 1; ; reads++) {
      const image = await find(id, signal);
      const operations = differences(image);
      if (operations.length === 0) return image;
      try {
        const changed = await client.patch(id, operations, signal);
        const left = differences(changed).map(({ path }) => path);
        if (left.length === 0) return changed;
        throw new InvalidRequest(`Glance accepted the change of image ${id} but did not make it: ${left.join(', ')}`);
      } catch (error) {
        if (!(error instanceof Conflict) || reads === maxReads) throw error;
      }
    }
  }

  async function fill(id: string, data: ImageContent, options: DataOptions, signal: AbortSignal): Promise<Image> {
    let sent = 0;
    const { size, body } = uploadDataOf(data, options.size);
    async function* counted() {
      for await (const chunk of body) {
        sent += chunk.byteLength;
        yield chunk;
      }
    }
    const { store, baseImageRef } = options;
    await client.upload(id, counted(), {
      ...(size === undefined ? {} : { size }),
      ...(store === undefined ? {} : { store }),
      ...(baseImageRef === undefined ? {} : { baseImageRef }),
      signal,
    });
    const image = await client.get(id, signal);
    // A policy may hide the size.
    if (image.size === sent || (image.size === null && image.status === 'active')) return image;
    throw new ImageCorrupted(`Glance has ${image.size ?? 0} bytes of image ${id}, but ${sent} were sent`);
  }

  return {
    async create(given, { data, ...options }, signal) {
      const image = await createRecord(checkFields(given), signal);
      if (data === undefined) return image;
      try {
        return await fill(image.id, data, options, signal);
      } catch (error) {
        // The error of the creation is thrown, not that of the clean-up.
        await removeUnfilled(client, image.id).catch(() => undefined);
        throw error;
      }
    },

    async update(id, given, { data, purge = true, ...options }, signal) {
      const fields = checkFields(
        givesReadOnly(given) ? withoutUnchanged(given, serviceImageOf(await find(id, signal))) : given,
      );
      // Before the data, because formats cannot be set after it, and so that the image is never active with its old name.
      const image = Object.keys(fields.wanted).length > 0 ? await change(id, fields, purge, signal) : undefined;
      if (data !== undefined) return fill(id, data, options, signal);
      return image ?? find(id, signal);
    },

    async addTag(id, tag, signal) {
      if (fitsInPath(tag)) return client.addTag(id, tag, signal);
      const { tags } = await find(id, signal);
      await change(id, checkFields({ tags: [...tags, tag] }), false, signal);
    },

    async removeTag(id, tag, signal) {
      if (fitsInPath(tag)) return client.removeTag(id, tag, signal);
      const { tags } = await find(id, signal);
      if (!tags.includes(tag)) throw new ImageNotFound(`image ${id} has no tag ${JSON.stringify(tag)}`, {});
      await change(id, checkFields({ tags: tags.filter((one) => one !== tag) }), false, signal);
    },
  };
}

/** Bytes have a size; the size of a stream must be given. */
export function uploadDataOf(
  data: ImageContent,
  size: number | undefined,
): { body: AsyncIterable<Uint8Array>; size: number | undefined } {
  if (!(data instanceof Uint8Array)) return { body: data, size };
  if (size !== undefined && size !== data.byteLength) {
    throw new InvalidRequest(`size is ${size}, but the data has ${data.byteLength} bytes`);
  }
  return { body: Readable.from([data]), size: data.byteLength };
}

/** An image that could not be filled is deleted. One that became active nevertheless is kept. */
async function removeUnfilled(client: ImageClient, id: string): Promise<void> {
  // Also after an abort, which must not leave an image behind.
  const { signal } = new AbortController();
  const { status } = await client.get(id, signal);
  if (status === 'queued' || status === 'saving') await client.remove(id, signal);
}
