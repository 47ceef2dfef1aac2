/** Progress on stderr: a bar where someone watches it; elsewhere a line now and then, of what takes long. */
import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.ts';
import { clock, grouped, seconds } from './text.ts';

export interface Progress {
  /** How far it is; `total` may be told late. */
  update(done: number, total?: number): void;
  /** What is under way, shown behind the bar. */
  note(text: string): void;
  /** Takes the bar away. Safe to call twice. */
  stop(): void;
}

const SILENT: Progress = { update() {}, note() {}, stop() {} };

/** Milliseconds between lines of a log. */
const LOG_EVERY = 30_000;

/**
 * Names work that lets nothing else happen while it lasts, such as the type check; where nobody watches, once it has taken as long
 * as a line of a log is worth.
 */
export function phase<T>(terminal: Terminal | undefined, name: string, work: () => T): T {
  if (!terminal) return work();
  const start = performance.now();
  if (terminal.interactive) process.stderr.write(`${name} …`);
  try {
    return work();
  } finally {
    const took = performance.now() - start;
    performance.measure(name, { start }); // for bench/startup.ts
    if (terminal.interactive) process.stderr.write('\r\x1b[K');
    else if (took > LOG_EVERY) terminal.err(`${name}: ${seconds(took)}`);
  }
}

/** A bar with the rate and the time left: `sampling ━━━━━━╌╌╌╌ 12/30 steps · 4.1 steps/s · 0:05 left`. */
export function startProgress(
  terminal: Terminal,
  label: string,
  total: number,
  unit: string,
  { logs = true }: { readonly logs?: boolean } = {},
): Progress {
  if (!terminal.interactive) return logs ? logged(terminal, label, total, unit) : SILENT;
  const bar = new SingleBar({
    stream: process.stderr,
    clearOnComplete: true,
    barCompleteChar: '━',
    barIncompleteChar: '╌',
    barsize: 24,
    // A redraw costs a little, and the steps of a small model come by the hundred.
    fps: 10,
    format: `${label} {bar} {percentage} %{rate}{note}`,
  });
  const pace = new Pace();
  bar.start(total, 0, { rate: '', note: '' });
  return {
    update(done, known) {
      if (known !== undefined) bar.setTotal(known);
      const perSecond = pace.at(done);
      bar.update(done, {
        rate: unit ? rateText(done, bar.getTotal(), perSecond, unit) : ` · ${share(done, bar.getTotal())}`,
      });
    },
    note: (text) => bar.update({ note: ` · ${text}` }),
    stop: () => bar.stop(),
  };
}

/** Updates that work may come ahead of the device: runs are queued, and told when they are. */
const QUEUED = 5;
/** Milliseconds between updates below which the first of them tell what was queued, not done. */
const AT_ONCE = 100;
/** Milliseconds that a rate is measured over at least. */
const LEAST = 250;

/**
 * How fast it goes. In the first run of an entry drivers compile kernels, which says nothing of the others. So the rate counts from
 * the first update that is waited for, be it the first of all or the one after those that were queued, and of what came later, the
 * newer half: an entry may have its first run in the midst of others.
 */
class Pace {
  /** Where the rate may count from, in the order in which they came, at least LEAST apart. */
  #marks: Mark[] = [];
  #first: Mark | undefined;
  #updates = 0;
  #last = -Infinity;
  #wasQueued = false;

  /** Per second; undefined until it is known. */
  at(done: number): number | undefined {
    const now = { done, at: performance.now() };
    const isQueued = ++this.#updates <= QUEUED && now.at - this.#last < AT_ONCE;
    if (isQueued || this.#wasQueued || !this.#first) [this.#first, this.#marks] = [now, [now]];
    this.#wasQueued = isQueued;
    this.#last = now.at;
    const [marks, half] = [this.#marks, (this.#first.done + done) / 2];
    if (now.at - marks.at(-1)!.at >= LEAST) marks.push(now);
    while (marks.length > 2 && marks[1].done <= half) marks.shift();
    const from = marks[0];
    return now.at - from.at < LEAST ? undefined : (1000 * (done - from.done)) / (now.at - from.at);
  }
}

interface Mark {
  readonly done: number;
  /** Milliseconds. */
  readonly at: number;
}

/** Bars of work that goes on side by side: the first that is not done is shown. Each function tells how far its work is. */
export function progressInTurn(
  terminal: Terminal,
  labels: readonly string[],
): ((done: number, total: number) => void)[] {
  const state = labels.map(() => ({ done: 0, total: 1 }));
  let shown: { readonly at: number; readonly bar: Progress } | undefined;
  const show = (moved: number) => {
    const at = state.findIndex(({ done, total }) => done < total);
    if (at === shown?.at && at !== moved) return;
    if (at !== shown?.at) {
      shown?.bar.stop();
      shown = at < 0 ? undefined : { at, bar: startProgress(terminal, labels[at], state[at].total, '') };
    }
    shown?.bar.update(state[at].done, state[at].total);
  };
  show(0);
  return labels.map((_, at) => (done, total) => {
    state[at] = { done, total };
    show(at);
  });
}

const share = (done: number, total: number): string => `${grouped(done)} of ${grouped(total)}`;

/** Lines of a log, while it lasts long enough: `sampling 12/30 steps · 4.1 steps/s · 0:05 left`. */
function logged(terminal: Terminal, label: string, total: number, unit: string): Progress {
  let last = performance.now();
  const pace = new Pace();
  return {
    update(done, known = total) {
      total = known;
      const now = performance.now();
      const perSecond = pace.at(done);
      if (now - last < LOG_EVERY) return;
      last = now;
      const rate = rateText(done, total, perSecond, unit);
      terminal.err(`${label} ${unit ? rate.slice(3) : share(done, total)}`);
    },
    note() {},
    stop() {},
  };
}

function rateText(done: number, total: number, perSecond: number | undefined, unit: string): string {
  const count = ` · ${done}/${total} ${unit}`;
  if (!perSecond) return count;
  const slow = `${(1 / perSecond).toPrecision(3)} s per ${unit.replace(/(?<=ch|ss)es$|s$/, '')}`;
  const fast = perSecond < 100 ? perSecond.toPrecision(3) : grouped(Math.round(perSecond));
  const rate = perSecond >= 1 ? `${fast} ${unit}/s` : slow;
  return `${count} · ${rate} · ${clock((total - done) / perSecond)} left`;
}
