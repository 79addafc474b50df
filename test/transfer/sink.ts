/**
 * Glance as far as a transfer is concerned, for what the real one cannot be made to do on demand: it keeps what came, and is
 * active only after a regular end.
 */
import { createHash } from 'node:crypto';
import type { Image } from '../../src/glance/image.ts';
import type { Source } from '../../src/source/source.ts';
import type { Target } from '../../src/transfer/delivery.ts';
import type { OpenSource } from '../../src/transfer/sources.ts';
import { imageOf } from '../glance/model.ts';

type Images = Target['images'];

export interface Sink extends Target {
  readonly images: Images;
  status: string;
  bytes(): Buffer;
  /** As announced to the last upload. */
  size: number | undefined;
  store: string | undefined;
  /** How often data was sent. */
  uploads: number;
}

export interface SinkOptions extends Partial<Images> {
  hashAlgorithm?: string;
  /** What it reports instead of what came. */
  reports?: Partial<Image>;
}

/** The options replace calls of the client. */
export function createSink({ hashAlgorithm = 'sha512', reports = {}, ...calls }: SinkOptions = {}): Sink {
  const received: Uint8Array[] = [];
  const bytes = () => Buffer.concat(received);
  const sink: Sink = {
    status: 'queued',
    bytes,
    size: undefined,
    store: undefined,
    uploads: 0,
    hashAlgorithm: undefined,
    images: {
      async get() {
        const image: Image = { ...imageOf(), status: sink.status, diskFormat: 'raw' };
        if (sink.status !== 'active') return { ...image, ...reports };
        const value = createHash(hashAlgorithm).update(bytes()).digest('hex');
        return { ...image, size: bytes().length, hash: { algorithm: hashAlgorithm, value }, ...reports };
      },
      async upload(_id, body, { size, store }) {
        sink.uploads++;
        sink.size = size;
        sink.store = store;
        try {
          for await (const chunk of body) received.push(chunk);
        } catch (error) {
          // As a real client may do: the PUT fails because of it, with an unspecific message.
          throw new Error('other side closed', { cause: error });
        }
        sink.status = 'active';
      },
      stage: unexpected,
      importImage: unexpected,
      tasks: unexpected,
      ...calls,
    },
  };
  return sink;
}

/** What an upload has no need of. */
async function unexpected(): Promise<never> {
  throw new TypeError('an upload does not call this');
}

export interface SourceOptions {
  /** Thrown after the chunks. */
  end?: Error;
  endIsCertain?: boolean;
  size?: number;
}

/** A source that gives `chunks` and then ends. */
export function sourceOf(
  chunks: Iterable<Uint8Array>,
  { end, endIsCertain = true, size }: SourceOptions = {},
): OpenSource {
  return async (): Promise<Source> => ({
    url: 'https://example.com/image.raw',
    size,
    endIsCertain,
    body: (async function* () {
      yield* chunks;
      if (end !== undefined) throw end;
    })(),
  });
}
