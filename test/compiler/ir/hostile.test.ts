/** Text from anywhere: whatever is wrong with it is told at its line and column, and what is accepted compiles. */
import { describe, expect, it } from 'vitest';
import { CompilerBug } from '../../../compiler/emit/reproducer.ts';
import { DitcError, printGraph, readGraphs, type Graph } from '../../../compiler/ir/index.ts';
import { opTable, Random } from '../../../compiler/ops/index.ts';
import { optimise } from '../../../compiler/opt.ts';
import { pipeline } from '../../../compiler/pipeline.ts';
import { PORTABLE } from '../../../compiler/device.ts';
import { randomGraph } from '../../helpers/random-graph.ts';

const read = (text: string) => readGraphs(text, opTable, 'h.ir');

const body = (lines: string, end = 'return y = %y') => `graph @f(%x: f32[4]) {\n  ${lines}\n  ${end}\n}\n`;
const STATE = '%n = state {dtype = "f32", name = "n", shape = [4]} : f32[4]';

describe('a mistake', () => {
  it.each([
    [
      'data that is cut off',
      body('%y = constant {data = data"AAAA", dtype = "f32", shape = [4]} : f32[4]'),
      '2:17: data is cut',
    ],
    [
      'an escape',
      body('%y = param {dtype = "f32", name = "a\\q", shape = [4]} : f32[4]'),
      '2:14: a string has an escape',
    ],
    [
      'an attribute twice',
      body('%y = reshape %x {shape = [4], shape = [2, 2]} : f32[4]'),
      '2:19: the attribute shape is given',
    ],
    [
      'an attribute of another kind',
      body('%y = reshape %x {shape = 4} : f32[4]'),
      '2:3: the attribute shape is a list',
    ],
    ['an attribute that is missing', body('%y = permute %x : f32[4]'), '2:3: the attribute perm is a list'],
    [
      'NaN as an integer',
      body('%y = constant {dtype = "i32", shape = [4], value = NaN} : i32[4]'),
      '2:3: constant: a value must be a whole number from -2147483648 to 2147483647, as i32 holds: got NaN',
    ],
    ['no size at all', body('%y = reshape %x {shape = [0]} : f32[0]'), '2:3: reshape'],
    [
      'a tensor no index reaches',
      body('%y = broadcast %x {shape = [65536, 65536, 4]} : f32[65536,65536,4]'),
      '2:3: verify: @f',
    ],
    [
      'a cycle',
      body('%a = exp %b : f32[4]\n  %b = exp %a : f32[4]\n  %y = exp %b : f32[4]'),
      '2:12: %b is used before',
    ],
    ['itself', body('%y = exp %y : f32[4]'), '2:12: %y is used before it is defined'],
    ['a name twice', body('%y = exp %x : f32[4]\n  %y = sin %x : f32[4]'), '3:3: %y is defined twice'],
    ['an argument twice', 'graph @f(%x: f32[4], %x: f32[4]) {\n  return y = %x\n}', '1:22: %x is defined twice'],
    ['an input below', body('%y = input {dtype = "f32", name = "z", shape = [4]} : f32[4]'), '2:3: verify: @f: %z'],
    [
      'an output twice',
      body('%y = exp %x : f32[4]', 'return y = %y, y = %x'),
      '1:10: verify: @f: %x (input, id 0): two outputs are named y',
    ],
    [
      'an update of no state',
      body('%y = exp %x : f32[4]\n  update %x = %y'),
      '1:10: verify: @f: %x (input, id 0): only state',
    ],
    [
      'an update of another type',
      body(`${STATE}\n  %y = reshape %x {shape = [2, 2]} : f32[2,2]\n  update %n = %y`),
      '3:3: verify',
    ],
    ['too few operands', body('%y = add %x : f32[4]'), '2:3: add: takes 2 operands'],
    ['a graph of the same name', body('%y = exp %x : f32[4]').repeat(2), 'h.ir: two graphs are @f'],
    ['deep nesting', body(`%y = reshape %x {shape = ${'['.repeat(10_000)}4`), '2:29: syntax error'],
    ['no graph', '\0\x07\ufeff', '1:3: syntax error'],
  ])('%s', (_what, text, message) => {
    expect(() => read(text)).toThrow(DitcError);
    expect(() => read(text)).toThrow(message.startsWith('h.ir') ? message : `h.ir:${message}`);
  });
});

/** A token gone, doubled, or replaced by another of the text. */
function mutate(text: string, random: Random): string {
  const tokens = text.split(/(\s+|[(){}[\],=:"]|%[\w.$]+)/).filter(Boolean);
  for (let changes = random.int(1, 3); changes > 0; changes--) {
    const at = random.int(0, tokens.length);
    const other = random.pick([
      ...tokens.slice(0, 400),
      '-1',
      '0',
      '1e9',
      '0.5',
      'Infinity',
      'bool',
      'i32',
      '"x"',
      '[]',
    ]);
    tokens.splice(at, random.int(0, 2), ...(random.next() < 0.7 ? [other] : []));
  }
  return tokens.join('');
}

describe('mutated graphs', () => {
  it('are refused at a place, or compile', () => {
    const random = new Random(11);
    let [refused, compiled] = [0, 0];
    for (let seed = 0; seed < 400; seed++) {
      const text = mutate(printGraph(randomGraph(seed % 40, { size: 4 }).graph, { locations: false }), random);
      let graphs: Graph[];
      try {
        graphs = read(text);
      } catch (error) {
        expect(error, text).toBeInstanceOf(DitcError);
        expect((error as DitcError).where, `${String(error)}\n${text}`).toMatch(/^h\.ir(:\d+:\d+)?$/);
        refused++;
        continue;
      }
      try {
        optimise(graphs, { passes: pipeline, emit: 'wgsl', device: PORTABLE, verify: true });
      } catch (error) {
        if (error instanceof CompilerBug || !(error instanceof DitcError)) throw new Error(text, { cause: error });
      }
      compiled++;
    }
    expect(Math.min(refused, compiled)).toBeGreaterThan(20);
  });
});
