/**
 * Keystone's service catalog. Law: an endpoint is chosen by type, interface and region, never silently from another region,
 * and where none fits the error lists what is there. The host of a URL is kept as the catalog has it.
 */
import { z } from 'zod';
import type { ServiceConfig } from './clouds.ts';
import { EndpointNotFound } from './errors.ts';

const endpointSchema = z.object({
  interface: z.string(),
  url: z.string(),
  region: z.string().nullish(),
  region_id: z.string().nullish(),
});
export const catalogSchema = z.array(z.object({ type: z.string(), endpoints: z.array(endpointSchema) }));
export type Catalog = z.infer<typeof catalogSchema>;
type Endpoint = z.infer<typeof endpointSchema>;

/**
 * The URL of a service, as the catalog (or the override) has it. Interfaces are tried in their order; without a region the
 * first endpoint wins. Throws EndpointNotFound.
 */
export function findEndpoint(catalog: Catalog, type: string, wanted: ServiceConfig): string {
  if (wanted.endpointOverride !== undefined) return wanted.endpointOverride;
  const services = catalog.filter((service) => service.type === type);
  if (services.length === 0) {
    const types = [...new Set(catalog.map((service) => service.type))].sort();
    const there = types.length === 0 ? 'it is empty' : `it has ${types.join(', ')}`;
    throw new EndpointNotFound(`Keystone's catalog has no service of type ${type}; ${there}`);
  }
  const endpoints = services.flatMap((service) => service.endpoints);
  const inRegion = endpoints.filter((endpoint) => wanted.region === undefined || isIn(endpoint, wanted.region));
  for (const name of wanted.interfaces) {
    const found = inRegion.find((endpoint) => endpoint.interface === name);
    if (found !== undefined) return found.url;
  }
  const where = wanted.region === undefined ? '' : ` in region ${wanted.region}`;
  throw new EndpointNotFound(
    `Keystone's catalog has no ${wanted.interfaces.join(' or ')} endpoint of type ${type}${where}; it has ${listed(endpoints)}`,
  );
}

function isIn(endpoint: Endpoint, region: string): boolean {
  return endpoint.region_id === region || endpoint.region === region;
}

function listed(endpoints: readonly Endpoint[]): string {
  const all = endpoints.map(
    (endpoint) => `${endpoint.interface} in ${endpoint.region_id ?? endpoint.region ?? 'no region'}`,
  );
  return all.length === 0 ? 'none of any kind' : [...new Set(all)].slice(0, 20).join(', ');
}

/** `https://host/image/`, `…/v2.1`, `…/v2/` → `https://host/image/v2`. Throws EndpointNotFound where it is no http URL. */
export function versionedUrl(endpoint: string, version: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new EndpointNotFound(`Keystone's catalog names an endpoint that is not an http or https URL`);
  }
  const path = url.pathname
    .replace(/\/+$/, '')
    .replace(/\/v\d+(?:\.\d+)?$/, '')
    .replace(/\/+$/, '');
  return `${url.origin}${path}/${version}`;
}
