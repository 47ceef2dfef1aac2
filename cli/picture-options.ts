/** Options of the commands that write pictures: for commander, each with what reads its value. */
import { wholeNumber } from './options.ts';

export const PICTURES_AT_ONCE = [
  '--batch <n>',
  'pictures at once; they are the same for any (default: at most 8, and what fits)',
] as const;

export const picturesAtOnce = wholeNumber('--batch', 1, 65535);

export const COLUMNS = ['--columns <n>', 'pictures in a row of the grid (default: 4, or 10 for more than 8)'] as const;

export const columns = wholeNumber('--columns', 1, 10000);

export const SCALE = [
  '--scale <n>',
  'pixels a side of each pixel in the grid (default: as many as show a picture at least 64 a side)',
] as const;

export const scale = wholeNumber('--scale', 1, 64);

export const OVERWRITE = ['--overwrite', 'replace the pictures that a former run left in the folder'] as const;
