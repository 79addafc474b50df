/** Forty images with the attributes and properties that catalogues of clouds, snapshots and scripts give theirs. */

export interface CatalogueImage {
  name: string;
  diskFormat: string;
  tags: readonly string[];
  minDisk: number;
  minRAM: number;
  visibility: 'private' | 'shared' | 'community';
  isProtected: boolean;
  properties: Readonly<Record<string, string>>;
}

const systems = [
  ['almalinux', '9'],
  ['centos', '10'],
  ['cirros', '0.6.3'],
  ['debian', '12'],
  ['fedora', '41'],
  ['flatcar', '4081.2.0'],
  ['freebsd', '25.7'],
  ['rocky', '9.4'],
  ['ubuntu', '24.04'],
  ['windows', '2022'],
] as const;

type Style = (system: string, version: string) => Readonly<Record<string, string>>;

/** Of tools that maintain the public images of a cloud. */
const maintained: Style = (system, version) => ({
  architecture: 'x86_64',
  hw_disk_bus: 'scsi',
  hw_rng_model: 'virtio',
  hw_scsi_model: 'virtio-scsi',
  hw_watchdog_action: 'reset',
  hypervisor_type: 'qemu',
  image_build_date: '2025-11-18',
  image_description: `${system} ${version}`,
  image_name: `${system} ${version}`,
  image_original_user: system,
  image_source: `https://images.example.com/${system}/${version}/image.qcow2?arch=x86_64&variant=cloud`,
  internal_version: '20251118',
  os_distro: system,
  os_purpose: 'generic',
  os_version: version,
  provided_until: 'none',
  replace_frequency: 'quarterly',
  uuid_validity: 'last-3',
});

/** Of several hypervisors and hardware. */
const forHardware: Style = (system, version) => ({
  cpu_arch: 'x86_64',
  hw_firmware_type: 'uefi',
  hw_machine_type: 'q35',
  hw_qemu_guest_agent: 'yes',
  hw_supported_disk_buses: 'scsi,virtio',
  hw_tpm_model: 'tpm-tis',
  hw_tpm_version: '2.0',
  hw_vif_multiqueue_enabled: 'true',
  hw_video_ram: '16',
  img_config_drive: 'optional',
  os_admin_user: system,
  os_distro: system,
  os_require_quiesce: 'yes',
  os_secure_boot: 'optional',
  os_type: system === 'windows' ? 'windows' : 'linux',
  os_version: version,
  'trait:CUSTOM_SGX_ENABLED': 'required',
  vmware_disktype: 'streamOptimized',
  'vmware:hv_enabled': 'true',
});

/** Of snapshots of servers. */
const snapshot: Style = (system) => ({
  base_image_ref: '6b1fd7a2-27a5-590a-a79f-a615feb2aec1',
  bdm_v2: 'True',
  block_device_mapping: JSON.stringify([
    { boot_index: 0, destination_type: 'volume', snapshot_id: `${system}-1`, volume_size: 20, tag: null },
  ]),
  boot_roles: 'reader,member',
  hw_input_bus: 'usb',
  hw_pointer_model: 'usbtablet',
  image_location: 'snapshot',
  image_state: 'available',
  image_type: 'snapshot',
  mappings: '[{"virtual": "ami",  "device": "sda1"}]',
  root_device_name: '/dev/vda',
});

/** Of scripts and build pipelines. A property md5, which some have, is an argument of its own to the client. */
const scripted: Style = (system, version) => ({
  diskSize: '20',
  description: `Abbild für ${system}, „${version}“ — 雲`,
  kernel_id: '12345678-1234-1234-1234-123456789012',
  key: '',
  'build/url': 'https://ci.example.com/job/images/1?a=b~c',
  os_hidden_reason: 'superseded',
  ramdisk_id: '12345678-1234-1234-1234-123456789012',
  sha256checksum: 'x',
  usage_type: 'common',
  webshell: 'True',
});

const styles = { maintained, hardware: forHardware, snapshot, scripted };
const visibilities = ['private', 'shared', 'community'] as const;

export const catalogue: readonly CatalogueImage[] = systems.flatMap(([system, version], row) =>
  Object.entries(styles).map(([style, propertiesOf], column) => ({
    name: `${system} ${version} ${style}`,
    diskFormat: column % 2 === 0 ? 'qcow2' : 'raw',
    tags: column === 0 ? ['os:generic', system] : [],
    minDisk: row,
    minRAM: 64 * column,
    visibility: visibilities[(row + column) % visibilities.length] ?? 'shared',
    isProtected: row % 2 === 1,
    properties: propertiesOf(system, version),
  })),
);

/** The arguments of `openstack image create`. */
export function commandOf(image: CatalogueImage): string[] {
  const { name, diskFormat, tags, minDisk, minRAM, visibility, isProtected, properties } = image;
  return [
    ...['image', 'create', name, '--disk-format', diskFormat, '--container-format', 'bare', `--${visibility}`],
    ...['--min-disk', String(minDisk), '--min-ram', String(minRAM), isProtected ? '--protected' : '--unprotected'],
    ...tags.flatMap((tag) => ['--tag', tag]),
    ...Object.entries(properties).flatMap(([key, value]) => ['--property', `${key}=${value}`]),
  ];
}
