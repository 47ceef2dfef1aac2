/** A process of the fuzzer: tries the cases it is sent, and says what became of each. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { printGraph } from '../../compiler/ir/index.ts';
import { compileGraphs } from '../../compiler/compile.ts';
import { check } from './check.ts';
import type { Case } from './cases.ts';
import { openValidator } from './validator.ts';
import { shrink } from './shrink.ts';
import { trialText, tryCase, type Tried } from './trials.ts';

export interface Order {
  readonly number: number;
  /** Whether Dawn is to see the WGSL too. */
  readonly validate: boolean;
}

export interface Answer {
  readonly number: number;
  readonly compiles: number;
  readonly kernels: number;
  readonly refused: number;
  readonly validated: number;
  readonly failures: readonly {
    readonly kind: 'wrong' | 'crashed';
    readonly trial: string;
    readonly message: string;
    readonly file: string;
  }[];
}

const SHRINK_MS = 20_000;
const [out] = process.argv.slice(2);

async function answer({ number, validate }: Order): Promise<Answer> {
  const tally = {
    number,
    compiles: 0,
    kernels: 0,
    refused: 0,
    validated: 0,
    failures: [] as Answer['failures'][number][],
  };
  const steps = tryCase(number);
  let step = steps.next();
  const failed: Tried[] = [];
  for (; !step.done; step = steps.next()) {
    const { verdict } = step.value;
    tally.compiles++;
    if ('kernels' in verdict) tally.kernels += verdict.kernels;
    else if ('refused' in verdict) tally.refused++;
    else failed.push(step.value);
  }
  const made = step.value;
  if (validate && !failed.length) {
    const problem = await invalid(made);
    tally.validated++;
    if (problem)
      tally.failures.push({ kind: 'crashed', trial: 'Dawn', message: problem, file: save(made, number, problem) });
  }
  for (const { trial, verdict } of failed) {
    if (!('kind' in verdict)) continue;
    const kind = verdict.kind;
    const message = verdict.message;
    const fails = (smaller: Case) => {
      const again = check(smaller, trial);
      return 'kind' in again && again.kind === kind && (kind === 'wrong' || sameLine(again.message, message));
    };
    const small = tally.failures.length ? made : shrink(made, fails, Date.now() + SHRINK_MS);
    const text = trialText(trial);
    tally.failures.push({ kind, trial: text, message, file: save(small, number, `${text}: ${kind}: ${message}`) });
  }
  return tally;
}

const sameLine = (a: string, b: string): boolean => shape(a) === shape(b);
const shape = (message: string): string => message.split('\n')[0].replace(/\d+/g, 'n').slice(0, 60);

/** What Dawn says against the kernels of a graph as its null backend would run them. */
async function invalid({ graph }: Case): Promise<string | undefined> {
  const { spec, problemOf } = await openValidator();
  return problemOf(compileGraphs([graph], { device: spec }));
}

function save({ graph }: Case, number: number, why: string): string {
  mkdirSync(out, { recursive: true });
  const file = join(out, `${number}-${why.replace(/[^\w]+/g, '-').slice(0, 40)}.ir`);
  const lines = why.split('\n').map((line) => `// ${line}`);
  writeFileSync(file, [`// Case ${number}.`, ...lines, '', printGraph(graph)].join('\n'));
  return file;
}

process.on('message', (order: Order) => {
  void answer(order).then((given) => process.send!(given));
});
