import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import { checkClasses, parseClasses } from '../../cli/classes.ts';
import { realNumber, wholeNumber } from '../../cli/options.ts';
import { encodeGrid, encodePng, enlarge, grid, toPictures } from '../../cli/pictures.ts';
import { clock, si, table } from '../../cli/text.ts';

describe('--classes', () => {
  it.each([
    ['207', [207]],
    ['1,2, 3', [1, 2, 3]],
    ['0-3', [0, 1, 2, 3]],
    ['0-1x3', [0, 0, 0, 1, 1, 1]],
    ['7x2,9', [7, 7, 9]],
  ])('%s', (text, classes) => expect(parseClasses(text)).toEqual(classes));

  it.each([
    ['', '--classes is empty'],
    [' ', '--classes is empty'],
    ['1,,2', 'an empty item'],
    ['-1', '-1 in -1'],
    ['a', 'a in a'],
    ['1.5', '1.5 in 1.5'],
    ['5-2', 'the range runs backwards'],
    ['3x0', 'repeated 0 times'],
    ['0-9x99999999', 'at most 10000000 pictures'],
  ])('%j is refused', (text, message) => expect(() => parseClasses(text)).toThrow(message));

  it('must be known to the model', () => {
    expect(() => checkClasses([0, 9], 10, 'm')).not.toThrow();
    expect(() => checkClasses([0, 10, 11], 10, 'm')).toThrow(/m has no class 10, 11: it knows 10 classes; use 0 to 9/);
    expect(() => checkClasses([99999], undefined, 'm')).not.toThrow();
  });
});

describe('numbers', () => {
  it('are parsed strictly', () => {
    expect(wholeNumber('--n', 1, 5)('5')).toBe(5);
    for (const text of ['', ' ', '0', '6', '1e1', '0x1', '2.0', 'NaN', '9007199254740993']) {
      expect(() => wholeNumber('--n', 1, 5)(text)).toThrow('--n is');
    }
    expect(realNumber('--x', 0, 1)('5e-1')).toBe(0.5);
    for (const text of ['', 'x', '-0.1', '1.1', 'Infinity', 'NaN'])
      expect(() => realNumber('--x', 0, 1)(text)).toThrow(
        expect.objectContaining({ fix: 'give a number from 0 to 1' }),
      );
  });

  it('are printed short', () => {
    expect([0, 999, 1000, 41_769_984, 118_621_421_568, 2_700_518_528].map(si)).toEqual([
      '0',
      '999',
      '1.00 k',
      '41.8 M',
      '118.6 G',
      '2.70 G',
    ]);
    expect([5, 65, 3661].map(clock)).toEqual(['0:05', '1:05', '1:01:01']);
    expect(
      table(
        [
          ['a', '1'],
          ['bbb', '22'],
        ],
        new Set([1]),
      ),
    ).toEqual(['a     1', 'bbb  22']);
  });
});

describe('pictures', () => {
  const decode = (png: Uint8Array) => PNG.sync.read(Buffer.from(png));

  it('clip to the range and round to the nearest byte', () => {
    const values = Float32Array.of(-1, -2, 0, 1, 5, 0.004);
    const [picture] = toPictures(values, [1, 1, 2, 3], [-1, 1]);
    expect([...picture.pixels]).toEqual([0, 0, 128, 255, 255, 128]);
    expect([...toPictures(Float32Array.of(3, 1), [2, 1, 1, 1], [3, 1])[0].pixels]).toEqual([0]);
    expect(() => toPictures(Float32Array.of(0, NaN), [2, 1, 1, 1], [-1, 1], { first: 8 })).toThrow(
      'sample 9 contains NaN',
    );
  });

  it('are written as PNG, grey and in colour, channels in order', () => {
    const planes = Float32Array.of(1, 0, 0, 1, 0, 0); // [3,1,2]: red 1 0, green 0 1, blue 0 0
    const colour = decode(encodePng(toPictures(planes, [1, 3, 1, 2], [0, 1])[0]));
    expect([...colour.data]).toEqual([255, 0, 0, 255, 0, 255, 0, 255]);
    const grey = decode(encodePng({ width: 2, height: 1, channels: 1, pixels: Uint8Array.of(7, 200) }));
    expect([...grey.data]).toEqual([7, 7, 7, 255, 200, 200, 200, 255]);
  });

  it('are enlarged pixel by pixel, channels together', () => {
    const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6); // one row of two colours
    const { width, height, pixels: larger } = enlarge({ width: 2, height: 1, channels: 3, pixels }, 2);
    expect([width, height]).toEqual([4, 2]);
    const row = [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
    expect([...larger]).toEqual([...row, ...row]);
  });

  it.each([
    [28, 84],
    [32, 64],
    [63, 126],
    [64, 64],
    [256, 256],
  ])('of %i pixels a side have %i in a grid', (side, drawn) => {
    const picture = { width: side, height: side, channels: 1 as const, pixels: new Uint8Array(side * side) };
    expect(decode(encodeGrid([picture])).width).toBe(drawn + 4);
    expect(decode(encodeGrid([picture, picture], { columns: 1, scale: 2 }))).toMatchObject({
      width: 2 * side + 4,
      height: 2 * (2 * side + 2) + 2,
    });
  });

  it('stand in a grid with 2 black pixels around each', () => {
    const white = { width: 1, height: 1, channels: 1 as const, pixels: Uint8Array.of(255) };
    const { width, height, pixels } = grid([white, white, white], 2);
    expect([width, height]).toEqual([8, 8]);
    const lit = [...pixels].flatMap((value, i) => (value ? [[i % 8, Math.floor(i / 8)]] : []));
    expect(lit).toEqual([[2, 2], [5, 2], [2, 5]]); // prettier-ignore
  });
});
