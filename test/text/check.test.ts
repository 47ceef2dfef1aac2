/** The checker of the cases: that it sees what is there, and above all that it fails when something is not. */
import { describe, expect, it } from 'vitest';
import { check, directivesOf } from './check.ts';

const TEXT = `graph @f(%x: f32[2]) {
  %a = exp %x : f32[2]
  %b = add %a, %a : f32[2]
  return out = %b
}

graph @g(%x: f32[2]) {
  %a = sin %x : f32[2]
  return out = %a
}
`;
const run = (...lines: string[]) => check(directivesOf(lines.map((line) => `// ${line}`).join('\n')), TEXT);

describe('what holds', () => {
  it.each([
    ['in order', ['CHECK: exp', 'CHECK: add', 'CHECK: sin']],
    ['on the next line and on the same', ['CHECK: %a = exp', 'CHECK-NEXT: %b = add', 'CHECK-SAME: f32[2]']],
    ['not in between, nor after the last', ['CHECK: graph @f', 'CHECK-NOT: sin', 'CHECK: return', 'CHECK-NOT: exp']],
    ['so many times', ['CHECK-COUNT-2: graph @', 'CHECK-NOT: graph @']],
    ['expressions', ['CHECK: %{{[a-z]}} = add']],
    ['what was remembered', ['CHECK: [[value:%\\w+]] = exp', 'CHECK: add [[value]], [[value]] :']],
    [
      'within its label',
      ['CHECK-LABEL: graph @f', 'CHECK: add', 'CHECK-NOT: sin', 'CHECK-LABEL: graph @g', 'CHECK: sin'],
    ],
    ['any stretch of spaces', ['CHECK:   %a  =   exp']],
    ['brackets, which are text', ['CHECK: (%x: f32[2]) {']],
  ])('%s', (_what, lines) => run(...lines));
});

describe('what does not hold', () => {
  it.each([
    ['is missing', ['CHECK: cos'], 'line 1: CHECK: cos: not found'],
    ['is in another order', ['CHECK: add', 'CHECK: exp'], 'line 2: CHECK: exp: not found; after line 3'],
    ['is not on the next line', ['CHECK: exp', 'CHECK-NEXT: return'], 'CHECK-NEXT: return: not found'],
    ['is not on the same line', ['CHECK: exp', 'CHECK-SAME: add'], 'CHECK-SAME: add: not found'],
    ['is before the next match', ['CHECK: graph', 'CHECK-NOT: exp', 'CHECK: add'], 'CHECK-NOT: exp: found: exp'],
    ['is after the last match', ['CHECK: exp', 'CHECK-NOT: sin'], 'CHECK-NOT: sin: found: sin'],
    ['is there too seldom', ['CHECK-COUNT-3: graph @'], 'CHECK-COUNT-3: graph @: found 2 of 3 times'],
    ['is beyond the label', ['CHECK-LABEL: graph @f', 'CHECK: sin', 'CHECK-LABEL: graph @g'], 'CHECK: sin: not found'],
    [
      'is forbidden within the label',
      ['CHECK-LABEL: @f', 'CHECK-NOT: add', 'CHECK-LABEL: @g'],
      'CHECK-NOT: add: found',
    ],
    ['has no label', ['CHECK-LABEL: graph @h'], 'CHECK-LABEL: graph @h: not found'],
    [
      'is another than remembered',
      ['CHECK: [[v:%b]] = add', 'CHECK: return out = [[v]]', 'CHECK: return out = [[v]]'],
      'line 3',
    ],
    ['was not remembered', ['CHECK: [[v]]'], 'nothing was remembered as v'],
    ['follows nothing', ['CHECK-NEXT: exp'], 'follows no other match'],
  ])('%s', (_what, lines, message) => expect(() => run(...lines)).toThrow(message));

  it.each([
    ['an unknown kind', ['CHECK-NETX: exp']],
    ['no pattern', ['CHECK:']],
    ['no colon', ['CHECK exp']],
    ['a count without a number', ['CHECK-COUNT: exp']],
    ['nothing that must be there', ['CHECK-NOT: exp']],
    ['no line at all', []],
  ])('a case with %s', (_what, lines) => expect(() => run(...lines)).toThrow(/CHECK line/));
});
