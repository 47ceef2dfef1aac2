/** What a page says of its progress while it draws more pictures than one batch. */
import { expect, test } from 'vitest';
// @ts-expect-error: scripts of pages are JavaScript without types.
import { classesIn, placeOf } from '../../library/web/page/draw.js';

test('steps are counted of a picture, not of all batches, and the batch under way is named', () => {
  const said = Array.from({ length: 6 }, (_, i) => placeOf(i + 1, 6, 10, 4));
  expect(said).toEqual([
    'pictures 1 to 4 of 10, step 1 of 2',
    'pictures 1 to 4 of 10, step 2 of 2',
    'pictures 5 to 8 of 10, step 1 of 2',
    'pictures 5 to 8 of 10, step 2 of 2',
    'pictures 9 to 10 of 10, step 1 of 2',
    'pictures 9 to 10 of 10, step 2 of 2',
  ]);
});

test('one batch is not named; a batch of one picture is', () => {
  expect(placeOf(3, 50, 2, 4)).toBe('step 3 of 50');
  expect(placeOf(51, 100, 2, 1)).toBe('picture 2 of 2, step 1 of 50');
});

test('classes are told one by one or as a range', () => {
  expect(classesIn('0-3, 7 9')).toEqual([0, 1, 2, 3, 7, 9]);
  expect(classesIn('x')).toEqual([NaN]);
});
