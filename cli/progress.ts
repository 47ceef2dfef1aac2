/** A progress bar on stderr, where someone watches it; elsewhere nothing is drawn. */
import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.ts';
import { clock, grouped } from './text.ts';

export interface Progress {
  /** How far it is; `total` may be told late. */
  update(done: number, total?: number): void;
  /** What is under way, shown behind the bar. */
  note(text: string): void;
  /** Takes the bar away. Safe to call twice. */
  stop(): void;
}

const SILENT: Progress = { update() {}, note() {}, stop() {} };

/** A bar with the rate and the time left: `sampling ━━━━━━╌╌╌╌ 12/30 steps · 4.1 steps/s · 0:05 left`. */
export function startProgress(terminal: Terminal, label: string, total: number, unit: string): Progress {
  if (!terminal.interactive) return SILENT;
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
  // The rate counts from the first step on: drivers compile kernels in it, which says nothing of the others.
  let first: { readonly done: number; readonly at: number } | undefined;
  bar.start(total, 0, { rate: '', note: '' });
  return {
    update(done, known) {
      if (known !== undefined) bar.setTotal(known);
      first ??= { done, at: performance.now() };
      const perSecond = (done - first.done) / ((performance.now() - first.at) / 1000);
      bar.update(done, { rate: unit && rateText(done, bar.getTotal(), perSecond, unit) });
    },
    note: (text) => bar.update({ note: ` · ${text}` }),
    stop: () => bar.stop(),
  };
}

function rateText(done: number, total: number, perSecond: number, unit: string): string {
  const count = ` · ${done}/${total} ${unit}`;
  if (!(perSecond > 0 && perSecond < Infinity)) return count;
  const slow = `${(1 / perSecond).toPrecision(3)} s per ${unit.replace(/s$/, '')}`;
  const fast = perSecond < 100 ? perSecond.toPrecision(3) : grouped(Math.round(perSecond));
  const rate = perSecond >= 1 ? `${fast} ${unit}/s` : slow;
  return `${count} · ${rate} · ${clock((total - done) / perSecond)} left`;
}
