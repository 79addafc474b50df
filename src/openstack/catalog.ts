/**
 * Keystone's service catalog. Endpoints are chosen by type, name, interface and region.
 *
 * Guarantees: all endpoints that are returned belong to one service, one interface and one region, because callers treat them as
 * interchangeable; if none matches, the error lists those that exist; the host of a URL stays as it is in the catalog.
 */

import * as z from 'zod';
import { boundedList } from '../lib/bounded-list.ts';
import { printable } from '../lib/text.ts';
import { withoutEnd } from '../lib/trim.ts';
import { EndpointNotFound } from './errors.ts';
import type { ServiceConfig } from './services.ts';

/** More services, and more endpoints of one, than any cloud has. */
const maxServices = 500;
const maxEndpoints = 500;
const name = z.string().max(255);
const endpointSchema = z.object({
  interface: name,
  url: z.string().max(2048),
  region: name.nullish(),
  region_id: name.nullish(),
});
const serviceSchema = z.object({
  type: name,
  name: name.optional(),
  endpoints: listOf(endpointSchema, maxEndpoints),
});
/** Entries of another shape are ignored: they mostly describe other services and do not make the token unusable. */
export const catalogSchema = listOf(serviceSchema, maxServices);
export type Catalog = z.infer<typeof catalogSchema>;
type Service = Catalog[number];
type Endpoint = z.infer<typeof endpointSchema>;

/** The catalog without the endpoints of services that are not called. A session keeps it as long as it lives. */
export function relevantPart(catalog: Catalog, types: ReadonlySet<string>): Catalog {
  return catalog.map((service) => (types.has(service.type) ? service : { ...service, endpoints: [] }));
}

function listOf<T extends z.ZodType>(schema: T, most: number) {
  return boundedList(z.unknown(), most).transform((entries) =>
    entries.flatMap((entry) => {
      const result = schema.safeParse(entry);
      return result.success ? [result.data] : [];
    }),
  );
}

/**
 * The URLs of a service as they are in the catalog, each once. Interfaces are tried in their order. If no region is given, it is
 * that of the first endpoint that matches. Throws EndpointNotFound.
 */
export function findEndpoints(catalog: Catalog, wanted: ServiceConfig): readonly [string, ...string[]] {
  return findIn(catalog, wanted).urls;
}

/** The region of the endpoints that `findEndpoints` returns. Throws EndpointNotFound. */
export function findRegion(catalog: Catalog, wanted: ServiceConfig): string | undefined {
  return findIn(catalog, wanted).region;
}

interface Found {
  urls: readonly [string, ...string[]];
  region: string | undefined;
}

function findIn(catalog: Catalog, wanted: ServiceConfig): Found {
  const services = catalog.filter(
    ({ type, name }) => type === wanted.type && (wanted.name === undefined || wanted.name === name),
  );
  if (services.length === 0) throw noService(catalog, wanted);
  for (const name of wanted.interfaces) {
    for (const { endpoints } of services) {
      const [first, ...others] = endpoints.filter((one) => one.interface === name && isIn(one, wanted.region));
      if (first === undefined) continue;
      const same = others.filter((one) => regionOf(one) === regionOf(first));
      const [url, ...urls] = new Set([first, ...same].map((one) => one.url));
      if (url !== undefined) return { urls: [url, ...urls], region: regionOf(first) };
    }
  }
  const where = wanted.region === undefined ? '' : ` in region ${wanted.region}`;
  const all = services.flatMap(({ endpoints }) => endpoints);
  const there = listed(all.map(described), 'none of any kind');
  throw new EndpointNotFound(
    `Keystone's catalog has no ${wanted.interfaces.join(' or ')} endpoint of ${phrase(wanted)}${where}; it has ${there}`,
    { isServiceAbsent: all.length === 0 },
  );
}

/** The URLs of a service as they are in the catalog, for every name, interface and region. */
export function allEndpoints(catalog: Catalog, wanted: Pick<ServiceConfig, 'type'>): readonly string[] {
  return catalog.filter(({ type }) => type === wanted.type).flatMap(({ endpoints }) => endpoints.map(({ url }) => url));
}

function noService(catalog: Catalog, wanted: ServiceConfig): EndpointNotFound {
  const named = catalog.filter(({ type }) => type === wanted.type);
  const there = named.length === 0 ? catalog.map(({ type }) => type).sort() : named.map(withName);
  const has = catalog.length === 0 ? 'it is empty' : `it has ${listed(there, 'none')}`;
  const isServiceAbsent = named.every(({ endpoints }) => endpoints.length === 0);
  return new EndpointNotFound(`Keystone's catalog has no service of ${phrase(wanted)}; ${has}`, { isServiceAbsent });
}

function phrase({ type, name }: ServiceConfig): string {
  return name === undefined ? `type ${type}` : `type ${type} named ${name}`;
}

function withName({ type, name }: Service): string {
  return name === undefined || name === '' ? `${type} without a name` : `${type} named ${name}`;
}

function isIn(endpoint: Endpoint, region: string | undefined): boolean {
  return region === undefined || endpoint.region_id === region || endpoint.region === region;
}

function regionOf({ region_id, region }: Endpoint): string | undefined {
  return region_id ?? region ?? undefined;
}

function described(endpoint: Endpoint): string {
  return `${endpoint.interface} in ${regionOf(endpoint) ?? 'no region'}`;
}

function listed(all: readonly string[], none: string): string {
  return all.length === 0
    ? none
    : [...new Set(all)]
        .slice(0, 20)
        .map((name) => printable(name, 64))
        .join(', ');
}

/**
 * The address of a service without its version and without a trailing slash: `https://host/image/`, `…/v2.1`, `…/v2/` →
 * `https://host/image`. Undefined if it is not an http URL.
 */
export function serviceRoot(endpoint: string): string | undefined {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  const version = /\/v\d+(?:\.\d+)?(?:\/[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12})?$/;
  const path = withoutEnd(url.pathname, '/').replace(version, '');
  return `${url.origin}${withoutEnd(path, '/')}`;
}
