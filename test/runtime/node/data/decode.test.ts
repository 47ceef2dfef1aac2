/** Pictures as Pillow loads and crops them (test/golden/make_pictures.py), to the byte; and files that are none. */
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { BOX, resample } from '../../../../runtime/data/resample.ts';
import { centreCrop, type ImageShape } from '../../../../runtime/data/fit.ts';
import { decodeImage } from '../../../../runtime/node/data/decode.ts';
import { failure, flat, folderOf, PICTURES } from './support.ts';

const golden = JSON.parse(readFileSync(join(PICTURES, 'expected.json'), 'utf8')) as Record<string, string>;

describe('decodeImage', () => {
  it.each(Object.keys(golden))('%s', async (name) => {
    const [file, size] = name.split(' ');
    const shape = size.split('x').map(Number) as unknown as ImageShape;
    const bytes = await decodeImage(join(PICTURES, file), shape);
    const truth = Buffer.from(golden[name], 'hex');
    expect(bytes).toHaveLength(truth.length);
    const worst = bytes.reduce((most, byte, i) => Math.max(most, Math.abs(byte - truth[i])), 0);
    // JPEG's inverse transform may differ by one between decoders.
    expect(worst).toBeLessThanOrEqual(file.endsWith('.jpg') ? 1 : 0);
  });

  it('crops to shapes that are not square', async () => {
    const bytes = await decodeImage(join(PICTURES, 'wide.png'), [3, 20, 48]);
    expect(bytes).toHaveLength(3 * 20 * 48);
  });

  it('refuses values that have no black and white, and takes 16 bits', async () => {
    const at = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
    const float = await failure(() => decodeImage(at('float.tiff'), [1, 8, 8]));
    expect(float.message).toMatch(/float\.tiff: .*its values are floats, not of 8 or 16 bits/);
    const whole = await failure(() => decodeImage(at('int32.tiff'), [1, 8, 8]));
    expect(whole.message).toMatch(/its values are signed 32-bit numbers/);
    const deep = await decodeImage(at('deep.tiff'), [1, 8, 8]);
    // As Pillow's 16 bits above become bytes: the high one.
    expect([...deep]).toEqual(Array.from({ length: 64 }, (_, i) => Math.floor((i / 63) * 65535) >> 8));
  });

  it('names what is wrong with a file', async () => {
    const photo = readFileSync(join(PICTURES, 'photo.jpg'));
    const png = readFileSync(join(PICTURES, 'wide.png'));
    const folder = folderOf({
      'empty.png': '',
      'text.png': 'this is no picture',
      'cut.jpg': photo.subarray(0, photo.length >> 1),
      'cut.png': png.subarray(0, png.length >> 1),
      'page.webp': '<!doctype html><title>404</title>',
      'vast.png': vast(),
    });
    symlinkSync(join(folder, 'loop.png'), join(folder, 'loop.png'));
    const why = async (name: string) => {
      const error = await failure(() => decodeImage(join(folder, name), [3, 32, 32]));
      expect(error).toMatchObject({ code: 'bad-example', where: join(folder, name) });
      return error.why;
    };
    expect(await why('empty.png')).toBe('the file is empty');
    expect(await why('text.png')).toMatch(/unsupported image format/);
    expect(await why('page.webp')).toMatch(/unsupported image format/);
    expect(await why('cut.jpg')).toMatch(/premature end/);
    expect(await why('cut.png')).toBeTruthy();
    expect(await why('vast.png')).toMatch(/more than 100 megapixels/);
    expect(await why('loop.png')).toMatch(/link to itself/);
    expect(await why('gone.png')).toBe('it has been removed');
    expect(await why('.')).toMatch(/not a regular file/);
  });

  it('survives every cut and 300 changed bytes of a JPEG', async () => {
    const photo = readFileSync(join(PICTURES, 'photo.jpg'));
    const folder = folderOf({});
    const path = join(folder, 'a.jpg');
    const attempt = async (bytes: Uint8Array) => {
      writeFileSync(path, bytes);
      const outcome = await decodeImage(path, [3, 16, 16]).catch((error: unknown) => error);
      if (outcome instanceof Uint8Array) return expect(outcome).toHaveLength(768);
      expect(outcome).toMatchObject({ code: 'bad-example' });
    };
    for (let end = 1; end < photo.length; end += 97) await attempt(photo.subarray(0, end));
    for (let i = 0; i < 300; i++) {
      const damaged = Uint8Array.from(photo);
      damaged[(i * 7919) % damaged.length] ^= 1 << (i % 8);
      await attempt(damaged);
    }
  });
});

/** A PNG that announces 60,000 × 60,000 pixels: what a decompression bomb looks like from outside. */
function vast(): Uint8Array {
  const png = Buffer.from(flat(0));
  png.writeUInt32BE(60_000, 16);
  png.writeUInt32BE(60_000, 20);
  png.writeUInt32BE(crcOf(png.subarray(12, 29)), 29);
  return png;
}

function crcOf(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

describe('resample', () => {
  it('averages 2 × 2 pixels', () => {
    const data = Uint8Array.of(0, 10, 20, 30, 4, 6, 100, 50);
    expect([...resample({ width: 4, height: 2, channels: 1, data }, 2, 1, BOX).data]).toEqual([5, 50]);
  });

  it('of a window is that part of the whole', () => {
    const data = Uint8Array.from({ length: 3 * 30 * 20 }, (_, i) => (i * 7919) % 256);
    const picture = { width: 30, height: 20, channels: 3, data };
    const whole = resample(picture, 17, 13, BOX);
    const part = resample(picture, 17, 13, BOX, { left: 3, top: 4, width: 9, height: 5 });
    for (let y = 0; y < 5; y++) {
      const from = ((y + 4) * 17 + 3) * 3;
      expect([...part.data.subarray(y * 27, y * 27 + 27)]).toEqual([...whole.data.subarray(from, from + 27)]);
    }
  });

  it('of a sliver costs no more than its crop', () => {
    const data = new Uint8Array(100_000).fill(77);
    const { data: cropped } = centreCrop({ width: 1, height: 100_000, channels: 1, data }, 256, 256);
    expect(new Set(cropped)).toEqual(new Set([77]));
  });
});
