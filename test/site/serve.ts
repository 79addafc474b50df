/** Serves the built site on this machine, as GitHub Pages does: below the name of the repository. */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { base } from '../../release/site/versions.ts';

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** The file that an address shows, or that of the message that there is none. */
export function fileOf(site: string, path: string): { file: string; status: 200 | 404 } {
  const inside = path.startsWith(base)
    ? normalize(join('/', decodeURIComponent(path.slice(base.length))))
    : '/404.html';
  const file = join(site, inside);
  const shown = existsSync(file) && statSync(file).isDirectory() ? join(file, 'index.html') : file;
  return existsSync(shown) ? { file: shown, status: 200 } : { file: join(site, '404.html'), status: 404 };
}

export async function serveSite(site: string): Promise<{ address: string; stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://127.0.0.1');
    const { file, status } = fileOf(site, pathname);
    response.writeHead(status, { 'content-type': types[extname(file)] ?? 'application/octet-stream' });
    response.end(readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server has no port');
  return {
    address: `http://127.0.0.1:${address.port}${base}`,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
