/** Types of parts.mjs, which stays plain JavaScript because it runs before the compiler is installed. */
export declare const root: string;
export declare const cache: string;
export declare const isRoot: boolean;
export declare const toolsArePackaged: boolean;
export declare const orcVersion: string;
export declare const folders: {
  readonly controlPlane: string;
  readonly python: string;
  readonly cinder: string;
  readonly openstackClient: string;
  readonly postgres: string;
  readonly tools: string;
  readonly template: string;
  readonly judge: string;
  readonly forwardProxy: string;
  readonly promtool: string;
  /** Empty on systems other than Debian. */
  readonly apache: string;
  readonly shells: string;
  readonly site: string;
  /** Made for runs of compatibility only. */
  readonly s3: string;
  /** Made for campaigns only. */
  readonly flux: string;
  readonly tofu: string;
  readonly browser: string;
  readonly kubeconform: string;
  /** Made with `--rivals` only. */
  readonly orc: string;
};
