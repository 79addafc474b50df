/**
 * The services that we call, and where to find them according to clouds.yaml. A setting for one service overrides the setting for
 * all services; an address in clouds.yaml overrides the catalog.
 */
import * as z from 'zod';
import { configuredUrl, type Fail } from './clouds-settings.ts';

/** Their types in the catalog. */
export const serviceTypes = ['image', 'key-manager', 'compute'] as const;
export type ServiceType = (typeof serviceTypes)[number];

/** The API version that we use of each service. It is the last segment of the URL. */
export const usedVersions: Readonly<Record<ServiceType, string>> = {
  image: 'v2',
  'key-manager': 'v1',
  compute: 'v2.1',
};

export const endpointInterfaces = ['public', 'internal', 'admin'] as const;
export type EndpointInterface = (typeof endpointInterfaces)[number];

/** How to find a service. */
export interface ServiceConfig {
  /** In the catalog. */
  type: string;
  /** Undefined: any. */
  name: string | undefined;
  /** Undefined: that of the first endpoint that matches. */
  region: string | undefined;
  /** In order of preference. */
  interfaces: readonly [EndpointInterface, ...EndpointInterface[]];
  /** Addresses that override the catalog. */
  override: readonly [string, ...string[]] | undefined;
  /** The one address to call. It must be an endpoint of this cloud, of any region and interface: tokens go nowhere else. */
  only?: string;
}

const text = z.string();
/** `publicURL` is an old spelling of `public`. */
const interfaceNamed = (name: string) => endpointInterfaces.find((one) => one === name.replace(/URL$/, ''));
/** One name or a list of them in order of preference. */
const interfaces = z.union([text.transform((name) => [name]), z.array(text)]).transform((names, context) => {
  const known = names.map(interfaceNamed);
  const [first, ...others] = known.filter((name) => name !== undefined);
  if (first !== undefined && others.length === names.length - 1) return [first, ...others] as const;
  context.addIssue({ code: 'custom', message: `is none of ${endpointInterfaces.join(', ')}` });
  return z.NEVER;
});
const addresses = z.union([text.transform((one) => [one]), z.array(text).nonempty()]).optional();

export const serviceShape = {
  region_name: text.optional(),
  interface: interfaces.optional(),
  endpoint_type: interfaces.optional(),
  /** The address of Glance in a cloud without Keystone, as openstacksdk names it. */
  endpoint: addresses,
  image_service_name: text.optional(),
  image_region_name: text.optional(),
  image_interface: interfaces.optional(),
  image_endpoint_type: interfaces.optional(),
  image_endpoint_override: addresses,
  /** As Cinder's `glance_catalog_info`: type, name and interface. */
  image_catalog_info: text.optional(),
  key_manager_service_name: text.optional(),
  key_manager_region_name: text.optional(),
  key_manager_interface: interfaces.optional(),
  key_manager_endpoint_type: interfaces.optional(),
  key_manager_endpoint_override: addresses,
  compute_service_name: text.optional(),
  compute_region_name: text.optional(),
  compute_interface: interfaces.optional(),
  compute_endpoint_type: interfaces.optional(),
  compute_endpoint_override: addresses,
};
const serviceSchema = z.object(serviceShape);
type ServiceSettings = z.infer<typeof serviceSchema>;

/**
 * `region` is the region of the images. It overrides that in clouds.yaml. `*_endpoint_type` is an old name of `*_interface`, which
 * openstacksdk and gophercloud prefer where both are given.
 */
export function servicesOf(
  s: ServiceSettings,
  region: string | undefined,
  fail: Fail,
): Readonly<Record<ServiceType, ServiceConfig>> {
  const general = s.endpoint_type ?? s.interface ?? (['public'] as const);
  const regions = {
    image: region ?? s.image_region_name ?? s.region_name,
    // Keys may be in another region than images.
    'key-manager': s.key_manager_region_name ?? region ?? s.region_name,
    // Servers use the images of their own region.
    compute: s.compute_region_name ?? region ?? s.region_name,
  };
  const override = (
    key: 'image_endpoint_override' | 'key_manager_endpoint_override' | 'compute_endpoint_override',
    where: string | undefined,
  ) => overrideOf(key, s[key], where, fail);
  const info = s.image_catalog_info === undefined ? undefined : catalogInfoOf(s.image_catalog_info, fail);
  return {
    image: {
      type: info?.type ?? 'image',
      name: s.image_service_name ?? info?.name,
      region: regions.image,
      interfaces: s.image_endpoint_type ?? s.image_interface ?? info?.interfaces ?? general,
      override: override('image_endpoint_override', regions.image),
    },
    'key-manager': {
      type: 'key-manager',
      name: s.key_manager_service_name,
      region: regions['key-manager'],
      interfaces: s.key_manager_endpoint_type ?? s.key_manager_interface ?? general,
      override: override('key_manager_endpoint_override', regions['key-manager']),
    },
    compute: {
      type: 'compute',
      name: s.compute_service_name,
      region: regions.compute,
      interfaces: s.compute_endpoint_type ?? s.compute_interface ?? general,
      override: override('compute_endpoint_override', regions.compute),
    },
  };
}

/**
 * Cinder's `service_type:service_name:endpoint_type`, such as `image:glance:publicURL`. Unlike in Cinder the name is compared,
 * unless it is empty, as in `image::public`.
 */
function catalogInfoOf(triple: string, fail: Fail): Pick<ServiceConfig, 'type' | 'name' | 'interfaces'> {
  const parts = triple.split(':').map((part) => part.trim());
  const [type = '', name = '', interfaceName = ''] = parts;
  const known = interfaceNamed(interfaceName);
  if (parts.length !== 3 || type === '' || known === undefined) {
    const interfaces = endpointInterfaces.join(', ');
    throw fail(
      `image_catalog_info is not service_type:service_name:endpoint_type, where the last is one of ${interfaces}`,
    );
  }
  return { type, name: name === '' ? undefined : name, interfaces: [known] };
}

/** The default scheme of an address is http, as in Cinder's `glance_api_servers`. */
export function overrideOf(
  key: string,
  given: readonly string[] | undefined,
  region: string | undefined,
  fail: Fail,
): ServiceConfig['override'] {
  const urls =
    given?.map((one) => configuredUrl(key, one.includes('//') ? one : `http://${one}`, region, fail).href) ?? [];
  const [first, ...others] = new Set(urls);
  return first === undefined ? undefined : [first, ...others];
}

/**
 * What a request does, by service: the whole list, so that it can be a label of metrics. The caller names it; nothing of a URL,
 * whose path a clouds.yaml chooses, gets into it.
 */
export const operations = {
  identity: ['versions', 'signIn', 'accessToken'],
  image: [
    'versions',
    'read',
    'list',
    'schema',
    'create',
    'update',
    'delete',
    'upload',
    'stage',
    'download',
    'import',
    'importMethods',
    'tasks',
    'members',
    'addMember',
    'removeMember',
    'setMember',
    'stores',
    'removeFromStore',
    'locations',
    'addLocation',
    'tag',
    'deactivate',
    'reactivate',
    'usage',
  ],
  'key-manager': ['versions', 'readPayload'],
  compute: ['servers'],
} as const satisfies Record<'identity' | ServiceType, readonly string[]>;

export type OperationOf<Service extends keyof typeof operations> = (typeof operations)[Service][number];

export interface Purpose {
  service: keyof typeof operations;
  operation: OperationOf<keyof typeof operations>;
}
