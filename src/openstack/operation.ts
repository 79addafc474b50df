/**
 * What a request asks for, as a word of which there are few. Law: no id, name or other text of a user gets into it, whatever
 * the address looks like.
 */

export interface Operation {
  service: 'identity' | 'image' | 'key-manager' | 'unknown';
  /** Such as `GET images/{id}/members`. */
  operation: string;
}

/** By the version in the address, which each service that we speak to has to itself. */
const services: Readonly<Record<string, Operation['service']>> = { v3: 'identity', v2: 'image', v1: 'key-manager' };

/** Parts of addresses that are the API's own words. */
const words = new Set(
  'auth tokens catalog images file stage import tasks tags members locations actions deactivate reactivate stores info usage schemas image secrets payload versions'.split(
    ' ',
  ),
);
/** What follows these is a name that a user may have chosen. */
const collections = new Set(['images', 'tags', 'members', 'secrets', 'tasks', 'stores']);

export function operationOf(method: string, url: string): Operation {
  const segments = new URL(url).pathname.split('/').filter((segment) => segment !== '');
  const at = segments.findIndex((segment) => Object.hasOwn(services, segment));
  const version = segments[at];
  if (version === undefined) return { service: 'unknown', operation: `${method} versions` };
  const path = segments.slice(at + 1);
  const shown = path.map((segment, index) => {
    const named = collections.has(path[index - 1] ?? '') && path[index - 2] !== 'info';
    return words.has(segment) && !named ? segment : '{id}';
  });
  return { service: services[version] ?? 'unknown', operation: `${method} ${shown.join('/')}`.trim() };
}
