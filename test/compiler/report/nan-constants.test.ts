/** A NaN that a model computes of constants is told, once, where it arises. */
import { describe, expect, it } from 'vitest';
import { constant, defineModel, iota, where, type Entry, type Tensor } from '../../../compiler/dsl/index.ts';
import { traceEntry } from '../../../compiler/dsl/model.ts';
import { nanConstants } from '../../../compiler/report/nan-constants.ts';

function notesOf(build: (x: Tensor, e: Entry) => Tensor): string[] {
  const model = defineModel({ config: {}, entries: { f: (e) => ({ out: build(e.input('x', [4]), e) }) } });
  return nanConstants(traceEntry(model, 'f', { batch: 1 }).graph);
}

describe('a constant that is NaN', () => {
  it.each<[string, (x: Tensor) => Tensor, string]>([
    ['of an op', (x) => x.mul(constant(-1, []).log()), 'a value is NaN, whatever the inputs are: log(-1)'],
    ['of two infinities', (x) => x.add(constant(Infinity, [4]).sub(Infinity)), 'sub(Infinity, Infinity)'],
    ['of the user’s own code', (x) => x.mul(Math.sqrt(-1)), 'a constant is NaN, whatever the inputs are'],
    ['in one place of a table', (x) => x.add(iota([4], 0, 'f32').sub(1).log()), 'log(…)'],
  ])('%s is told', (_, build, note) => {
    const notes = notesOf(build);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toContain(note);
  });

  it('is told where it arises, not where it is read', () => {
    const notes = notesOf((x) => x.mul(constant(-1, []).sqrt().add(1).exp()).add(constant(-1, []).sqrt()));
    expect(notes).toEqual(['a value is NaN, whatever the inputs are: sqrt(-1)']);
  });

  it('is none where it is infinite, depends on an input, or is not there', () => {
    expect(notesOf((x) => where(x.gt(0), x, -Infinity).log())).toEqual([]);
    expect(notesOf((x) => x.mul(constant(4, []).sqrt()))).toEqual([]);
  });
});
