/** OpenPGP.js for one executable: the folder next to it, because its licence (LGPL) wants a user to be able to replace it. */
const { createRequire } = require('node:module');
const { dirname, join } = require('node:path');

const folder = join(dirname(process.execPath), 'openpgp');
try {
  module.exports = createRequire(process.execPath)(join(folder, 'dist/node/openpgp.mjs'));
} catch (cause) {
  throw new Error(
    `signatures are verified with OpenPGP.js, which cannot be loaded from ${folder}: unpack the whole archive of the release, and move the executable together with this folder`,
    { cause },
  );
}
