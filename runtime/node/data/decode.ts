/**
 * An image file as one example's bytes. libvips (through sharp) decodes; the crop is our own, for Pillow's exact bytes.
 * Orientation from EXIF is applied, transparency goes onto white, CMYK and 16 bits become 8-bit RGB; floats and 32 bits have
 * no agreed black and white, and are refused. Embedded colour
 * profiles of RGB files are left alone, as in the loaders that the published models were trained with.
 */
import { readFile, stat } from 'node:fs/promises';
import sharp, { type OutputInfo } from 'sharp';
import { badExample, isBadExample } from '../../data/dataset.ts';
import { fitPicture, type ImageShape } from '../../data/fit.ts';

/** Of values that have a black and a white: bytes and 16-bit words. */
const DEPTHS: readonly string[] = ['uchar', 'ushort'];
const DEPTH_NAMES: Readonly<Record<string, string>> = {
  char: 'signed 8-bit numbers',
  short: 'signed 16-bit numbers',
  uint: '32-bit numbers',
  int: 'signed 32-bit numbers',
  float: 'floats',
  double: '64-bit floats',
  complex: 'complex numbers',
  dpcomplex: 'complex numbers',
};

/** 300 MB as RGB. */
const MAX_PIXELS = 100e6;
const MAX_FILE_BYTES = 2 ** 29;

// Each file is read once, by its own worker: a cache and threads per picture would only take memory.
sharp.cache(false);
sharp.concurrency(1);

/** Errors of one file; others, such as too many open files, concern them all. */
const REASONS: Record<string, string> = {
  ENOENT: 'it has been removed',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
  ELOOP: 'it is a symbolic link to itself',
  EIO: 'the disk cannot read it',
};

async function readImage(path: string): Promise<Buffer> {
  try {
    const info = await stat(path);
    if (!info.isFile()) throw badExample(path, 'it is not a regular file');
    if (info.size === 0) throw badExample(path, 'the file is empty');
    if (info.size > MAX_FILE_BYTES) throw badExample(path, `the file has ${info.size} bytes, more than any picture`);
    return await readFile(path);
  } catch (error) {
    const reason = REASONS[(error as NodeJS.ErrnoException).code ?? ''];
    throw reason ? badExample(path, reason, error) : error;
  }
}

/**
 * The file's picture, cut to the shape, as bytes [C,H,W].
 * @throws RuntimeError `bad-example` for a file that is damaged, too large or no image.
 */
export async function decodeImage(path: string, shape: ImageShape): Promise<Uint8Array> {
  const file = await readImage(path);
  let decoded: { data: Buffer; info: OutputInfo };
  try {
    const options = { failOn: 'error', limitInputPixels: MAX_PIXELS, ignoreIcc: true } as const;
    const { depth = 'unknown' } = await sharp(file, options).metadata();
    if (!DEPTHS.includes(depth))
      throw badExample(path, `its values are ${DEPTH_NAMES[depth] ?? depth}, not of 8 or 16 bits`);
    decoded = await sharp(file, options)
      .autoOrient()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
  } catch (error) {
    if (isBadExample(error)) throw error;
    throw badExample(path, reasonOf(error), error);
  }
  const { width, height, channels } = decoded.info;
  return fitPicture({ width, height, channels, data: decoded.data }, shape);
}

/** The first line of what libvips says: it lists every step that failed. */
function reasonOf(error: unknown): string {
  const [line] = (error instanceof Error ? error.message : String(error)).split('\n');
  return /pixel limit/.test(line)
    ? `it has more than ${MAX_PIXELS / 1e6} megapixels`
    : line.replace(/^Input buffer /, 'it ');
}
