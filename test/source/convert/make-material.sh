#!/usr/bin/env bash
# Makes qcow2 images in the folder $1 with qemu-img, and SHA256SUMS with the digest of the raw disk that qemu-img converts each one to.
# The images in material/ were made by it: make-material.sh FOLDER, then gzip -9 -n of each.
set -euo pipefail
cd "$1"

truncate -s 1536K disk.raw
# head ends before seq does, which pipefail would call a failure.
put() { dd of=disk.raw bs=1 seek="$1" conv=notrunc status=none < <(seq "$2" 9999 | head -c "$3"); }
put 0 1 9000
put 300032 2000 9000
put 1044480 4000 9000
put 1572352 7000 512

made() { qemu-img convert -O qcow2 "${@:2}" disk.raw "$1.qcow2"; }
made default
made deflate -c
made zstd -c -o compression_type=zstd
made version-2 -o compat=0.10
made version-2-deflate -c -o compat=0.10
made preallocated-metadata -o preallocation=metadata
made preallocated-falloc -o preallocation=falloc
made preallocated-full -o preallocation=full
made clusters-512 -o cluster_size=512
made clusters-512-deflate -c -o cluster_size=512
made clusters-2m -o cluster_size=2M
made clusters-2m-zstd -c -o cluster_size=2M,compression_type=zstd
made subclusters -o extended_l2=on,cluster_size=128k
made subclusters-deflate -c -o extended_l2=on,cluster_size=16k

wrote() { qemu-io -f qcow2 "${@:2}" "$1.qcow2" > /dev/null; }
made subclusters-in-part -o extended_l2=on,cluster_size=64k
wrote subclusters-in-part -c 'write -P 1 402k 2k' -c 'write -P 2 700k 6k' -c 'write -z 710k 4k' -c 'write -z 0 4k'
made snapshots
qemu-img snapshot -c one snapshots.qcow2
wrote snapshots -c 'write -P 3 0 128k' -c 'write -z 256k 128k'
qemu-img snapshot -c two snapshots.qcow2
wrote snapshots -c 'write -P 4 32k 8k'
made zeros
wrote zeros -c 'write -z 0 64k' -c 'discard 256k 128k' -c 'write -z -u 1M 64k'
qemu-img create -q -f qcow2 reverse.qcow2 1536K
for at in 1408 1280 1024 896 512 192 64 0; do wrote reverse -c "write -P $((at / 64 + 1)) ${at}k 32k"; done
made resized
qemu-img resize -q resized.qcow2 +1M
made bitmap
qemu-img bitmap --add bitmap.qcow2 seen
made lazy -o lazy_refcounts=on
wrote lazy -c 'write -P 5 600k 100k' -c flush -c abort 2> /dev/null || true
qemu-img create -q -f qcow2 empty.qcow2 1M

for image in *.qcow2; do
  qemu-img convert -f qcow2 -O raw "$image" out.raw
  echo "$(sha256sum < out.raw | cut -d ' ' -f 1)  $image"
done > SHA256SUMS
rm -f disk.raw out.raw
