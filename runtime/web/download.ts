/**
 * Files as they were built, or not at all: each is fetched, resumed where the connection broke off, held to its SHA-256, and kept for
 * the next visit.
 */
import { RuntimeError } from '../error.ts';
import { loadError } from './error.ts';
import { page } from './page.ts';
import type { StoredFile } from './model-file.ts';
import type { Store } from './store.ts';
import { unpack } from './unpack.ts';

/** How often a file is asked for before its server is given up. */
const ATTEMPTS = 4;
/** Milliseconds before the second attempt; each later one waits twice as long. */
const PAUSE = 250;

export interface Downloads {
  readonly base: URL;
  readonly signal?: AbortSignal;
  /** Seconds without a byte after which a connection is given up. */
  readonly patience: number;
  /** Is told of bytes as they come in, from wherever. */
  readonly onBytes?: (bytes: number) => void;
  readonly store?: Store;
}

/** What a file holds. @throws RuntimeError `network`, `damaged`; the signal's reason once that is aborted. */
export async function download(stored: StoredFile, downloads: Downloads): Promise<Uint8Array<ArrayBuffer>> {
  const work = () => downloadAlone(stored, downloads);
  const bytes = await (downloads.store ? inTurn(`ditc ${stored.sha256}`, downloads, work) : work());
  return unpack(bytes, stored);
}

/** Tabs take turns, so that one of them downloads a file for all; none waits for another that sleeps. */
async function inTurn<T>(name: string, { signal, patience }: Downloads, work: () => Promise<T>): Promise<T> {
  const { locks } = page.navigator ?? {};
  if (!locks) return work();
  const late = AbortSignal.timeout(1000 * patience);
  let begun = false;
  const begin = () => {
    begun = true;
    return work();
  };
  try {
    return await locks.request(name, { signal: signal ? AbortSignal.any([signal, late]) : late }, begin);
  } catch (error) {
    if (begun || signal?.aborted) throw error;
    return work();
  }
}

async function downloadAlone(stored: StoredFile, downloads: Downloads): Promise<Uint8Array<ArrayBuffer>> {
  const { store, onBytes } = downloads;
  const kept = await store?.get(stored.sha256);
  if (kept && (await isWhole(kept, stored))) {
    onBytes?.(kept.length);
    return kept;
  }
  const bytes = await fetched(stored, downloads);
  if (!(await isWhole(bytes, stored))) {
    const why = 'its SHA-256 is not the one that the build wrote';
    throw loadError({ code: 'damaged', where: stored.file, what: 'the file is damaged', why, fix: 'upload it again' });
  }
  await store?.put(stored.sha256, bytes);
  return bytes;
}

const isWhole = async (bytes: Uint8Array<ArrayBuffer>, { bytes: length, sha256 }: StoredFile): Promise<boolean> =>
  bytes.length === length && (await digestOf(bytes)) === sha256;

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** All bytes of a file, however often the connection breaks off on the way. */
async function fetched({ file, bytes }: StoredFile, { base, signal, patience, onBytes }: Downloads) {
  const whole = new Uint8Array(bytes);
  let at = 0;
  const take = (part: Uint8Array) => {
    if (at + part.length > bytes) throw wrongSize(file, bytes);
    whole.set(part, at);
    at += part.length;
    onBytes?.(part.length);
  };
  const restart = () => {
    onBytes?.(-at);
    at = 0;
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await request(new URL(file, base), at, { signal, patience, take, restart });
      if (at === bytes) return whole;
      throw networkError(file, `the connection ended after ${at} of ${bytes} bytes`);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt === ATTEMPTS || isFinal(error)) throw asNetwork(file, error);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE * 2 ** (attempt - 1)));
  }
}

interface Taking extends Pick<Downloads, 'signal' | 'patience'> {
  readonly take: (part: Uint8Array) => void;
  readonly restart: () => void;
}

/** What a server sends from a byte on; from the first one where it knows no ranges. */
async function request(url: URL, from: number, { signal, patience, take, restart }: Taking): Promise<void> {
  const headers = from ? { range: `bytes=${from}-` } : undefined;
  const silence = new Silence(patience, signal);
  try {
    await takeAll(await fetch(url, { signal: silence.signal, headers }), url, from, {
      restart,
      take(part) {
        silence.broken();
        take(part);
      },
    });
  } finally {
    silence.end();
  }
}

/** Aborts what nothing is heard of. */
class Silence {
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly patience: number,
    private readonly outer?: AbortSignal,
  ) {
    outer?.addEventListener('abort', this.#onAbort);
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Something was heard. */
  broken(): void {
    clearTimeout(this.#timer);
    const what = `nothing came in for ${this.patience} s`;
    this.#timer = setTimeout(() => this.#stop.abort(new Error(what)), 1000 * this.patience);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.outer?.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (): void => this.#stop.abort(this.outer!.reason);
}

async function takeAll(
  response: Response,
  url: URL,
  from: number,
  { take, restart }: Pick<Taking, 'take' | 'restart'>,
): Promise<void> {
  if (!response.ok) {
    throw networkError(url.pathname.slice(1), `the server answers ${response.status}`, response.status);
  }
  if (from && response.status !== 206) restart();
  const reader = response.body!.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) take(part.value);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

const wrongSize = (file: string, bytes: number) =>
  loadError({
    code: 'network',
    where: file,
    what: `the server sends more than the ${bytes} bytes of the build`,
    fix: 'upload the whole folder again',
  });

/** Whether asking again would bring the same: a file that is not there, or is another. */
const isFinal = (error: unknown): boolean =>
  error instanceof RuntimeError && (error.cause === undefined ? /sends more/.test(error.what) : isRefusal(error.cause));

const isRefusal = (status: unknown): boolean =>
  typeof status === 'number' && status >= 400 && status < 500 && status !== 429;

const networkError = (file: string, what: string, cause?: unknown): RuntimeError =>
  loadError({
    code: 'network',
    where: file,
    what,
    fix: 'check the connection and that the whole folder was uploaded',
    cause,
  });

const asNetwork = (file: string, cause: unknown): RuntimeError =>
  cause instanceof RuntimeError ? cause : networkError(file, `it cannot be fetched: ${String(cause)}`, cause);

/** A small file that has no digest of its own. */
export async function downloadJson(file: string, { base, signal, patience }: Downloads): Promise<unknown> {
  const url = new URL(file, base);
  let text: string;
  try {
    const late = AbortSignal.timeout(1000 * patience);
    const ends = signal ? AbortSignal.any([signal, late]) : late;
    const response = await fetch(url, { signal: ends, headers: { 'cache-control': 'no-cache' } });
    if (!response.ok) throw networkError(url.href, `the server answers ${response.status}`);
    text = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof RuntimeError ? error : asNetwork(url.href, error);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    const fix = 'give the URL of a folder that ditc build --target web wrote';
    throw loadError({ code: 'damaged', where: url.href, what: 'it is not JSON', why: String(cause), fix });
  }
}
