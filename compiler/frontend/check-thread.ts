/**
 * The check in a thread of its own. This one waits for what it needs without giving up its turn, so that loading a model stays
 * synchronous: first for the code, then, once it has compiled the model, for the verdict.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageChannel, receiveMessageOnPort, Worker, type MessagePort } from 'node:worker_threads';
import { DitcError, type ErrorParts } from '../ir/index.ts';
import { ModelTypeError } from './check.ts';
import { checkHere, keepIfSame, type Checking, type Kept, type Subject } from './checking.ts';
import type { Dependencies } from './dependencies.ts';
import { compiledModules, preparedModules, type Prepared } from './modules.ts';
import type { DisplayBase } from './paths.ts';
import { remember } from './sources.ts';

export interface Job {
  readonly file: string;
  readonly base: DisplayBase;
  readonly port: MessagePort;
  /** How many messages were sent. */
  readonly sent: Int32Array;
}

/** How work in the thread failed: by an error of ours, or a bug. */
export interface Failure {
  readonly message?: string;
  readonly parts?: ErrorParts;
  readonly types?: { readonly count: number; readonly pretty: string };
}

type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

export interface Message {
  readonly prepared?: Outcome<Prepared>;
  readonly dependencies?: Outcome<Dependencies>;
  /** Files by their names in locations. */
  readonly names?: readonly (readonly [name: string, file: string])[];
}

/** A thread that ends without a word, for lack of memory say, would be waited for without end: after this, the work is done here. */
const LONGEST_MS = 60_000;

/** The code of the thread; undefined where this runs from TypeScript sources, which a thread cannot load. */
function workerFile(): URL | undefined {
  // Not import.meta.url: in a bundle, that is where the source lies (cli/from-sources.mjs).
  const url = (import.meta as { resolve?: (name: string) => string }).resolve?.('./check-worker.js');
  return url !== undefined && existsSync(fileURLToPath(url)) ? new URL(url) : undefined;
}

/** Begins the check of a model file beside this thread, where that can be. */
export function beginCheck(subject: Subject, base: DisplayBase): Thread | undefined {
  const code = workerFile();
  return code && new Thread(code, subject, base);
}

export class Thread {
  private readonly subject: Subject;
  private readonly sent = new Int32Array(new SharedArrayBuffer(4));
  private readonly port: MessagePort;
  private taken = 0;

  constructor(code: URL, subject: Subject, base: DisplayBase) {
    const { port1, port2 } = new MessageChannel();
    this.subject = subject;
    this.port = port1;
    const workerData: Job = { file: subject.file, base, port: port2, sent: this.sent };
    const worker = new Worker(code, { workerData, transferList: [port2], execArgv: [] });
    // What went wrong shows in what it sends, or in its silence.
    worker.on('error', () => {});
    worker.unref();
    port1.unref();
  }

  /** Waits for the code. `keep` gets what was found right. */
  checking(keep: (kept: Kept) => void): Checking {
    const others = () => compiledModules(this.subject.display);
    const { prepared } = this.receive();
    // An import that TypeScript cannot resolve or a file that cannot be read: the check says so in better words.
    if (!prepared || 'failure' in prepared) return { modules: others(), checked: () => this.settle() };
    let isChecked = false;
    const checked = () => {
      if (isChecked) return;
      const dependencies = this.settle();
      isChecked = true;
      if (dependencies) keepIfSame({ prepared: prepared.value, dependencies }, keep);
    };
    return { modules: preparedModules(prepared.value, others), checked };
  }

  private settle(): Dependencies | undefined {
    const { dependencies } = this.receive();
    if (dependencies && 'value' in dependencies) return dependencies.value;
    if (dependencies?.failure.parts) throw errorOf(dependencies.failure);
    checkHere(this.subject, () => {});
    return undefined;
  }

  private receive(): Message {
    const before = this.taken++;
    if (Atomics.load(this.sent, 0) <= before) Atomics.wait(this.sent, 0, before, LONGEST_MS);
    const message = receiveMessageOnPort(this.port)?.message as Message | undefined;
    for (const [name, file] of message?.names ?? []) remember(name, file);
    return message ?? {};
  }
}

function errorOf({ parts, types }: Failure): DitcError {
  const { where, why = '', fix } = parts!;
  return types ? new ModelTypeError(where, types.count, why, types.pretty, fix) : new DitcError(parts!);
}
