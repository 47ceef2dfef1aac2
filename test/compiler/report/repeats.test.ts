import { expect, it } from 'vitest';
import { repeatsIn, representatives } from '../../../compiler/report/repeats.ts';

const drawn = (text: string) => {
  const names = [...text];
  return [...new Set(representatives(names.length, repeatsIn(names)))].map((i) => names[i]).join('');
};

it.each([
  ['', ''],
  ['abc', 'abc'],
  ['aaaa', 'a'],
  ['habcabcabcz', 'habcz'],
  // Rounds within rounds, as where four blocks share a merged linear.
  ['hlababablabababz', 'hlabz'],
  ['abcab', 'abcab'],
  // A round that is cut short leaves its rest.
  ['ababa', 'aba'],
])('%s is drawn as %s', (text, expected) => {
  expect(drawn(text)).toBe(expected);
});

it('every item is stood for by one of its own name, which stands for itself', () => {
  for (let seed = 1; seed < 200; seed++) {
    let state = seed;
    const names = Array.from({ length: 40 }, () => 'abc'[(state = (state * 1103515245 + 12345) >>> 0) % 3]);
    const shown = representatives(names.length, repeatsIn(names));
    expect(shown.map((i) => names[i])).toEqual(names);
    expect(shown.every((i) => shown[i] === i)).toBe(true);
  }
});
