/** Types of releases.mjs, which stays plain JavaScript because it runs before the compiler is installed. */
interface Releases {
  readonly kubernetes: string;
  readonly openstack: string;
}
export declare const current: Releases;
export declare const earlierKubernetes: Readonly<Record<string, Readonly<Record<string, string>>>>;
export declare const earlierOpenstack: Readonly<Record<string, { readonly from: string }>>;
export declare const releaseVariables: Releases & { readonly store: string };
export declare const store: 'file' | 's3';
export declare const release: Releases;
export declare const isCurrent: { readonly kubernetes: boolean; readonly openstack: boolean };
export declare const wsgi: { readonly keystone: string; readonly glance: string };
