/** Graphs that the fuzzer has found, and what people have: each compiles for every device, and its kernels give what is right. */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { nodesOf, parseGraph } from '../../compiler/ir/index.ts';
import { opTable, Random } from '../../compiler/ops/index.ts';
import { drawValues } from '../helpers/samples.ts';
import { check } from './check.ts';
import type { Case } from './cases.ts';
import { TARGETS } from './devices.ts';

const FOLDER = new URL('found/', import.meta.url);

function readCase(file: string): Case {
  const graph = parseGraph(readFileSync(new URL(file, FOLDER), 'utf8'), opTable);
  const random = new Random(1);
  const named = nodesOf(graph).filter(({ attrs }) => typeof attrs.name === 'string');
  return { graph, bindings: Object.fromEntries(named.map((n) => [String(n.attrs.name), drawValues(random, n.type)])) };
}

describe.each(readdirSync(FOLDER))('%s', (file) => {
  const made = readCase(file);

  it.each(TARGETS.map((target) => [target.name, target] as const))('%s', async (_, target) => {
    await setImmediate();
    for (const share of [undefined, 0]) {
      const verdict = check(made, { target, share });
      expect('kind' in verdict ? verdict.message : undefined).toBeUndefined();
    }
  });
});
