/**
 * A headless Chromium on SwiftShader, driven over its own protocol (`--remote-debugging-pipe`): what a visitor sees and does, a screen
 * reader's tree, a GPU process that dies. One browser serves all tests of a file; each visit is a tab of its own profile.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { CHROMIUM_FLAGS } from './engines.ts';

const FLAGS = [
  ...CHROMIUM_FLAGS,
  // Without these, what lost its GPU a few times gets none any more.
  ...['--disable-gpu-process-crash-limit', '--disable-domain-blocking-for-3d-apis', '--remote-debugging-pipe'],
];

type Fields = Readonly<Record<string, unknown>>;
interface Reply {
  readonly id?: number;
  readonly result?: Fields;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #profile = mkdtempSync(join(tmpdir(), 'ditc-chromium-'));
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #asked = 0;

  constructor(command: string, flags: readonly string[] = FLAGS) {
    const args = [...flags, `--user-data-dir=${this.#profile}`];
    this.#child = spawn(command, args, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    let rest = '';
    (this.#child.stdio[4] as Readable).setEncoding('utf8').on('data', (text: string) => {
      const messages = (rest + text).split('\0');
      rest = messages.pop()!;
      for (const message of messages) this.#hear(JSON.parse(message) as Reply);
    });
    this.#child.once('close', () => {
      for (const done of this.#waiting.values()) done({ error: { message: 'the browser ended' } });
    });
  }

  #hear(reply: Reply): void {
    if (reply.id === undefined) return;
    this.#waiting.get(reply.id)?.(reply);
    this.#waiting.delete(reply.id);
  }

  /** A command of the protocol, to the browser or to a tab. */
  async send<T = Fields>(method: string, params: Fields = {}, sessionId?: string): Promise<T> {
    const id = ++this.#asked;
    const reply = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve));
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await reply;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result as T;
  }

  /** A tab; of the same profile as those with the same context. */
  async open(url: string, context?: string): Promise<Tab> {
    const browserContextId =
      context ?? (await this.send<{ browserContextId: string }>('Target.createBrowserContext')).browserContextId;
    const { targetId } = await this.send<{ targetId: string }>('Target.createTarget', { url, browserContextId });
    const attached = await this.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true });
    const send = <T>(method: string, params?: Fields) => this.send<T>(method, params, attached.sessionId);
    return new Tab(send, browserContextId, () => this.send('Target.closeTarget', { targetId }));
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    await this.send('Browser.close').catch(() => {});
    await ended;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
}

export class Tab {
  constructor(
    readonly send: <T = Fields>(method: string, params?: Fields) => Promise<T>,
    readonly context: string,
    readonly close: () => Promise<unknown>,
  ) {}

  /** What an expression gives in the page; a promise's value. */
  async run<T>(expression: string): Promise<T> {
    interface Evaluated {
      result: { value: T };
      exceptionDetails?: { exception?: { description?: string }; text: string };
    }
    const asked = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails: thrown } = await this.send<Evaluated>('Runtime.evaluate', asked);
    if (thrown) throw new Error(thrown.exception?.description ?? thrown.text);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression: string, limit = 60_000): Promise<void> {
    const end = Date.now() + limit;
    while (!(await this.run<boolean>(`Boolean(${expression})`).catch(() => false))) {
      if (Date.now() > end)
        throw new Error(`not within ${limit} ms: ${expression}; the page says: ${await this.text()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  text(): Promise<string> {
    return this.run('document.body.innerText');
  }

  /** A key pressed and let go. */
  async press(key: string): Promise<void> {
    const code = key === 'Enter' ? { text: '\r', windowsVirtualKeyCode: 13 } : {};
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', key, ...code });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key, ...code });
  }

  async picture(): Promise<Buffer> {
    const { data } = await this.send<{ data: string }>('Page.captureScreenshot', { captureBeyondViewport: true });
    return Buffer.from(data, 'base64');
  }
}
