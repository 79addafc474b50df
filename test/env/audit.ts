/**
 * The API server's audit log, in which a test finds the requests of each user.
 *
 * Invariant: requests completed before `read` is called are in its result, and the server counts them, not the program
 * under test.
 */
import { randomUUID } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { z } from 'zod';
import { eventually } from './wait.ts';

const recordSchema = z.object({
  verb: z.string(),
  requestURI: z.string(),
  userAgent: z.string().optional(),
  user: z.object({ username: z.string() }),
  objectRef: z
    .object({
      resource: z.string().optional(),
      subresource: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
      apiGroup: z.string().optional(),
    })
    .optional(),
  responseStatus: z.object({ code: z.number().optional() }).optional(),
  stageTimestamp: z.string(),
});

export interface AuditRecord {
  user: string;
  /** `get`, `list`, `watch`, `create`, `update`, `patch`, `apply`, `delete`, `deletecollection`; or an HTTP method in lower case. */
  verb: string;
  /** `images` or `images/status`; '' for a URL that is no resource, such as /version. */
  resource: string;
  /** '' for the core group and for a URL that is no resource. */
  apiGroup: string;
  namespace: string | undefined;
  name: string | undefined;
  status: number | undefined;
  uri: string;
  at: string;
}

const reading = new Set(['get', 'list', 'watch', 'head', 'options']);

export function isWrite(record: AuditRecord): boolean {
  return !reading.has(record.verb);
}

/** How often each thing was done, as `verb resource`: `{ 'patch glanceimages/status': 2 }`. */
export function countByVerb(records: readonly AuditRecord[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { verb, resource } of records) {
    const key = `${verb} ${resource}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

export interface AuditLog {
  /** A position in the log; later requests are behind it. */
  mark(): Promise<number>;
  /** Every completed request of `user` since the mark. A watch counts when it ends. */
  read(user: string, since: number): Promise<AuditRecord[]>;
  /** The writes of `user` since the mark. */
  writes(user: string, since: number): Promise<AuditRecord[]>;
}

/** `probe` sends any request for the given URI path as a user whom no test counts. */
export function auditLog(file: string, probe: (path: string) => Promise<unknown>): AuditLog {
  async function recordsSince(offset: number): Promise<AuditRecord[]> {
    // A line is written just after its response is sent. So send a request, and wait for its line.
    const id = randomUUID();
    await probe(`/version?audit=${id}`);
    return eventually(
      async () => {
        const lines = await linesFrom(file, offset);
        return lines.some((line) => line.includes(id)) && lines.filter((line) => !line.includes(id)).map(parse);
      },
      () => `the audit log ${file} does not show a request that was completed`,
    );
  }
  const read = async (user: string, since: number) =>
    (await recordsSince(since)).filter((record) => record.user === user);
  return {
    async mark() {
      await recordsSince((await stat(file)).size);
      return (await stat(file)).size;
    },
    read,
    writes: async (user, since) => (await read(user, since)).filter(isWrite),
  };
}

/** The whole lines of the file from a byte offset on. */
async function linesFrom(file: string, offset: number): Promise<string[]> {
  const handle = await open(file);
  try {
    const length = (await handle.stat()).size - offset;
    if (length <= 0) return [];
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(length), position: offset });
    const text = buffer.toString('utf8', 0, bytesRead);
    return text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean);
  } finally {
    await handle.close();
  }
}

function parse(line: string): AuditRecord {
  const { verb, user, objectRef, responseStatus, requestURI, stageTimestamp } = recordSchema.parse(JSON.parse(line));
  const { resource = '', subresource, apiGroup = '' } = objectRef ?? {};
  return {
    user: user.username,
    verb,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    apiGroup,
    namespace: objectRef?.namespace,
    name: objectRef?.name,
    status: responseStatus?.code,
    uri: requestURI,
    at: stageTimestamp,
  };
}
