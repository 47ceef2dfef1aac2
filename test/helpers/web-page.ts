/**
 * A folder served to a browser, and what a script of the test finds out there: the page posts it back. The page has the policy that
 * docs/web.md promises.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { LIMIT, type Engine } from './engines.ts';

export const POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' blob:";

const TYPES: Record<string, string> = {
  '.js': 'text/javascript',
  '.html': 'text/html',
  '.svg': 'image/svg+xml',
  '.css': 'text/css',
  '.json': 'application/json',
};

export type Files = ReadonlyMap<string, string | Uint8Array>;

/** What a server does with a request before it answers it from the files; true where it has answered. */
export type Meddle = (path: string, request: IncomingMessage, response: ServerResponse) => boolean;

export interface Visit {
  /** What the script returned, or `{ error }` with the fields of what it threw. */
  readonly result: unknown;
  /** The paths asked for, in order. */
  readonly requests: readonly string[];
}

export interface Served {
  readonly url: string;
  /** The paths asked for, in order. */
  readonly requests: readonly string[];
  close(): void;
}

/** A server of files on this machine. */
export async function serve(files: Files, meddle: Meddle = () => false): Promise<Served> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const path = new URL(request.url!, 'http://page').pathname.slice(1) || 'index.html';
    requests.push(path);
    if (!meddle(path, request, response)) answer(path, files.get(path), request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${port}/`, requests, close };
}

/** Runs the body of an async function in a page beside the files; it may import them, and returns JSON. */
export async function visit(
  engine: Engine,
  files: Files,
  script: string,
  meddle: Meddle = () => false,
): Promise<Visit> {
  let posted: (result: unknown) => void = () => {};
  const result = new Promise<unknown>((resolve) => (posted = resolve));
  const own: Files = new Map([
    ['test.html', '<!doctype html><script type="module" src="test.js"></script>'],
    ['test.js', pageScript(script)],
  ]);
  const server = await serve(new Map([...files, ...own]), (path, request, response) => {
    if (path !== 'result') return meddle(path, request, response);
    void bodyOf(request).then((text) => posted(JSON.parse(text)));
    response.end();
    return true;
  });
  const profile = mkdtempSync(join(tmpdir(), 'ditc-page-'));
  const child = engine.open(`${server.url}test.html`, profile, (error) => {
    if (error && !child.killed) posted({ error: { code: 'browser', message: String(error) } });
  });
  const late = setTimeout(() => posted({ error: { code: 'late', message: `no result after ${LIMIT} ms` } }), LIMIT);
  try {
    const found = await result;
    return { result: found, requests: server.requests.filter((path) => path !== 'result') };
  } finally {
    clearTimeout(late);
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill();
    server.close();
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

function answer(
  path: string,
  content: string | Uint8Array | undefined,
  request: IncomingMessage,
  response: ServerResponse,
) {
  response.setHeader('content-security-policy', POLICY);
  if (content === undefined) return void response.writeHead(404).end();
  response.setHeader('content-type', TYPES[extname(path)] ?? 'application/octet-stream');
  const bytes = Buffer.from(content as Uint8Array);
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? NaN);
  if (Number.isNaN(from)) response.end(bytes);
  else
    response
      .writeHead(206, { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` })
      .end(bytes.subarray(from));
}

const pageScript = (script: string): string => `
const run = async () => { ${script} };
const fields = ({ code, message, what, why, fix, name }) => ({ code, message, what, why, fix, name });
const result = await run().catch((error) => ({ error: fields(error) }));
await fetch('/result', { method: 'POST', body: JSON.stringify(result ?? null) });
`;

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
