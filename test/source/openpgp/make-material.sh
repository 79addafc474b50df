#!/usr/bin/env bash
# Makes the keys and signatures in material/ with GnuPG. The tests use the committed files, so it runs only when another case is needed.
# The private keys are thrown away.
set -euo pipefail
cd "$(dirname "$0")/material"
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT

at() { # DATE ARGUMENTS…: gpg on that day
  local day=$1
  shift
  gpg --batch --yes --quiet --no-tty --pinentry-mode loopback --passphrase '' --trust-model always \
    --faked-system-time "${day}T120000!" "$@"
}
fingerprint() { gpg --batch --with-colons --list-keys "$1" | awk -F: '$1 == "fpr" { print $10; exit }'; }
export_key() { at 20240601 --armor --export-options export-minimal --export "$(fingerprint "$1")" > "$2"; }

at 20240101 --quick-generate-key 'Release <release@example.com>' ed25519 sign never
at 20240101 --quick-generate-key 'Subkey <subkey@example.com>' rsa2048 cert never
at 20240101 --quick-add-key "$(fingerprint subkey@example.com)" rsa2048 sign never
at 20240101 --quick-generate-key 'Curve <curve@example.com>' nistp256 sign never
at 20200101 --quick-generate-key 'Expired <expired@example.com>' ed25519 sign 1y
at 20240101 --quick-generate-key 'Revoked <revoked@example.com>' ed25519 sign never
at 20240101 --quick-generate-key 'Stranger <stranger@example.com>' ed25519 sign never
at 20240101 --quick-generate-key 'Short <short@example.com>' rsa1024 sign never

cat > SHA256SUMS <<'LIST'
8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf *disk-20240601.qcow2
bee98bf120e8906382754c6be52860ac5dbc65a1ca4dbee7576267d8fd3367e1 *other.qcow2
LIST
printf '%s\n' '- a line that begins with a dash' '# disk.qcow2: 1024 bytes   ' \
  'SHA256 (disk.qcow2) = 8e35c2cd3bf6641bdb0e2050b76932cbb2e6034a0ddacc1d9bea82a6ba57f7cf' > CHECKSUM

sign() { # DAY WHO OUTPUT ARGUMENTS…
  local day=$1 who=$2 output=$3
  shift 3
  at "$day" --local-user "$(fingerprint "$who")" --output "$output" "$@"
}
sign 20240601 release@example.com SHA256SUMS.gpg --detach-sign SHA256SUMS
sign 20240601 subkey@example.com SHA256SUMS.asc --armor --detach-sign SHA256SUMS
sign 20240601 release@example.com SHA256SUMS.text.asc --armor --textmode --detach-sign SHA256SUMS
sign 20240601 curve@example.com CHECKSUM.clearsigned --clearsign CHECKSUM
sign 20240602 release@example.com CHECKSUM.newer.clearsigned --clearsign CHECKSUM
sign 20240601 subkey@example.com SHA256SUMS.sha1.asc --armor --digest-algo SHA1 --detach-sign SHA256SUMS
sign 20240601 short@example.com SHA256SUMS.short.asc --armor --digest-algo SHA256 --detach-sign SHA256SUMS
sign 20200601 expired@example.com SHA256SUMS.expired.asc --armor --detach-sign SHA256SUMS
sign 20240601 revoked@example.com SHA256SUMS.revoked.asc --armor --detach-sign SHA256SUMS
sign 20240601 stranger@example.com SHA256SUMS.stranger.asc --armor --detach-sign SHA256SUMS
sign 20240601 release@example.com SHA256SUMS.brief.asc --armor --default-sig-expire 1d --detach-sign SHA256SUMS
cat SHA256SUMS.stranger.asc SHA256SUMS.asc > SHA256SUMS.both.asc

revocation="$GNUPGHOME/openpgp-revocs.d/$(fingerprint revoked@example.com).rev"
sed -i 's/^:---/---/' "$revocation"
at 20240701 --import "$revocation"

for who in release subkey curve expired revoked stranger short; do export_key "$who@example.com" "$who.key.asc"; done
at 20240601 --export-options export-minimal --export "$(fingerprint release@example.com)" > release.key.gpg

# Kinds of keys that publishers have, or had.
at 20240101 --quick-generate-key 'Old <old@example.com>' dsa2048 sign never
at 20240101 --quick-generate-key 'Long <long@example.com>' rsa4096 sign never
at 20200101 --quick-generate-key 'Renewed <renewed@example.com>' rsa2048 sign 1y
sign 20240601 old@example.com SHA256SUMS.dsa.asc --armor --digest-algo SHA256 --detach-sign SHA256SUMS
sign 20240601 long@example.com SHA256SUMS.long.gpg --detach-sign SHA256SUMS
sign 20200601 renewed@example.com SHA256SUMS.renewed.asc --armor --detach-sign SHA256SUMS
at 20240101 --quick-set-expire "$(fingerprint renewed@example.com)" never
for who in old long renewed; do export_key "$who@example.com" "$who.key.asc"; done
