/** Properties as catalogues of images have them, for images that exist before the operator does. */

const systems =
  'ubuntu debian fedora almalinux rocky centos cirros opensuse arch gardenlinux windows freebsd flatcar talos amphora coreos alpine gentoo opnsense rhel'.split(
    ' ',
  );

/** Versions that a YAML parser takes for numbers, and texts that it takes for booleans. */
const versions = ['24.04', '8', '9.10', '10'];
const agents = ['yes', 'True', 'no'];

export const catalogueProperties: readonly Readonly<Record<string, string>>[] = systems.flatMap((system, index) => [
  {
    architecture: index % 2 === 0 ? 'x86_64' : 'aarch64',
    hw_disk_bus: index % 2 === 0 ? 'scsi' : 'virtio',
    hw_rng_model: 'virtio',
    hw_scsi_model: 'virtio-scsi',
    hw_watchdog_action: 'reset',
    hypervisor_type: 'qemu',
    os_distro: system,
    os_version: versions[index % versions.length] ?? '',
    replace_frequency: 'monthly',
    image_build_date: `2024-08-${String(index + 1).padStart(2, '0')}`,
    image_original_user: system,
    image_source: `https://example.com/${system}/image.qcow2?x=1&y=2`,
    image_description: `${system} ${index}`,
    internal_version: `2024${String(index).padStart(4, '0')}`,
  },
  {
    hw_firmware_type: index % 2 === 0 ? 'uefi' : 'bios',
    hw_machine_type: 'q35',
    hw_qemu_guest_agent: agents[index % agents.length] ?? '',
    hw_vif_multiqueue_enabled: 'true',
    hw_video_ram: '16',
    hw_tpm_version: '2.0',
    img_config_drive: index % 2 === 0 ? 'optional' : 'mandatory',
    os_admin_user: system,
    os_type: system === 'windows' ? 'windows' : 'linux',
    os_require_quiesce: 'yes',
    hw_cpu_cores: String(index + 1),
    hw_supported_disk_buses: 'scsi,virtio',
    [`trait:CUSTOM_${system.toUpperCase()}`]: 'required',
    description: `Line one, ${system}: "quoted" # no comment`,
  },
]);
