/**
 * Random graphs compiled for many devices and budgets, their kernels run in this process and held against the interpreter.
 *
 *   npx tsx test/fuzz/graphs.ts --count 20000 --seed 1
 *
 * `--processes` (1 unless told), `--validate N`: Dawn sees every N-th graph's WGSL (10 unless told, 0: none), `--out DIR`: where graphs
 * that fail go, as small as they can be made. Exit code 1 where any does.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask } from './ask.ts';
import type { Answer, Order } from './worker.ts';

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    processes: { type: 'string', default: '1' },
    validate: { type: 'string', default: '10' },
    out: { type: 'string', default: join(tmpdir(), 'ditc-fuzz') },
  },
});
const [count, seed, processes, validate] = [values.count, values.seed, values.processes, values.validate].map(Number);

const total = { graphs: 0, compiles: 0, kernels: 0, validated: 0, refused: 0, wrong: 0, crashed: 0, hung: 0 };
const started = Date.now();
let next = 0;

const order = (): Order | undefined =>
  next < count ? { number: seed + next++, validate: validate > 0 && next % validate === 0 } : undefined;

/** One process after the other, until nothing is left: one that hangs or dies is replaced. */
async function work(): Promise<void> {
  let child: ChildProcess | undefined;
  for (let todo = order(); todo; todo = order()) {
    child ??= fork(fileURLToPath(new URL('worker.ts', import.meta.url)), [values.out]);
    const given = await ask<Answer>(child, todo);
    total.graphs++;
    if (typeof given === 'string') {
      total[given]++;
      say(`case ${todo.number} ${given === 'hung' ? 'does not come to an end' : 'ended its process'}`);
      child.kill('SIGKILL');
      child = undefined;
    } else count1(given);
    progress();
  }
  child?.kill();
}

function count1(answer: Answer): void {
  for (const key of ['compiles', 'kernels', 'refused', 'validated'] as const) total[key] += answer[key];
  for (const { kind, trial, message, file } of answer.failures) {
    total[kind]++;
    say(`case ${answer.number}, ${trial}: ${kind}: ${message.split('\n').slice(0, 3).join(' ')}\n  ${file}`);
  }
}

const say = (text: string): void => void process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}${text}\n`);

function progress(): void {
  if (!process.stderr.isTTY && total.graphs % 100) return;
  const left = ((Date.now() - started) / total.graphs) * (count - total.graphs);
  const failed = total.wrong + total.crashed + total.hung;
  const text = `${total.graphs} of ${count} graphs, ${failed} failures, ${Math.round(left / 60_000)} min left`;
  process.stderr.write(process.stderr.isTTY ? `\r\x1b[K${text}` : `${text}\n`);
}

await Promise.all(Array.from({ length: processes }, work));
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
console.log(`seeds ${seed} to ${seed + count - 1}, ${Math.round((Date.now() - started) / 1000)} s`);
console.table(total);
process.exitCode = total.wrong + total.crashed + total.hung ? 1 : 0;
