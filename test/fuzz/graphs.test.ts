/** A short run of the fuzzer; `npx tsx test/fuzz/graphs.ts --count 20000` is a long one. */
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { DitcError, parseGraph, printGraph, type Graph } from '../../compiler/ir/index.ts';
import { opTable } from '../../compiler/ops/index.ts';
import { check } from './check.ts';
import { fuzzCase } from './cases.ts';
import { TARGETS } from './devices.ts';
import { shrink } from './shrink.ts';
import { trialText, tryCase } from './trials.ts';

const CASES = Array.from({ length: 60 }, (_, i) => i);

describe('random graphs compile, and their kernels give what the interpreter does', () => {
  it.each(CASES)('%i', async (number) => {
    await setImmediate();
    for (const { trial, verdict } of tryCase(number))
      expect('kind' in verdict ? verdict.message : undefined, trialText(trial)).toBeUndefined();
  });
});

describe('the fuzzer', () => {
  const made = fuzzCase(0);
  const [portable] = TARGETS;

  it('makes the same case of the same number', () => {
    expect(printGraph(fuzzCase(7).graph)).toBe(printGraph(fuzzCase(7).graph));
    expect(fuzzCase(7).bindings).toEqual(fuzzCase(7).bindings);
  });

  it('sees a kernel that computes something else', () => {
    const other = made.graph.outputs.map(({ name }) => ({ name, node: made.graph.inputs[0] }));
    const pass = { name: 'other', doc: '', run: (graph: Graph): Graph => ({ ...graph, outputs: other }) };
    expect(check(made, { target: { ...portable, passes: [pass] } })).toHaveProperty('kind');
  });

  it('sees a crash, and tells it from a refusal', () => {
    const throwing = (error: Error) => {
      const pass = {
        name: 'throws',
        doc: '',
        run: () => {
          throw error;
        },
      };
      return check(made, { target: { ...portable, passes: [pass] } });
    };
    expect(throwing(new Error('broken'))).toHaveProperty('kind', 'crashed');
    expect(throwing(new DitcError({ code: 'limit', what: 'too large' }))).toHaveProperty('refused');
  });

  it('makes what fails smaller', () => {
    const fails = ({ graph }: { graph: Graph }) => printGraph(graph).includes('softmax');
    const number = CASES.find((n) => fails(fuzzCase(n)))!;
    const small = shrink(fuzzCase(number), fails, Date.now() + 10_000);
    const text = printGraph(small.graph);
    expect(text).toContain('softmax');
    expect(text.split('\n').length).toBeLessThan(20);
    expect(printGraph(parseGraph(text, opTable))).toBe(text);
  });
});
