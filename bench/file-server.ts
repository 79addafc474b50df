/**
 * Serves the files of a folder over HTTP at minimal cost, in a separate process so that its cost is measured
 * separately.
 */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream';

const [folder = '.'] = process.argv.slice(2);
const server = createServer((request, response) => {
  const file = join(folder, basename(request.url ?? ''));
  response.writeHead(200, { 'content-length': statSync(file).size, etag: `"${basename(file)}"` });
  pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), response, () => {});
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.send?.(`http://127.0.0.1:${address.port}`);
});
process.on('disconnect', () => process.exit());
